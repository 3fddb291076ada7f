//! Whether a tree is, holds or is part of a Docker data-root, in which not everything belongs to containers.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, accessat};

use super::UnsuitableRoot;
use crate::fs::{Root, dir};

/// Directories of the tree that are looked into for a data-root, at most.
const MOST: usize = 4096;

/// What a data-root has, plain or remapped.
const SIGNS: [&str; 4] = [
    "containers",
    "image",
    "network/files",
    "volumes/metadata.db",
];

/// Refuses a directory that a Docker daemon works in, plain or remapped; one with such a directory in it, unless it is
/// left out; and a part of such a directory, but for a volume. `crossing`: mounts below it count too.
///
/// What is deeper than two levels is not looked for: a data-root mostly is `/data/docker` or the like, and the check comes
/// before a walk of everything.
///
/// # Errors
/// Names the command that is meant.
pub fn check_no_data_root(
    root: &Root,
    crossing: bool,
    is_left_out: impl Fn(&Path) -> bool,
) -> Result<(), UnsuitableRoot> {
    let path = root.path.clone();
    let has_signs = |path: &Path| SIGNS.iter().all(|sign| path.join(sign).exists());
    if has_signs(&path) {
        return Err(UnsuitableRoot::DataRoot { path });
    }
    let above = path.ancestors().skip(1).find(|above| has_signs(above));
    if let Some(root) = above.filter(|root| !is_of_volume(root, &path)) {
        let root = root.to_path_buf();
        return Err(UnsuitableRoot::InDataRoot { path, root });
    }
    let search = Search {
        crossing,
        is_left_out: &is_left_out,
    };
    match search.below(root) {
        Some(below) => Err(UnsuitableRoot::HoldsDataRoot {
            root: path.join(below),
            path,
        }),
        None => Ok(()),
    }
}

/// `volumes/NAME` and what is below: all of it belongs to containers.
fn is_of_volume(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut names = below.components();
    names.next() == Some(Component::Normal("volumes".as_ref())) && names.next().is_some()
}

struct Search<'a> {
    crossing: bool,
    is_left_out: &'a dyn Fn(&Path) -> bool,
}

impl Search<'_> {
    /// The path of a data-root from the tree.
    fn below(&self, root: &Root) -> Option<PathBuf> {
        let top = dir::open_dir(root.pin.as_fd(), c".").ok()?;
        let mut next = Vec::new();
        for name in directories(&top).into_iter().take(MOST) {
            let Some(child) = self.open(top.as_fd(), &name) else {
                continue;
            };
            if self.is_met(&child, &name) {
                return Some(name);
            }
            // Open handles would be as many as the directories are.
            next.push(name);
        }
        for name in next {
            let Some(child) = self.open(top.as_fd(), &name) else {
                continue;
            };
            for below in directories(&child) {
                let path = name.join(&below);
                if let Some(grandchild) = self.open(child.as_fd(), &below)
                    && self.is_met(&grandchild, &path)
                {
                    return Some(path);
                }
            }
        }
        None
    }

    fn open(&self, parent: BorrowedFd<'_>, name: &Path) -> Option<OwnedFd> {
        match self.crossing {
            true => dir::open_dir(parent, name).ok(),
            false => dir::open_dir_of_mount(parent, name).ok(),
        }
    }

    fn is_met(&self, dir: &OwnedFd, path: &Path) -> bool {
        let is_there = |sign: &&str| accessat(dir, *sign, Access::EXISTS, AtFlags::empty()).is_ok();
        SIGNS.iter().all(is_there) && !(self.is_left_out)(path)
    }
}

fn directories(dir: &OwnedFd) -> Vec<PathBuf> {
    // Opened anew by another function, it would get another time of access.
    let read = dir.try_clone().map(rustix::fs::Dir::new);
    let entries = read.into_iter().flatten().flatten().flatten();
    // Not every filesystem tells: what is no directory is not opened as one.
    let may_be_one = [FileType::Directory, FileType::Unknown];
    let names = entries.filter(|entry| may_be_one.contains(&entry.file_type()));
    names
        .map(|entry| PathBuf::from(OsStr::from_bytes(entry.file_name().to_bytes())))
        .filter(|name| name.as_os_str() != "." && name.as_os_str() != "..")
        .collect()
}
