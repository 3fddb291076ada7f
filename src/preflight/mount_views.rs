//! Whether what is seen of trees is what is on disk, and is seen once.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::Root;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::mount_view::View;
use crate::fs::mountinfo::{self, Mount};

/// Why trees are not shifted by what is seen of them.
#[derive(Debug, Error)]
pub enum MountViewError {
    /// The owners that are seen are not those on disk.
    #[error(
        "{path}: is seen through an idmapped mount ({point}), so its owners on disk are others than those shown. {}",
        on_disk(point, below.as_deref()), path = escaped(path), point = escaped(point)
    )]
    Idmapped {
        /// The tree, or what is mounted below it.
        path: PathBuf,
        /// The mount point.
        point: PathBuf,
        /// Its path below the tree.
        below: Option<PathBuf>,
    },
    /// Two paths lead to the same files.
    #[error(
        "{one}: shows files that are also seen at {other} (a bind mount, or a filesystem mounted twice; \
         `findmnt {}` shows which), and each is to be shifted once. {}",
        shell_word(point), once(.below.as_deref()), one = escaped(one), other = escaped(other)
    )]
    SeenTwice {
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// The mount point of the first.
        point: PathBuf,
        /// What is mounted below a tree.
        below: Option<PathBuf>,
    },
    /// The mounts cannot be read.
    #[error("{path}: cannot tell what is mounted there: {source}. Is /proc mounted? `mount -t proc proc /proc` helps", path = escaped(path))]
    Unknown {
        /// The tree.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn on_disk(point: &Path, below: Option<&Path>) -> String {
    let point = shell_word(point);
    let source = format!(
        "`findmnt -o SOURCE,FSROOT {point}` shows where the files are on disk: name that path"
    );
    match below {
        None => format!("{source}, or `umount {point}`"),
        Some(below) => format!(
            "Leave it out with --exclude {}, or `umount {point}`; {source}",
            shell_word(below)
        ),
    }
}

fn once(below: Option<&Path>) -> String {
    match below {
        Some(below) => format!("Leave it out with --exclude {}", shell_word(below)),
        None => "Name one of the two only".into(),
    }
}

/// How trees are walked.
#[derive(Clone, Copy)]
pub struct Walked<'a> {
    /// Also what is mounted in them.
    pub cross_mounts: bool,
    /// Whether a path is left out, given the number of its tree and its place in that.
    pub is_excluded: &'a dyn Fn(usize, &Path) -> bool,
}

/// Refuses trees that are seen through an idmapped mount, and files that are seen by two paths. In roots behind the
/// first `trees`, only names are changed: they may hold trees.
///
/// # Errors
/// Names the paths.
pub fn check(roots: &[Root], trees: usize, walked: Walked<'_>) -> Result<(), MountViewError> {
    let Some(first) = roots.first() else {
        return Ok(());
    };
    let unknown = |path: &Path| {
        let path = path.to_path_buf();
        move |source| MountViewError::Unknown { path, source }
    };
    let mounts = mountinfo::of_this_thread().map_err(unknown(&first.path))?;
    let mut seen: Vec<View<'_>> = Vec::new();
    for (number, root) in roots.iter().enumerate() {
        let is_tree = number < trees;
        let id = mountinfo::id_of(&root.pin).map_err(unknown(&root.path))?;
        // A chroot whose top is no mount point does not show its own.
        let own = mounts.iter().find(|mount| mount.id == id);
        let Some(view) = own.and_then(|own| View::at(&root.path, own, &mounts)) else {
            continue;
        };
        for view in views((number, root), view, &mounts, walked, is_tree) {
            let below = || below(&root.path, &view);
            if view.mount.idmapped {
                return Err(MountViewError::Idmapped {
                    path: view.at.clone(),
                    point: view.mount.point.clone(),
                    below: below(),
                });
            }
            if !is_tree {
                continue;
            }
            let twice = seen.iter().find(|other| view.shares_inodes_with(other));
            if let Some(other) = twice {
                return Err(MountViewError::SeenTwice {
                    one: view.at.clone(),
                    other: other.at.clone(),
                    point: view.mount.point.clone(),
                    below: below(),
                });
            }
            seen.push(view);
        }
    }
    Ok(())
}

fn views<'m>(
    (number, root): (usize, &Root),
    view: View<'m>,
    mounts: &'m [Mount],
    walked: Walked<'_>,
    is_tree: bool,
) -> Vec<View<'m>> {
    if !walked.cross_mounts || !is_tree {
        return vec![view];
    }
    let goes = |point: &Path| {
        let below = point.strip_prefix(&root.path).unwrap_or(point);
        let is_excluded = |path: &Path| (walked.is_excluded)(number, path);
        !below.ancestors().any(is_excluded)
    };
    view.with_all_below(mounts, &goes)
}

fn below(root: &Path, view: &View<'_>) -> Option<PathBuf> {
    let below = view.at.strip_prefix(root).ok()?;
    (!below.as_os_str().is_empty()).then(|| below.to_path_buf())
}
