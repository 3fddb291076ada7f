//! The user and ranges that dockerd makes for itself when it is told `--userns-remap=default`.

use std::path::Path;
use std::process::Command;

use nix::unistd::User;

use super::DockerError;
use super::remap::DEFAULT_USER;
use crate::idmap::SubidFile;

/// First id dockerd gives away, and how many (moby `pkg/idtools/usergroupadd_linux.go`).
const FIRST: u32 = 100_000;
const COUNT: u32 = 65_536;

/// Makes the user and its two ranges, each only where it is missing; tells what was made.
///
/// # Errors
/// shadow-utils would not; with what they said.
pub fn create_user() -> Result<Vec<String>, DockerError> {
    let mut made = Vec::new();
    if User::from_name(DEFAULT_USER).ok().flatten().is_none() {
        run("useradd", &["-r", "-s", "/bin/false", DEFAULT_USER])?;
        made.push(format!("user {DEFAULT_USER}"));
    }
    let uid = User::from_name(DEFAULT_USER)
        .ok()
        .flatten()
        .map(|user| user.uid.as_raw());
    for (path, option) in [("/etc/subuid", "-v"), ("/etc/subgid", "-w")] {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(DockerError::io(path))?,
        };
        let file = SubidFile::parse(&text, path)?;
        if file.lines_for(DEFAULT_USER, uid).is_empty() {
            let ranges = file.lines().iter().map(|line| (line.start, line.count));
            let start = free_start(ranges.collect()).ok_or_else(|| {
                DockerError::in_the_way(path, "there is no room for another range of 65536 ids")
            })?;
            let range = format!("{start}-{}", start + (COUNT - 1));
            run("usermod", &[option, &range, DEFAULT_USER])?;
            made.push(format!("{range} in {path}"));
        }
    }
    Ok(made)
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
