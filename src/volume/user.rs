//! Whom a container's process runs as.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::VolumeError;
use crate::guidance::LOOK_UP_USER;
use crate::idmap::{Direction, IdMap, Mapped, RangeMap};

/// A container's user: container ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUser {
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// Its other groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
}

/// A text is not a user.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// It is not `UID` or `UID:GID`.
    #[error("{0:?} is not UID or UID:GID in numbers, as in 999:999; {LOOK_UP_USER}")]
    NotNumbers(String),
    /// It has no group, and idshift does not guess one.
    #[error(
        "the group is missing: {0}:{0} where it has the same number, {0}:0 for the group root. \
         `docker run --rm IMAGE id` shows what the image has"
    )]
    NoGroup(String),
}

impl ContainerUser {
    /// The container's root.
    pub const ROOT: ContainerUser = ContainerUser {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
    };

    /// `UID:GID`: of what is given away, the group is not guessed. The image decides about the group of its
    /// user, and `docker run --user UID` takes 0 where the image does not know that user.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn with_group(text: &str) -> Result<ContainerUser, UserError> {
        let user: ContainerUser = text.parse()?;
        match text.contains(':') {
            true => Ok(user),
            false => Err(UserError::NoGroup(text.to_string())),
        }
    }

    /// The ids its processes have on the host.
    ///
    /// # Errors
    /// One of them is outside the map: such a container does not start.
    pub fn on_host(&self, map: &IdMap) -> Result<(u32, u32), VolumeError> {
        let outside = |what: &str, id: u32| VolumeError::User {
            user: self.to_string(),
            reason: format!(
                "{what} {id} is outside the map {map}: a container does not start with it"
            ),
        };
        let into = |ranges: &RangeMap, id| {
            let found = ranges.ranges().iter().find_map(|range| range.to_host(id));
            found.ok_or(id)
        };
        let uid = into(&map.uids, self.uid).map_err(|id| outside("uid", id))?;
        let gid = into(&map.gids, self.gid).map_err(|id| outside("gid", id))?;
        for &group in &self.groups {
            into(&map.gids, group).map_err(|id| outside("group", id))?;
        }
        Ok((uid, gid))
    }
}

/// What a process sees of an id that its namespace does not have: nobody's (`user_namespaces(7)`,
/// "unmapped user and group IDs").
pub const OVERFLOW: u32 = 65_534;

/// What a host id is in the namespace; `None` for one that is not mapped.
pub fn id_inside(ranges: &RangeMap, id: u32) -> Option<u32> {
    match ranges.map(id, Direction::OutOf) {
        Mapped::To(id) => Some(id),
        _ => None,
    }
}

/// What a process in the namespace sees of a host id.
pub fn seen_inside(ranges: &RangeMap, id: u32) -> u32 {
    id_inside(ranges, id).unwrap_or(OVERFLOW)
}

impl fmt::Display for ContainerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl FromStr for ContainerUser {
    type Err = UserError;

    /// `UID` or `UID:GID`. Without a group it is 0, as `docker run --user UID` has it.
    fn from_str(text: &str) -> Result<ContainerUser, UserError> {
        let id = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>()
                .ok()
                .filter(|&id| digits && id != u32::MAX)
        };
        let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
        match (id(uid), id(gid)) {
            (Some(uid), Some(gid)) => Ok(ContainerUser {
                uid,
                gid,
                groups: Vec::new(),
            }),
            _ => Err(UserError::NotNumbers(text.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        let user: ContainerUser = "999:1000".parse().unwrap();
        assert_eq!((user.uid, user.gid), (999, 1000));
        let user: ContainerUser = "999".parse().unwrap();
        assert_eq!((user.uid, user.gid), (999, 0));
        for bad in ["", ":", "a", "1:", "1:b", "-1", "+1", "4294967295", "1:2:3"] {
            assert!(bad.parse::<ContainerUser>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_group_of_an_owner_is_not_guessed() {
        let owner = ContainerUser::with_group("999:0").unwrap();
        assert_eq!((owner.uid, owner.gid), (999, 0));
        let missing = ContainerUser::with_group("999").unwrap_err().to_string();
        assert!(
            missing.contains("999:999") && missing.contains("999:0"),
            "{missing}"
        );
    }

    #[test]
    fn ids_are_found_on_the_host_and_seen_inside() {
        let map = IdMap::from_specs(&["b:0:100000:1000".parse().unwrap()]).unwrap();
        let user: ContainerUser = "999:7".parse().unwrap();
        assert_eq!(user.on_host(&map).unwrap(), (100_999, 100_007));
        assert!(
            "1000:0"
                .parse::<ContainerUser>()
                .unwrap()
                .on_host(&map)
                .is_err()
        );
        assert_eq!(seen_inside(&map.uids, 100_999), 999);
        assert_eq!(seen_inside(&map.uids, 0), 65_534);
    }
}
