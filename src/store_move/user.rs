//! Whose rootless engine it is, and the ids that it has.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::MoveError;
use crate::host::missing_ranges::MissingRanges;
use crate::host::range_users;
use crate::host::subid_source::{self, Ranges};
use crate::idmap::{IdMap, SubidReader, map_from_subid};

/// A user who runs Docker or Podman rootless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootlessUser {
    /// Login name.
    pub name: String,
    /// The container's root on the host: uid and primary gid.
    pub root: (u32, u32),
    /// Home directory.
    pub home: PathBuf,
    /// The map of the engine's user namespace: 0 is the user, and from 1 on the user's ranges follow (RootlessKit
    /// 1.1.0, read from `/proc/PID/uid_map`).
    pub map: IdMap,
}

impl RootlessUser {
    /// By login name or uid. Lines of the user in `/etc/subuid` and `/etc/subgid` may be by name or by uid.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges that can be told; with the commands that help.
    pub fn resolve(user: &str) -> Result<RootlessUser, MoveError> {
        let bad = |reason: String| MoveError::User {
            user: user.to_string(),
            reason,
        };
        let found = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(user),
        };
        let found = found.ok().flatten();
        let found = found
            .ok_or_else(|| bad("there is no such user. `getent passwd` lists the users".into()))?;
        if found.uid.is_root() {
            let why = "root cannot run Docker or Podman rootless. Name the user who will run it";
            return Err(bad(why.into()));
        }
        let root = (found.uid.as_raw(), found.gid.as_raw());
        let Ranges {
            files: [subuid, subgid],
            were_asked_for,
        } = subid_source::ranges_of(&found.name).map_err(|error| bad(error.to_string()))?;
        if !were_asked_for {
            let missing = MissingRanges::of(&found.name, Some(root.0), [&subuid, &subgid]);
            if let Some(missing) = missing.filter(MissingRanges::has_any) {
                return Err(bad(missing.to_string()));
            }
        }
        let uid = Some(root.0);
        let ranges = map_from_subid(&found.name, uid, &subuid, &subgid, SubidReader::Any)?;
        let map = IdMap::rootless(root, &ranges).map_err(|error| {
            bad(format!(
                "{error}. Give the user other ranges: `usermod --add-subuids 300000-365535 --add-subgids 300000-365535 {}`",
                found.name
            ))
        })?;
        Ok(RootlessUser {
            name: found.name,
            root,
            home: found.dir,
            map,
        })
    }

    /// Refuses ranges that accounts of this host are in.
    ///
    /// # Errors
    /// Names them.
    pub fn check_range_is_free(&self) -> Result<(), MoveError> {
        let accounts = range_users::of_map(&self.map, &[]).accounts;
        // 0 is the user itself.
        let inside = accounts.iter().filter(|it| it.container != 0);
        let names: Vec<String> = inside
            .map(|it| format!("{} ({} {})", it.name, it.ids, it.id))
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(MoveError::User {
                user: self.name.clone(),
                reason: format!(
                    "host accounts are inside its ranges: {}. Give it other ranges: containers' files would belong to these \
                    accounts",
                    names.join(", ")
                ),
            }),
        }
    }
}
