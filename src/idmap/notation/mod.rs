//! Maps as other tools write them. Pure: what a text says, and what has to be asked of the host for the rest.
//!
//! - [`lxc`]: container configurations of LXC and Proxmox VE
//! - [`incus`]: instances and profiles of Incus and LXD, YAML and JSON
//! - [`instance`]: reading the settings of such a text
//! - [`podman`]: `--uidmap` and `--gidmap`, and Quadlet's `UIDMap=` and `GIDMap=`
//! - [`uid_map`]: `/proc/PID/uid_map` and `gid_map`
//! - [`oci`]: `config.json` of an OCI bundle
//! - [`daemon_json`]: which JSON is Docker's configuration

mod daemon_json;
pub mod incus;
pub mod instance;
pub mod lxc;
pub mod oci;
pub mod podman;
pub mod uid_map;

use thiserror::Error;

use super::range_map::RangeMapError;
use super::{IdMap, Range, RangeMap};
use crate::guidance::Guidance;
use incus::RootRanges;
use oci::OciMaps;
use podman::PodmanMaps;

/// The map that a text describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Whose notation it is, for people.
    pub tool: &'static str,
    /// The map, or where it is to be had.
    pub source: NotationSource,
    /// The map that its files have on disk, where that is another one.
    pub on_disk: Option<IdMap>,
    /// Other facts in the text, and what it does not say, for people.
    pub notes: Vec<String>,
}

impl Described {
    /// One that says nothing else.
    fn of(tool: &'static str, source: NotationSource) -> Described {
        Described {
            tool,
            source,
            on_disk: None,
            notes: Vec::new(),
        }
    }
}

/// The map, or where it is to be had.
#[derive(Clone, Debug, PartialEq)]
pub enum NotationSource {
    /// This map.
    Map(IdMap),
    /// The container has no user namespace: its ids are the host's.
    HostIds,
    /// One of the two maps of a process; the other is in a file beside it.
    Half(RangeMap),
    /// From the ranges that root has in `/etc/subuid` and `/etc/subgid`.
    RootRanges(RootRanges),
    /// The user whom a daemon remaps to has it.
    DaemonJson,
    /// Options of Podman; of a rootless one they are relative to its user's ids.
    Podman(PodmanMaps),
    /// What a runtime is told; that of a rootless engine, relative to its user's ids.
    Oci(OciMaps),
}

/// Why a text has no map.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {}{reason}. {help}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct NotationError {
    /// The file.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
    /// What helps.
    pub help: String,
}

impl NotationError {
    /// Of a whole file.
    pub fn new(file: &str, reason: impl Into<String>, help: impl Into<String>) -> NotationError {
        NotationError {
            file: file.to_string(),
            line: None,
            reason: reason.into(),
            help: help.into(),
        }
    }

    /// Of one line, counted from 1.
    fn at(self, line: usize) -> NotationError {
        NotationError {
            line: Some(line),
            ..self
        }
    }
}

const KNOWN: &str = "What can be read: a configuration of an LXC or Proxmox container, an Incus or LXD instance \
     (`incus config show --expanded NAME`), /proc/PID/uid_map, Docker's daemon.json, config.json of an OCI bundle, and `--uidmap` and `--gidmap` of Podman";

/// Finds out the notation of a text, and reads it.
///
/// # Errors
/// It is none that is known, or says no map.
pub fn describe(text: &[u8], file: &str) -> Result<Described, NotationError> {
    let text = std::str::from_utf8(text)
        .map_err(|_| NotationError::new(file, "is not UTF-8 text", KNOWN))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if uid_map::is_one(text) {
        return uid_map::describe(text, file);
    }
    if text.trim_start().starts_with('{') {
        return json(text, file);
    }
    // What an instance is given may have any text in it, options of Podman too.
    if instance::is_structured(text) {
        return incus::describe(text, file);
    }
    match (lxc::is_one(text), podman::is_one(text)) {
        (true, true) => Err(NotationError::new(
            file,
            "has settings of LXC and options of Podman",
            KNOWN,
        )),
        (true, false) => lxc::describe(text, file),
        (false, true) => podman::describe(text, file),
        (false, false) if instance::is_one(text) => incus::describe(text, file),
        (false, false) => Err(unknown(text, file)),
    }
}

/// A text that begins as a JSON object.
fn json(text: &str, file: &str) -> Result<Described, NotationError> {
    let object: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(text) {
        Ok(object) => object,
        // YAML has such texts, too.
        Err(_) if instance::is_one(text) => return incus::describe(text, file),
        Err(error) => {
            let error = NotationError::new(file, format!("is not JSON: {error}"), KNOWN);
            return Err(error);
        }
    };
    if instance::is_object(&object) {
        return incus::describe(text, file);
    }
    if object.contains_key("ociVersion") {
        return oci::describe(text, file);
    }
    match daemon_json::is_one(&object) {
        true => Ok(Described::of("Docker", NotationSource::DaemonJson)),
        false => Err(NotationError::new(
            file,
            "is JSON, but not of Docker, Incus, LXD or an OCI runtime",
            KNOWN,
        )),
    }
}

fn unknown(text: &str, file: &str) -> NotationError {
    let fields = |line: &str| {
        let parts: Vec<&str> = line.split(':').collect();
        matches!(&parts[..], [owner, start, count] if !owner.is_empty()
            && [start, count].iter().all(|part| super::range::decimal(part.trim()).is_some()))
    };
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        None => NotationError::new(file, "is empty", KNOWN),
        Some(first) if fields(first) => NotationError::new(
            file,
            "has lines as /etc/subuid has them, of several users",
            Guidance::NameUserOfLines.to_string(),
        ),
        Some(_) => NotationError::new(file, "has no map that idshift can read", KNOWN),
    }
}

/// A map of ranges that a text has for uids and gids.
fn map_of(
    uids: Vec<Range>,
    gids: Vec<Range>,
    file: &str,
    help: &str,
) -> Result<IdMap, NotationError> {
    let one = |ranges: Vec<Range>, ids: &str| {
        if ranges.is_empty() {
            let reason = format!("maps no {ids}s");
            return Err(NotationError::new(file, reason, help));
        }
        let shared =
            |error: RangeMapError| NotationError::new(file, format!("{ids} map: {error}"), help);
        RangeMap::new(ranges).map_err(shared)
    };
    Ok(IdMap::new(one(uids, "uid")?, one(gids, "gid")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(lxc\\.idmap|unprivileged|config|--uidmap|both|[ug:=@+{}\\[\\]\", \n0-9])*") {
            if let Err(error) = describe(text.as_bytes(), "/file") {
                prop_assert!(error.to_string().starts_with("/file: "), "{}", error);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = describe(&text, "/file");
        }
    }

    #[test]
    fn what_is_none_is_told_what_would_be_one() {
        let said = |text: &str| describe(text.as_bytes(), "/file").unwrap_err().to_string();
        assert!(said("").starts_with("/file: is empty. What can be read: "));
        assert!(said("# root\nroot:100000:65536\n").contains("--subid USER"));
        assert!(said("hello: world\n").contains("has no map that idshift can read"));
        assert!(said("Hello.").contains("has no map that idshift can read"));
        assert!(said(r#"{"hello": {"uid": 1}}"#).contains("not of Docker"));
        assert!(
            said("lxc.uts.name = a\n--uidmap 0:100000:65536\n").contains("and options of Podman")
        );
    }

    /// A unit or a script in an instance's settings is not the instance.
    #[test]
    fn an_instance_is_one_whatever_text_it_is_given() {
        let yaml = "config:\n  cloud-init.user-data: |\n    [Container]\n    UIDMap=0:200000:65536\n  volatile.idmap.current: \
            '[{\"Isuid\":true,\"Isgid\":true,\"Hostid\":1000000,\"Nsid\":0,\"Maprange\":65536}]'\n";
        let described = describe(yaml.as_bytes(), "/file").unwrap();
        assert_eq!(described.tool, "Incus or LXD");
        let json = serde_json::json!({"config": {
            "cloud-init.user-data": "UIDMap=0:200000:65536",
            "volatile.idmap.current": r#"[{"Isuid":true,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":65536}]"#,
        }});
        let of_json = describe(json.to_string().as_bytes(), "/file").unwrap();
        assert_eq!(of_json.source, described.source);
    }

    #[test]
    fn a_daemon_json_is_one() {
        let text = br#"{"userns-remap": "default", "data-root": "/srv"}"#;
        assert_eq!(
            describe(text, "/file").unwrap().source,
            NotationSource::DaemonJson
        );
    }
}
