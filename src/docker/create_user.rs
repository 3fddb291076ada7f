//! The user, group and ranges that dockerd makes for itself when it is told `--userns-remap=default`.

use std::path::Path;
use std::process::Command;

use nix::unistd::{Group, User};

use super::DockerError;
use super::remap::{Remap, subid_file};
use crate::host::missing_ranges::{MissingRanges, line};
use crate::idmap::SubidFile;
use crate::idmap::subid::DEFAULT_USER;

/// What is missing of the user, its group and its two ranges.
#[derive(Clone, Debug)]
pub struct NewUser {
    missing: MissingRanges,
    /// The user is there without a group of its name, which dockerd asks for.
    lacks_group: bool,
    /// The map there is then.
    pub remap: Remap,
}

impl NewUser {
    /// Finds out what is missing. Changes nothing.
    ///
    /// # Errors
    /// A file cannot be read, or has no room for a range.
    pub fn plan() -> Result<NewUser, DockerError> {
        let user = User::from_name(DEFAULT_USER).ok().flatten();
        let uid = user.map(|user| user.uid.as_raw());
        let (uids, gids) = (subid_file("/etc/subuid")?, subid_file("/etc/subgid")?);
        let missing = MissingRanges::of(DEFAULT_USER, uid, [&uids, &gids]).ok_or_else(|| {
            let reason = "it has no free range of 65536 ids, or /etc/subgid has none";
            DockerError::in_the_way("/etc/subuid", reason)
        })?;
        let with = |file: SubidFile, path: &str, start: Option<u32>| match start {
            Some(start) => SubidFile::parse(line(DEFAULT_USER, start).as_bytes(), path),
            None => Ok(file),
        };
        let [uid_start, gid_start] = missing.starts();
        let uids = with(uids, "/etc/subuid", uid_start)?;
        let gids = with(gids, "/etc/subgid", gid_start)?;
        Ok(NewUser {
            missing,
            lacks_group: uid.is_some() && !has_group(),
            remap: Remap::of_lines(DEFAULT_USER, uid, &uids, &gids)?,
        })
    }

    /// What is to be made, for people; empty where nothing is missing.
    pub fn missing(&self) -> Vec<String> {
        let group = self.lacks_group.then(|| format!("group {DEFAULT_USER}"));
        group.into_iter().chain(self.missing.list()).collect()
    }

    /// Makes it, with shadow-utils.
    ///
    /// # Errors
    /// They failed; with their messages.
    pub fn make(&self) -> Result<(), DockerError> {
        for command in self.missing.commands() {
            if let [program, args @ ..] = &command[..] {
                run(program, args)?;
            }
        }
        // useradd(8) makes it where login.defs(5) says so.
        match has_group() {
            true => Ok(()),
            false => run("groupadd", &["-r".into(), DEFAULT_USER.into()]),
        }
    }
}

fn has_group() -> bool {
    Group::from_name(DEFAULT_USER).ok().flatten().is_some()
}

fn run(program: &str, args: &[String]) -> Result<(), DockerError> {
    let path = Path::new(program);
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(DockerError::io(path))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            path,
            format!(
                "{} {}: {}",
                program,
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        )),
    }
}
