//! Users and groups of a container: `/etc/passwd` and `/etc/group` of its layers.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

use crate::volume::user::ContainerUser;

/// Users and groups of a container.
#[derive(Default)]
pub(super) struct Accounts {
    /// Name, uid, gid.
    users: Vec<(String, u32, u32)>,
    /// Name, gid, members.
    groups: Vec<(String, u32, Vec<String>)>,
}

/// A name that an image's accounts do not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum UnknownAccount {
    #[error("its user {0} is not in /etc/passwd of its layers")]
    User(String),
    #[error("its group {0} is not in /etc/group of its layers")]
    Group(String),
}

impl Accounts {
    pub fn of(layers: &[PathBuf]) -> Accounts {
        let read = |name: &str| {
            layers
                .iter()
                .find_map(|layer| read_etc(layer, name))
                .flatten()
        };
        Accounts::parse(
            &read("passwd").unwrap_or_default(),
            &read("group").unwrap_or_default(),
        )
    }

    fn parse(passwd: &str, group: &str) -> Accounts {
        let user = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else {
                return None;
            };
            Some((name.to_string(), uid.parse().ok()?, gid.parse().ok()?))
        };
        let group_of = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else {
                return None;
            };
            let members = members.split(',').map(str::to_string).collect();
            Some((name.to_string(), gid.parse().ok()?, members))
        };
        Accounts {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }

    /// `USER`, `USER:GROUP`, names or numbers; nothing means root.
    pub fn resolve(
        &self,
        spec: &str,
        group_add: &[String],
    ) -> Result<ContainerUser, UnknownAccount> {
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let user = if user.is_empty() { "0" } else { user };
        let number: Option<u32> = user.parse().ok();
        let entry = self
            .users
            .iter()
            .find(|(name, uid, _)| name == user || Some(*uid) == number);
        let mut found = match (entry, number) {
            (Some(&(_, uid, gid)), _) => ContainerUser {
                uid,
                gid,
                groups: Vec::new(),
            },
            (None, Some(uid)) => ContainerUser {
                uid,
                gid: 0,
                groups: Vec::new(),
            },
            (None, None) => {
                return Err(UnknownAccount::User(user.to_string()));
            }
        };
        match group {
            "" => {
                let is_member =
                    |members: &[String]| entry.is_some_and(|(name, ..)| members.contains(name));
                let member_of = self
                    .groups
                    .iter()
                    .filter(|(_, _, members)| is_member(members));
                found.groups.extend(member_of.map(|&(_, gid, _)| gid));
            }
            group => found.gid = self.gid(group)?,
        }
        for group in group_add {
            let gid = self.gid(group)?;
            found.groups.push(gid);
        }
        Ok(found)
    }

    fn gid(&self, group: &str) -> Result<u32, UnknownAccount> {
        let number: Option<u32> = group.parse().ok();
        let entry = self
            .groups
            .iter()
            .find(|(name, gid, _)| name == group || Some(*gid) == number);
        let gid = entry.map(|&(_, gid, _)| gid).or(number);
        gid.ok_or_else(|| UnknownAccount::Group(group.to_string()))
    }
}

/// A file of a layer's `/etc`: `None` where the layer does not have it, `Some(None)` where it, or
/// all of `/etc`, was deleted.
fn read_etc(layer: &Path, name: &str) -> Option<Option<String>> {
    // More than any of them is.
    const MOST: u64 = 1 << 20;
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = |dir: Option<&OwnedFd>, name: &Path, more: OFlags| match dir {
        None => rustix::fs::open(name, flags | more, Mode::empty()),
        Some(dir) => rustix::fs::openat(dir, name, flags | more, Mode::empty()),
    };
    let top = open(None, layer, OFlags::DIRECTORY).ok()?;
    let etc = match open(Some(&top), Path::new("etc"), OFlags::DIRECTORY) {
        Ok(etc) => etc,
        Err(rustix::io::Errno::NOENT) => return None,
        // A whiteout, or nothing that we would follow.
        Err(_) => return Some(None),
    };
    match open(Some(&etc), Path::new(name), OFlags::RDONLY) {
        Ok(file) => {
            let file = std::fs::File::from(file);
            let is_file = file.metadata().is_ok_and(|found| found.is_file());
            let mut text = String::new();
            let read = is_file.then(|| file.take(MOST).read_to_string(&mut text));
            Some(read.and_then(Result::ok).map(|_| text))
        }
        Err(rustix::io::Errno::NOENT) => None,
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_as_the_daemon_does() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\nrabbitmq:x:999:998::/var/lib/rabbitmq:/bin/sh\nbad line\n",
            "root:x:0:\nrabbitmq:x:998:\nssl:x:101:rabbitmq,other\nadm:x:4:root\n",
        );
        let user = |spec: &str, add: &[&str]| {
            let add: Vec<String> = add.iter().map(std::string::ToString::to_string).collect();
            let found = accounts.resolve(spec, &add)?;
            Ok::<_, UnknownAccount>((found.uid, found.gid, found.groups))
        };
        assert_eq!(user("", &[]), Ok((0, 0, vec![4])));
        assert_eq!(user("rabbitmq", &[]), Ok((999, 998, vec![101])));
        assert_eq!(
            user("999", &["adm", "55"]),
            Ok((999, 998, vec![101, 4, 55]))
        );
        assert_eq!(user("rabbitmq:ssl", &[]), Ok((999, 101, vec![])));
        assert_eq!(user("1234", &[]), Ok((1234, 0, vec![])));
        assert_eq!(user("1234:55", &[]), Ok((1234, 55, vec![])));
        assert!(user("nobody-there", &[]).is_err());
        assert!(user("999:nothing", &[]).is_err());
    }
}
