//! Which trees are not shifted at all, and why.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::escape::{escaped, shell_word};
use crate::guidance::Guidance;
use crate::ownership::FileType;

/// Why a root is left alone.
#[derive(Debug, Error)]
pub enum UnsuitableRoot {
    /// The path belongs to the operating system, or merely holds what belongs to others.
    #[error("{}: {why}. {}", escaped(path), Guidance::AllowSystemPath)]
    System {
        /// The root.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// A directory that a Docker daemon works in.
    #[error(
        "{path}: is a Docker data-root, in which not everything belongs to containers. {}",
        of_data_root(path), path = escaped(path)
    )]
    DataRoot {
        /// The root.
        path: PathBuf,
    },
    /// A directory in one.
    #[error(
        "{path}: is a part of the Docker data-root {shown}, in which not everything belongs to containers. {}",
        of_data_root(root), path = escaped(path), shown = escaped(root)
    )]
    InDataRoot {
        /// The directory.
        path: PathBuf,
        /// The data-root.
        root: PathBuf,
    },
    /// A directory that has one in it.
    #[error(
        "{path}: holds the Docker data-root {shown}, in which not everything belongs to containers. Name the directories beside \
         it. {}",
        of_data_root(root), path = escaped(path), shown = escaped(root)
    )]
    HoldsDataRoot {
        /// The directory.
        path: PathBuf,
        /// The data-root.
        root: PathBuf,
    },
    /// What a daemon listens on, or what is not a file at all.
    #[error(
        "{}: is {kind}; shifting it gives a container's user rights on what is behind it. {}",
        escaped(path),
        Guidance::AllowSystemPath
    )]
    Kind {
        /// The root.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The mount is read-only.
    #[error(
        "{}: is mounted read-only, so nothing in it can be changed. `{remount} {}` makes it writable where the \
         filesystem can be written{}",
        escaped(path), shell_word(point), below_help(*.below)
    )]
    ReadOnly {
        /// The root, or what is mounted below it.
        path: PathBuf,
        /// Its mount point.
        point: PathBuf,
        /// The command that makes it writable.
        remount: &'static str,
        /// It is mounted below the root.
        below: bool,
    },
    /// A subvolume of btrfs that is read-only, as snapshots often are.
    #[error(
        "{}: is in the read-only subvolume {}, so no owner can be changed. Shift a writable snapshot of it \
         (`btrfs subvolume snapshot {word} NEW`), or make it writable: `btrfs property set -ts {word} ro false`",
        escaped(path), escaped(subvolume), word = shell_word(subvolume)
    )]
    ReadOnlySubvolume {
        /// The root.
        path: PathBuf,
        /// The subvolume.
        subvolume: PathBuf,
    },
    /// The filesystem cannot keep the owners it is given.
    #[error("{}: is on {name}, {why}. {help}{}", escaped(path), below_help(*.below))]
    Filesystem {
        /// The root.
        path: PathBuf,
        /// The filesystem's type.
        name: Cow<'static, str>,
        /// Why it cannot.
        why: &'static str,
        /// What can be done instead.
        help: &'static str,
        /// It is mounted below the root.
        below: bool,
    },
    /// Entries cannot get another place in one moment there.
    #[error(
        "{}: is on {name}, which lacks {flag} (renameat2(2)): without that, idshift cannot rename safely. {}",
        escaped(path), rename_help(*.is_tree, path)
    )]
    RenameFlag {
        /// The directory.
        path: PathBuf,
        /// The filesystem's type.
        name: String,
        /// What it lacks.
        flag: &'static str,
        /// It is a tree that is shifted, and not only the directory of a file that is written.
        is_tree: bool,
    },
    /// Whether they can could not be found out.
    #[error(
        "{}: {source}. Whether entries can be exchanged there (renameat2(2)) is tried in a directory of that name; \
         if one is there, `rm -r {}` removes it",
        escaped(path),
        shell_word(path)
    )]
    RenameUntried {
        /// The directory that is made for it.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel does not tell what the filesystem is.
    #[error(
        "{}: cannot tell what filesystem it is on: {source}. `stat -f` on it shows whether it answers",
        escaped(path)
    )]
    Unknown {
        /// The root.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

fn rename_help(is_tree: bool, path: &Path) -> String {
    match is_tree {
        true => format!(
            "If it is a view of a directory on disk, name that directory. Otherwise stop what uses it, copy it to ext4, \
             xfs or btrfs (`cp -a {} NEW`) and have the copy used instead",
            shell_word(path)
        ),
        false => Guidance::WriteDaemonJsonByHand.to_string(),
    }
}

/// What also helps of a mount below the tree.
fn below_help(below: bool) -> String {
    match below {
        true => format!("; or {}", Guidance::LeaveOutMount),
        false => String::new(),
    }
}

impl UnsuitableRoot {
    /// The filesystem shows whatever owners it is mounted with.
    pub fn is_of_mount_options(&self) -> bool {
        matches!(self, UnsuitableRoot::Filesystem { why, .. } if *why == super::refused_types::Obstacle::NoOwners.why())
    }
}

/// Refuses a root that is not a directory and no file: a socket such as docker.sock, a device.
///
/// # Errors
/// Says what it is.
pub fn check_kind(root: &crate::fs::Root) -> Result<(), UnsuitableRoot> {
    let kind = match root.file_type {
        FileType::Socket => "a socket",
        FileType::BlockDevice => "a block device",
        FileType::CharDevice => "a character device",
        _ => return Ok(()),
    };
    Err(UnsuitableRoot::Kind {
        path: root.path.clone(),
        kind,
    })
}

/// What helps where this data-root is named, plain or remapped.
fn of_data_root(root: &Path) -> String {
    let name = root.file_name().and_then(|name| name.to_str());
    let is_remapped = name
        .and_then(|name| name.split_once('.'))
        .is_some_and(|ids| {
            let is_id = |id: &str| id.parse::<u32>().is_ok();
            is_id(ids.0) && is_id(ids.1)
        });
    match root.parent().filter(|_| is_remapped) {
        Some(top) => Guidance::RemappedRoot(&shell_word(root), &shell_word(top)).to_string(),
        None => Guidance::MigrateDataRoot(&shell_word(root)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_refusal_quotes_a_path_with_blanks() {
        let path = PathBuf::from("/srv/my docker");
        let said = UnsuitableRoot::DataRoot { path }.to_string();
        assert!(
            said.contains("`idshift docker migrate --data-root '/srv/my docker'`"),
            "{said}"
        );
        let path = PathBuf::from("/srv/my docker/100000.100000/volumes");
        let root = PathBuf::from("/srv/my docker/100000.100000");
        let said = UnsuitableRoot::InDataRoot { path, root }.to_string();
        assert!(
            said.contains("`idshift docker audit --data-root '/srv/my docker'`"),
            "{said}"
        );
    }
}
