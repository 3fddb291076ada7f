//! Whom `--userns-remap` means, and the map that the daemon makes of it.

use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

use super::DockerError;
use crate::idmap::{IdMap, SubidFile, map_from_subid};

/// The user that `default` means to dockerd.
pub const DEFAULT_USER: &str = "dockremap";

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
    /// As dockerd takes it: `default`, `USER`, `USER:GROUP`, `UID` or `UID:GID`
    /// (moby `daemon/daemon_unix.go`, `parseRemappedRoot`). Only the user decides about the ranges,
    /// for gids too; the group must exist.
    ///
    /// # Errors
    /// Nobody is meant, or has no ranges; with the commands that help.
    pub fn resolve(value: &str) -> Result<Remap, DockerError> {
        let bad = |reason: String| DockerError::Remap {
            value: value.to_string(),
            reason,
        };
        let (user, group) = match value.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (value, None),
        };
        let found = match user.parse::<u32>() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) if user == "default" => User::from_name(DEFAULT_USER),
            Err(_) => User::from_name(user),
        };
        let found = found.ok().flatten().ok_or_else(|| {
            bad(match user {
                "default" => format!(
                    "there is no user {DEFAULT_USER}. `idshift docker migrate --create-user` makes it as dockerd would"
                ),
                _ => format!("there is no user {user} in /etc/passwd"),
            })
        })?;
        if found.uid.is_root() {
            return Err(bad(
                "root is not remapped to itself: dockerd would run without user namespaces".into(),
            ));
        }
        let group_exists = match group {
            Some(group) => match group.parse::<u32>() {
                Ok(gid) => Group::from_gid(Gid::from_raw(gid)),
                Err(_) => Group::from_name(group),
            },
            None => Group::from_name(&found.name),
        };
        if group_exists.ok().flatten().is_none() {
            let group = group.unwrap_or(&found.name);
            return Err(bad(format!("there is no group {group} in /etc/group")));
        }
        let uid = found.uid.as_raw();
        let map = subid_map(&found.name, uid)?;
        let root = map.container_root().ok_or_else(|| {
            bad(format!(
                "the ranges of {} in /etc/subuid and /etc/subgid have no id for the container's root",
                found.name
            ))
        })?;
        Ok(Remap {
            user: found.name,
            map,
            root,
        })
    }

    /// The directory in the data-root that the remapped daemon uses, `<uid>.<gid>`.
    pub fn dir_name(&self) -> String {
        format!("{}.{}", self.root.0, self.root.1)
    }
}

fn subid_map(user: &str, uid: u32) -> Result<IdMap, DockerError> {
    let file = |path: &str| {
        // A file that is not there has no lines.
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(DockerError::io(Path::new(path)))?,
        };
        Ok::<_, DockerError>(SubidFile::parse(&text, path)?)
    };
    let (uids, gids) = (file("/etc/subuid")?, file("/etc/subgid")?);
    Ok(map_from_subid(user, Some(uid), &uids, &gids)?)
}
