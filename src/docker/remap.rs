//! The ranges of a remapped daemon: the map that it makes of a user's lines.

use std::path::Path;

use super::DockerError;
use crate::idmap::subid::DEFAULT_USER;
use crate::idmap::{IdMap, SubidFile, SubidReader, map_from_subid};

/// The ranges a remapped daemon uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    /// The user whose lines in `/etc/subuid` and `/etc/subgid` count.
    pub user: String,
    /// The map.
    pub map: IdMap,
    /// The container's root on the host: uid and gid.
    pub root: (u32, u32),
}

impl Remap {
    /// The map that the lines of this user make.
    ///
    /// # Errors
    /// It has none, or none for the container's root.
    pub fn of_lines(
        user: &str,
        uid: Option<u32>,
        subuid: &SubidFile,
        subgid: &SubidFile,
    ) -> Result<Remap, DockerError> {
        let map = map_from_subid(user, uid, subuid, subgid, SubidReader::Docker)?;
        let root = map.container_root().ok_or_else(|| DockerError::Remap {
            value: user.to_string(),
            reason: "its ranges in /etc/subuid and /etc/subgid have no id for the container's root"
                .into(),
            help: String::new(),
        })?;
        Ok(Remap {
            user: user.to_string(),
            map,
            root,
        })
    }

    /// The directory in the data-root that the remapped daemon uses, `<uid>.<gid>`.
    pub fn dir_name(&self) -> String {
        format!("{}.{}", self.root.0, self.root.1)
    }
}

/// The name, or the number, of the user that a value of `--userns-remap` means.
pub fn user_of(value: &str) -> &str {
    match value.split(':').next().unwrap_or(value) {
        "default" => DEFAULT_USER,
        user => user,
    }
}

/// `/etc/subuid` or `/etc/subgid`; one that is not there has no lines.
pub(super) fn subid_file(path: &str) -> Result<SubidFile, DockerError> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(DockerError::io(Path::new(path)))?,
    };
    Ok(SubidFile::parse(&text, path)?)
}
