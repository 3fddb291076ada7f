//! Whether what is seen of trees is what is on disk, and is seen once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::containing_mount::{ContainingMount, mount_of};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::mount_view::View;
use crate::fs::mountinfo::{self, Mount};
use crate::fs::{PinnedFile, Root};
use crate::guidance::Guidance;

/// Why trees are refused because of the mounts that show them.
#[derive(Debug, Error)]
pub enum MountViewError {
    /// The owners that are seen are not those on disk.
    #[error(
        "{path}: is seen through an idmapped mount ({point}), so its owners on disk are not those shown. {}",
        on_disk(point, below.as_deref(), *.names_trees), path = escaped(path), point = escaped(point)
    )]
    Idmapped {
        /// The tree, or what is mounted below it.
        path: PathBuf,
        /// The mount point.
        point: PathBuf,
        /// Its path below the tree.
        below: Option<PathBuf>,
        /// The command names trees, and what is left out of them.
        names_trees: bool,
    },
    /// A tree is seen through an idmapped mount whose mount point lies outside of the chroot.
    #[error(
        "{path}: is seen through an idmapped mount whose mount point is outside of this chroot, so its owners \
        on disk are not those shown. {OUTSIDE}",
        path = escaped(path)
    )]
    IdmappedOutside {
        /// The tree.
        path: PathBuf,
    },
    /// Whether two paths lead to the same files is not known.
    #[error(
        "{one}: is on the same filesystem as {other}, and idshift cannot tell whether both show the same \
        files, because the mount of this chroot is not in /proc/self/mountinfo. Run idshift outside of the chroot",
        one = escaped(one), other = escaped(other)
    )]
    PerhapsSeenTwice {
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Two paths lead to the same files.
    #[error(
        "{one}: shows files that are also seen at {other} (a bind mount, or a filesystem mounted twice; \
         `findmnt {}` shows which), and each is to be shifted once. {}",
        shell_word(point), once(point, .below.as_deref(), *.names_trees), one = escaped(one), other = escaped(other)
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
        /// The command names trees, and what is left out of them.
        names_trees: bool,
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

const OUTSIDE: &str = "Run idshift outside of the chroot, on the path where the files are on disk; \
                       `findmnt -o TARGET,SOURCE,FSROOT,OPTIONS` shows it there";

/// `--exclude` takes a glob: what means something in one is escaped.
fn leave_out(below: &Path) -> String {
    let mut glob = Vec::new();
    for byte in below.as_os_str().as_bytes() {
        if br"*?[]{}\".contains(byte) {
            glob.push(b'\\');
        }
        glob.push(*byte);
    }
    let glob = OsString::from_vec(glob);
    Guidance::LeaveOutPath(&shell_word(glob.as_ref())).to_string()
}

fn on_disk(point: &Path, below: Option<&Path>, names_trees: bool) -> String {
    let point = shell_word(point);
    if !names_trees {
        return format!("`idshift umount {point}`, then run this again");
    }
    let source = format!(
        "`findmnt -o SOURCE,FSROOT {point}` shows where the files are on disk: name that path"
    );
    match below {
        None => format!("{source}, or `idshift umount {point}`"),
        Some(below) => format!(
            "{}, or `idshift umount {point}`; {source}",
            leave_out(below)
        ),
    }
}

fn once(point: &Path, below: Option<&Path>, names_trees: bool) -> String {
    match below {
        _ if !names_trees => format!("`umount {}`, then run this again", shell_word(point)),
        Some(below) => leave_out(below),
        None => "Name one of the two only".into(),
    }
}

impl MountViewError {
    /// What helps where the owners that are seen are not those on disk.
    pub fn help(&self) -> Option<String> {
        match self {
            MountViewError::Idmapped {
                point,
                below,
                names_trees,
                ..
            } => Some(on_disk(point, below.as_deref(), *names_trees)),
            MountViewError::IdmappedOutside { .. } => Some(OUTSIDE.into()),
            _ => None,
        }
    }

    /// The mount point of an idmapped mount.
    pub fn idmapped_point(&self) -> Option<&Path> {
        match self {
            MountViewError::Idmapped { point, .. } => Some(point),
            _ => None,
        }
    }
}

/// The idmapped mount that a directory or file is seen through. `None`: there is none, or it is unknown. It is not opened:
/// not even root may read what has an owner there that is not mapped.
pub fn idmapped(path: &Path) -> Option<MountViewError> {
    let path = std::fs::canonicalize(path).ok()?;
    let pin = PinnedFile::exactly(&path).ok()?;
    let mounts = mountinfo::of_this_thread().ok()?;
    match mount_of(&pin, &mounts).ok()? {
        ContainingMount::Listed(mount) if mount.idmapped => Some(MountViewError::Idmapped {
            path,
            point: mount.point.clone(),
            below: None,
            names_trees: true,
        }),
        ContainingMount::Unlisted { idmapped: true, .. } => {
            Some(MountViewError::IdmappedOutside { path })
        }
        _ => None,
    }
}

/// How trees are walked.
#[derive(Clone, Copy)]
pub struct Walked<'a> {
    /// Also what is mounted in them.
    pub cross_mounts: bool,
    /// The command names them: it does not take them from a journal.
    pub names_trees: bool,
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
    let mut unlisted: Vec<Mount> = Vec::new();
    for root in roots {
        let found = mount_of(&root.pin, &mounts).map_err(unknown(&root.path))?;
        if let ContainingMount::Unlisted { idmapped: true, .. } = found {
            let path = root.path.clone();
            return Err(MountViewError::IdmappedOutside { path });
        }
        unlisted.extend(as_top_of_chroot(found));
    }
    let is_unlisted = |view: &View<'_>| unlisted.iter().any(|own| own.id == view.mount.id);
    let mut seen: Vec<View<'_>> = Vec::new();
    for (number, root) in roots.iter().enumerate() {
        let is_tree = number < trees;
        let id = mountinfo::id_of(&root.pin).map_err(unknown(&root.path))?;
        let own = mounts.iter().chain(&unlisted).find(|mount| mount.id == id);
        let view = own.and_then(|own| View::at(&root.path, own, &mounts));
        let view = view.ok_or_else(|| unknown(&root.path)(io::ErrorKind::NotFound.into()))?;
        for view in views((number, root), view, &mounts, walked, is_tree) {
            let below = || below(&root.path, &view);
            if view.mount.idmapped {
                return Err(MountViewError::Idmapped {
                    path: view.at.clone(),
                    point: view.mount.point.clone(),
                    below: below(),
                    names_trees: walked.names_trees,
                });
            }
            if !is_tree {
                continue;
            }
            let perhaps = seen.iter().find(|other| {
                let same_mount = other.mount.id == view.mount.id;
                let is_known = !is_unlisted(&view) && !is_unlisted(other);
                !is_known && !same_mount && other.mount.device == view.mount.device
            });
            if let Some(other) = perhaps {
                return Err(MountViewError::PerhapsSeenTwice {
                    one: view.at.clone(),
                    other: other.at.clone(),
                });
            }
            let twice = seen.iter().find(|other| view.shares_inodes_with(other));
            if let Some(other) = twice {
                return Err(MountViewError::SeenTwice {
                    one: view.at.clone(),
                    other: other.at.clone(),
                    point: view.mount.point.clone(),
                    below: below(),
                    names_trees: walked.names_trees,
                });
            }
            seen.push(view);
        }
    }
    Ok(())
}

/// A mount whose mount point lies outside of the chroot of this process, as if that were its top.
fn as_top_of_chroot(found: ContainingMount<'_>) -> Option<Mount> {
    match found {
        ContainingMount::Listed(_) => None,
        ContainingMount::Unlisted {
            id,
            idmapped,
            device,
        } => Some(Mount {
            id,
            parent: 0,
            device,
            fs_type: String::new(),
            root: "/".into(),
            point: "/".into(),
            read_only: false,
            idmapped,
            settings: HashMap::new(),
            options: String::new(),
        }),
    }
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
    let is_wanted = |point: &Path| {
        let below = point.strip_prefix(&root.path).unwrap_or(point);
        let is_excluded = |path: &Path| (walked.is_excluded)(number, path);
        !below.ancestors().any(is_excluded)
    };
    view.with_all_below(mounts, &is_wanted)
}

fn below(root: &Path, view: &View<'_>) -> Option<PathBuf> {
    let below = view.at.strip_prefix(root).ok()?;
    (!below.as_os_str().is_empty()).then(|| below.to_path_buf())
}
