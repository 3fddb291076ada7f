//! The user and ranges that dockerd makes for itself when it is told `--userns-remap=default`.

use std::path::Path;
use std::process::Command;

use nix::unistd::User;

use super::DockerError;
use super::remap::{DEFAULT_USER, Remap, subid_file};
use crate::idmap::SubidFile;

/// First id dockerd gives away, and how many (moby `pkg/idtools/usergroupadd_linux.go`).
const FIRST: u32 = 100_000;
const COUNT: u32 = 65_536;

/// The two files, with the option of usermod(8) that gives a range in each.
const FILES: [(&str, &str); 2] = [("/etc/subuid", "-v"), ("/etc/subgid", "-w")];

/// What is missing of the user and its two ranges.
#[derive(Clone, Debug)]
pub struct NewUser {
    makes_user: bool,
    /// First ids of the ranges that are to be given, in the order of the files.
    starts: [Option<u32>; 2],
    /// The map there is then.
    pub remap: Remap,
}

impl NewUser {
    /// Looks what is missing; changes nothing.
    ///
    /// # Errors
    /// A file cannot be read, or has no room for a range.
    pub fn plan() -> Result<NewUser, DockerError> {
        let user = User::from_name(DEFAULT_USER).ok().flatten();
        let uid = user.as_ref().map(|user| user.uid.as_raw());
        let mut starts = [None; 2];
        let mut files = Vec::new();
        for ((path, _), start) in FILES.into_iter().zip(&mut starts) {
            let mut file = subid_file(path)?;
            if file.lines_for(DEFAULT_USER, uid).is_empty() {
                let ranges = file.lines().iter().map(|line| (line.start, line.count));
                let free = free_start(ranges.collect()).ok_or_else(|| {
                    DockerError::in_the_way(path, "there is no room for another range of 65536 ids")
                })?;
                *start = Some(free);
                let line = format!("{DEFAULT_USER}:{free}:{COUNT}\n");
                file = SubidFile::parse(line.as_bytes(), path)?;
            }
            files.push(file);
        }
        Ok(NewUser {
            makes_user: user.is_none(),
            starts,
            remap: Remap::of_lines(DEFAULT_USER, uid, &files[0], &files[1])?,
        })
    }

    /// What is to be made, for people; empty where nothing is missing.
    pub fn missing(&self) -> Vec<String> {
        let user = self.makes_user.then(|| format!("user {DEFAULT_USER}"));
        let ranges = self
            .ranges()
            .map(|(path, _, range)| format!("{range} in {path}"));
        user.into_iter().chain(ranges).collect()
    }

    fn ranges(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        FILES
            .into_iter()
            .zip(self.starts)
            .filter_map(|((path, option), start)| {
                let start = start?;
                Some((path, option, format!("{start}-{}", start + (COUNT - 1))))
            })
    }

    /// Makes it, with shadow-utils.
    ///
    /// # Errors
    /// They would not; with what they said.
    pub fn make(&self) -> Result<(), DockerError> {
        if self.makes_user {
            run("useradd", &["-r", "-s", "/bin/false", DEFAULT_USER])?;
        }
        for (_, option, range) in self.ranges() {
            run("usermod", &[option, &range, DEFAULT_USER])?;
        }
        Ok(())
    }
}

/// The first room for a range behind or between those that are given away.
fn free_start(mut ranges: Vec<(u32, u32)>) -> Option<u32> {
    ranges.sort();
    let start = ranges.into_iter().try_fold(FIRST, |start, (from, count)| {
        let end = from.checked_add(count)?;
        let overlaps = start < end && from < start.checked_add(COUNT)?;
        Some(if overlaps { end } else { start })
    })?;
    start.checked_add(COUNT).map(|_| start)
}

fn run(program: &str, args: &[&str]) -> Result<(), DockerError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_lies_on_no_other() {
        assert_eq!(free_start(vec![]), Some(100_000));
        assert_eq!(free_start(vec![(100_000, 65_536)]), Some(165_536));
        assert_eq!(free_start(vec![(300_000, 65_536)]), Some(100_000));
        assert_eq!(
            free_start(vec![(165_536, 65_536), (120_000, 10)]),
            Some(231_072)
        );
        assert_eq!(
            free_start(vec![(4_294_900_000, 65_536), (100_000, 4_294_800_000)]),
            None
        );
    }
}
