//! A task as a node of a swarm keeps it: protobuf, of which only the name of the service, the bind mounts and the network are
//! read.
//!
//! ```text
//! Task               spec = 3, service_annotations = 8, networks = 11   (swarmkit api/objects.proto)
//! NetworkAttachment  network = 1
//! Network            spec = 3
//! NetworkSpec        annotations = 1   (api/specs.proto)
//! Annotations    name = 1                            (api/types.proto)
//! TaskSpec       container = 1                       (api/specs.proto)
//! ContainerSpec  mounts = 8
//! Mount          type = 1 (0: bind), source = 2, target = 3, readonly = 4
//! ```
//! A field that is left out has the value 0, or is empty.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::docker::container::Bind;

/// What is read of a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The name of its service; empty where it has none.
    pub service: String,
    /// What its container binds, or would.
    pub binds: Vec<Bind>,
    /// It is on the host's network. dockerd takes the name of the first one (moby `daemon/cluster/executor/container`).
    pub on_host_network: bool,
}

/// The value of a field.
#[derive(Clone, Copy)]
enum Value<'b> {
    /// A number.
    Number(u64),
    /// Text, or a message.
    Bytes(&'b [u8]),
    /// Four or eight bytes.
    Fixed,
}

impl Task {
    /// `None`: it is not a task.
    pub(super) fn parse(task: &[u8]) -> Option<Task> {
        let mut found = Task {
            service: String::new(),
            binds: Vec::new(),
            on_host_network: false,
        };
        let mut networks = Vec::new();
        for (field, value) in fields(task)? {
            match (field, value) {
                (3, Value::Bytes(spec)) => {
                    for container in messages(spec, 1)? {
                        for mount in messages(container, 8)? {
                            found.binds.extend(bind(mount)?);
                        }
                    }
                }
                (11, Value::Bytes(attachment)) => networks.push(network_name(attachment)?),
                (8, Value::Bytes(annotations)) => {
                    let name = messages(annotations, 1)?.pop().unwrap_or_default();
                    found.service = String::from_utf8_lossy(name).into_owned();
                }
                _ => {}
            }
        }
        found.on_host_network = networks.first().is_some_and(|name| *name == b"host");
        Some(found)
    }
}

/// The name of the network that a task is attached to.
fn network_name(attachment: &[u8]) -> Option<&[u8]> {
    // The network, its specification, the annotations of that, and the name.
    let numbers = [1, 3, 1, 1];
    numbers.into_iter().try_fold(attachment, |message, number| {
        Some(messages(message, number)?.pop().unwrap_or_default())
    })
}

/// A mount: `Some(None)` if it is not a bind mount.
fn bind(mount: &[u8]) -> Option<Option<Bind>> {
    let (mut kind, mut read_only) = (0, 0);
    let (mut source, mut target): (&[u8], &[u8]) = (b"", b"");
    for (field, value) in fields(mount)? {
        match (field, value) {
            (1, Value::Number(number)) => kind = number,
            (2, Value::Bytes(text)) => source = text,
            (3, Value::Bytes(text)) => target = text,
            (4, Value::Number(number)) => read_only = number,
            _ => {}
        }
    }
    Some((kind == 0).then(|| Bind {
        source: OsStr::from_bytes(source).into(),
        destination: String::from_utf8_lossy(target).into_owned(),
        writable: read_only == 0,
    }))
}

/// All fields with this number that are text or a message.
fn messages(bytes: &[u8], number: u64) -> Option<Vec<&[u8]>> {
    let all = fields(bytes)?.into_iter();
    let wanted = all.filter_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == number => Some(bytes),
        _ => None,
    });
    Some(wanted.collect())
}

/// The fields of a message, each with its number. `None`: these bytes are no message.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let len = varint(&mut rest)?;
                Value::Bytes(take(&mut rest, usize::try_from(len).ok()?)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn take<'b>(rest: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// A number of at most ten bytes, seven bits each, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(field: u8, bytes: &[u8]) -> Vec<u8> {
        let len = u8::try_from(bytes.len()).unwrap();
        assert!(len < 0x80);
        [&[field << 3 | 2, len], bytes].concat()
    }

    /// A task of a service that binds one directory, as `protoc --encode` writes it.
    pub(in crate::docker::swarm) fn encoded_task(service: &str, source: &str) -> Vec<u8> {
        let mount = [message(2, source.as_bytes()), message(3, b"/in")].concat();
        let container = [message(1, b"app:1"), message(8, &mount)].concat();
        let spec = message(1, &container);
        let name = message(1, service.as_bytes());
        // A number and eight bytes that nobody asks for are passed over.
        let others = [
            &[5 << 3, 0xac, 2][..],
            &[15 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8],
        ]
        .concat();
        [
            message(1, b"id"),
            message(3, &spec),
            others,
            message(8, &name),
        ]
        .concat()
    }

    #[test]
    fn binds_are_read_and_other_mounts_are_not() {
        let found = Task::parse(&encoded_task("web", "/srv/web")).unwrap();
        let bind = |source: &str, destination: &str, writable| Bind {
            source: source.into(),
            destination: destination.into(),
            writable,
        };
        assert_eq!(found.service, "web");
        assert_eq!(found.binds, [bind("/srv/web", "/in", true)]);
        let volume = [&[1 << 3, 1][..], &message(2, b"data")].concat();
        let read_only = [message(2, b"/a"), message(3, b"/b"), vec![4 << 3, 1]].concat();
        let container = [message(8, &volume), message(8, &read_only)].concat();
        let task = message(3, &message(1, &container));
        assert_eq!(Task::parse(&task).unwrap().binds, [bind("/a", "/b", false)]);
    }

    #[test]
    fn the_first_network_may_be_the_hosts() {
        let network = |name: &str| {
            let annotations = message(1, &message(1, name.as_bytes()));
            message(11, &message(1, &message(3, &annotations)))
        };
        for (networks, expected) in [
            (vec![], false),
            (vec![network("host")], true),
            (vec![network("net"), network("host")], false),
            (vec![message(11, &message(2, b"10.0.0.2/24"))], false),
        ] {
            let task = [encoded_task("web", "/srv/web"), networks.concat()].concat();
            let task = Task::parse(&task).unwrap();
            assert_eq!(task.on_host_network, expected, "{networks:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_reading_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Task::parse(&bytes);
        }

        #[test]
        fn a_task_that_is_cut_off_is_none_or_shorter(cut in 0..60usize) {
            let whole = encoded_task("web", "/srv/web");
            let cut = cut.min(whole.len());
            if let Some(task) = Task::parse(&whole[..cut]) {
                prop_assert!(task.binds.len() <= 1);
            }
        }
    }
}
