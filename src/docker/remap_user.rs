//! Whom a value of `--userns-remap` means on this host, and what helps where there is no such user.

use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

use super::DockerError;
use super::existing_roots::{self, ExistingRoot};
use super::guidance::{CREATE_USER_AS_DOCKERD, CREATE_USER_TOO};
use super::remap::{Remap, subid_file};
use crate::host::missing_ranges::MissingRanges;
use crate::idmap::Direction;
use crate::idmap::subid::DEFAULT_USER;

impl Remap {
    /// Parses the value as dockerd does: `default`, `USER`, `USER:GROUP`, `UID` or `UID:GID` (moby
    /// `daemon/daemon_unix.go`, `parseRemappedRoot`). Only the user decides about the ranges, for
    /// gids too; the group must exist.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges; with the commands that help.
    pub fn resolve(value: &str) -> Result<Remap, DockerError> {
        Remap::resolve_or(value, &NoRanges::Nothing)
    }

    /// The ranges of a daemon on this data-root. `direction`: where that is to go. What helps depends on what is there: a
    /// remapped root needs the ranges that it was made for.
    ///
    /// # Errors
    /// As of [`Remap::resolve`].
    pub fn resolve_for(
        value: &str,
        data_root: &Path,
        direction: Direction,
    ) -> Result<Remap, DockerError> {
        let help = match ExistingRoot::all(data_root) {
            Ok(roots) if !roots.is_empty() => NoRanges::HasRoots(data_root, roots),
            Ok(_) if direction == Direction::Into => NoRanges::MayBeCreated,
            _ => NoRanges::Nothing,
        };
        Remap::resolve_or(value, &help)
    }

    fn resolve_or(value: &str, help: &NoRanges<'_>) -> Result<Remap, DockerError> {
        let bad_with = |reason: String, help: &str| DockerError::Remap {
            value: value.to_string(),
            reason,
            help: help.to_string(),
        };
        let bad = |reason: String| bad_with(reason, "");
        let (user, group) = match value.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (value, None),
        };
        let number = user.parse::<u32>().ok();
        let found = match number {
            Some(uid) => User::from_uid(Uid::from_raw(uid)),
            None if user == "default" => User::from_name(DEFAULT_USER),
            None => User::from_name(user),
        };
        let found = found.ok().flatten().ok_or_else(|| match user {
            "default" => bad(help.of_user()),
            "" => bad("it is empty: dockerd would run without user namespaces".into()),
            _ => bad_with(
                format!("there is no user {user} in /etc/passwd"),
                ". Name one that is there",
            ),
        })?;
        if found.uid.is_root() {
            return Err(bad(
                "root is not remapped to itself: dockerd would run without user namespaces".into(),
            ));
        }
        // A number alone means the group of that number too, a name alone the group of that name.
        let group = group.unwrap_or(match number {
            Some(_) => user,
            None => &found.name,
        });
        let group_exists = match group.parse::<u32>() {
            Ok(gid) => Group::from_gid(Gid::from_raw(gid)),
            Err(_) => Group::from_name(group),
        };
        if group_exists.ok().flatten().is_none() {
            let help = match (group == DEFAULT_USER, help) {
                (true, NoRanges::MayBeCreated) => {
                    format!(". `groupadd -r {group}` makes it; {CREATE_USER_TOO}")
                }
                (true, _) => format!(". `groupadd -r {group}` makes it"),
                (false, _) => {
                    format!(". Name one that is there, as in --userns-remap {user}:GROUP")
                }
            };
            let reason = format!("there is no group {group} in /etc/group");
            return Err(bad_with(reason, &help));
        }
        let (uids, gids) = (subid_file("/etc/subuid")?, subid_file("/etc/subgid")?);
        let uid = Some(found.uid.as_raw());
        let missing = MissingRanges::of(&found.name, uid, [&uids, &gids]);
        if let Some(missing) = missing.filter(MissingRanges::has_any) {
            return Err(bad(help.of_ranges(&found.name, &missing)));
        }
        Remap::of_lines(&found.name, Some(found.uid.as_raw()), &uids, &gids)
    }
}

/// What helps a user that is not there, or has no ranges.
enum NoRanges<'a> {
    /// What makes it.
    Nothing,
    /// So does a migration.
    MayBeCreated,
    /// The ranges of remapped roots that are in this data-root.
    HasRoots(&'a Path, Vec<ExistingRoot>),
}

impl NoRanges<'_> {
    /// There is no user of dockerd's own.
    fn of_user(&self) -> String {
        let none = format!("there is no user {DEFAULT_USER}");
        if let NoRanges::MayBeCreated = self {
            return format!("{none}. {CREATE_USER_AS_DOCKERD}");
        }
        if let Some(back) = self.of_roots(DEFAULT_USER) {
            return format!("{none}. {back}");
        }
        let missing = || {
            let (uids, gids) = (
                subid_file("/etc/subuid").ok()?,
                subid_file("/etc/subgid").ok()?,
            );
            MissingRanges::of(DEFAULT_USER, None, [&uids, &gids])
        };
        missing().map_or(none, |missing| missing.to_string())
    }

    /// A user has no lines.
    fn of_ranges(&self, user: &str, missing: &MissingRanges) -> String {
        match (self, self.of_roots(user)) {
            (_, Some(back)) => format!("{}. {back}", missing.what()),
            (NoRanges::MayBeCreated, _) if user == DEFAULT_USER => {
                format!("{missing}. {CREATE_USER_TOO}")
            }
            _ => missing.to_string(),
        }
    }

    fn of_roots(&self, user: &str) -> Option<String> {
        let NoRanges::HasRoots(top, roots) = self else {
            return None;
        };
        existing_roots::ranges_of(roots, user, top).ok().flatten()
    }
}
