//! Whether an idmapped root was copied, restored or moved file by file since it was made.
//!
//! All inodes are new then, and their times say nothing of the migration. So the record of a root names some directories of the
//! daemon by inode number and time of birth, which a rename keeps and a copy does not. The device is not named: the same
//! disk may be another one at the next boot, and a copy of its blocks is as good as the disk.

use std::path::Path;

use super::IdmappedRoot;
use crate::docker::DockerError;
use crate::fs::escape::escaped;
use crate::fs::{Identity, PinnedFile};

/// Before the name of a directory, its inode number and its time of birth, in the record of a root.
pub(super) const INODE: &str = "inode ";

/// Directories that a daemon makes once, and keeps for good.
const NAMES: [&str; 4] = ["containers", "volumes", "image", "overlay2"];

/// Of these, those that are the same where images of a containerd store become layers.
const NOT_CONVERTED: &[&str] = &["containers", "volumes"];

/// What a person should know of such a root; `content`: where it is on disk.
pub fn describe(content: &Path) -> String {
    format!(
        "{} was copied or restored file by file since it was migrated (its inodes are others). For files in layers and volumes \
         with an id of the range, idshift cannot tell whether they had it before the migration",
        escaped(content)
    )
}

/// One directory, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    name: String,
    identity: Identity,
}

impl Recorded {
    /// What a line of the record says.
    pub fn read(line: &str) -> Option<Recorded> {
        let mut words = line.strip_prefix(INODE)?.split(' ');
        let (name, ino, born) = (words.next()?, words.next()?, words.next()?);
        let is_known = NAMES.contains(&name) && words.next().is_none();
        is_known.then_some(Recorded {
            name: name.into(),
            identity: Identity {
                ino: ino.parse().ok()?,
                born: born.parse().ok()?,
            },
        })
    }

    fn line(&self) -> String {
        let Identity { ino, born } = self.identity;
        format!("{INODE}{} {ino} {born}\n", self.name)
    }
}

/// The lines of the record of a root that is made of this docker root.
pub(super) fn lines(docker_root: &Path, is_converted: bool) -> Result<String, DockerError> {
    let wanted = match is_converted {
        true => NOT_CONVERTED,
        false => &NAMES[..],
    };
    let mut lines = String::new();
    for name in wanted {
        if let Some(identity) = identity(&docker_root.join(name))? {
            let name = name.to_string();
            lines += &Recorded { name, identity }.line();
        }
    }
    Ok(lines)
}

/// Of a directory; `None`: there is none.
fn identity(path: &Path) -> Result<Option<Identity>, DockerError> {
    match PinnedFile::path(path).and_then(|pin| pin.stat()) {
        Ok(stat) => Ok(stat.is_dir().then_some(stat.identity)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(DockerError::io(path)(errno.into())),
    }
}

impl IdmappedRoot {
    /// Whether it was, or that cannot be told: its record names no directory that is there, or its filesystem keeps no
    /// times of birth.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_copied(&self) -> Result<bool, DockerError> {
        let content = self.content();
        let mut is_same = false;
        for recorded in &self.inodes {
            match identity(&content.join(&recorded.name))? {
                None => {}
                Some(found) if found == recorded.identity && found.born != 0 => is_same = true,
                Some(_) => return Ok(true),
            }
        }
        Ok(!is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for name in NAMES {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        for (is_converted, expected) in [(false, 4), (true, 2)] {
            let lines = lines(dir.path(), is_converted).unwrap();
            let read: Vec<Recorded> = lines.lines().filter_map(Recorded::read).collect();
            assert_eq!(read.len(), expected, "{lines}");
            let again: String = read.iter().map(Recorded::line).collect();
            assert_eq!(again, lines);
        }
        for line in [
            "inode volumes 1",
            "inode .. 1 2",
            "inode volumes x 2",
            "inode volumes 1 2 3",
            "volumes 1 2",
        ] {
            assert_eq!(Recorded::read(line), None, "{line}");
        }
    }
}
