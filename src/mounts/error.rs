//! Why a host directory is not mounted or unmounted.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::escape::{escaped, shell_word};
use crate::fs::idmapped_mount::{IdmappedMountError, UnmountError};
use crate::fs::root::RootError;
use crate::host::systemd_unit::ProgramError;
use crate::journal::error::StoreError;
use crate::journal::run_lock::LockError;
use crate::preflight::homes::Claim;
use crate::preflight::in_use::{self, Use};
use crate::preflight::{self, UnsuitableRoot};

/// Why a mount is refused. Nothing was changed.
#[derive(Debug, Error)]
pub enum MountError {
    /// A path cannot be opened.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A path must not be mounted.
    #[error(transparent)]
    Unsuitable(#[from] UnsuitableRoot),
    /// It belongs to a login account.
    #[error(
        "{path}: {claim} as long as it is mounted. Mount it elsewhere (`idshift mount {word} TARGET`), or add \
        --allow-home if you mean this one", path = escaped(path), word = shell_word(path)
    )]
    Account {
        /// Where the mount would be.
        path: PathBuf,
        /// How it concerns a login account.
        claim: Claim,
    },
    /// The mount cannot be made.
    #[error("{path}: {source}{instead}", path = escaped(path), instead = instead(path, source))]
    Idmapped {
        /// What was to be mounted, or on what.
        path: PathBuf,
        /// Why not.
        source: IdmappedMountError,
    },
    /// It is mounted already, and not as it is asked for.
    #[error(
        "{path}: an idmapped mount is there already. `idshift mounts` shows it; `idshift umount {word}` \
        unmounts it",
        path = escaped(path), word = shell_word(path)
    )]
    There {
        /// Where.
        path: PathBuf,
    },
    /// The mount point lies in an idmapped mount.
    #[error(
        "{path}: lies in the idmapped mount on {point}. Take a TARGET outside of it, or unmount that one: \
         `idshift umount {word}`",
        path = escaped(path), point = escaped(point), word = shell_word(point)
    )]
    Inside {
        /// Where the mount would be.
        path: PathBuf,
        /// The mount point of the other one.
        point: PathBuf,
    },
    /// What is mounted below would not be seen.
    #[error(
        "{path}: {list} mounted below it, and would not be seen in the mount, which shows one filesystem. `umount` it, or \
         mount what is needed of {path} by itself, such as `idshift mount {first}`",
        path = escaped(path), list = listed(below), first = shell_word(&below[0])
    )]
    Submounts {
        /// The directory.
        path: PathBuf,
        /// The mount points; at least one.
        below: Vec<PathBuf>,
    },
    /// Target and source are of different kinds.
    #[error(
        "{target}: one of it and {source_path} is a file, and the other a directory; both must be of the same kind",
        target = escaped(target), source_path = escaped(source_path)
    )]
    Kind {
        /// Where.
        target: PathBuf,
        /// What.
        source_path: PathBuf,
    },
    /// Another run works on it.
    #[error(transparent)]
    Held(#[from] LockError),
    /// A run on it has not ended: some owners are changed and others not.
    #[error(transparent)]
    Unfinished(#[from] StoreError),
    /// There is nothing to unmount.
    #[error(
        "{path}: no idmapped mount is there. `idshift mounts` lists those there are{other}",
        path = escaped(path), other = other_mount(path, *.is_mount)
    )]
    NotMounted {
        /// The path.
        path: PathBuf,
        /// Another kind of mount is.
        is_mount: bool,
    },
    /// It is in use.
    #[error("{}\n  {}", in_use::users(.0, .1), in_use::remedy(.0, .1))]
    InUse(PathBuf, Vec<Use>),
    /// The kernel says that it is in use, but no user was found.
    #[error(
        "{path}: is in use by something that is not found in /proc, such as a mount below it (`findmnt -R {word}`). \
         --allow-in-use unmounts it anyway: open files stay open",
        path = escaped(path), word = shell_word(path)
    )]
    Busy {
        /// The mount point.
        path: PathBuf,
    },
    /// It cannot be unmounted.
    #[error("{path}: {source}", path = escaped(path))]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: UnmountError,
    },
    /// A unit cannot run this program.
    #[error("{0} with --persist")]
    Program(ProgramError),
    /// A unit cannot name it.
    #[error(
        "{path}: cannot be named in a systemd unit ({why}), so --persist does not work for it",
        path = escaped(path)
    )]
    UnitName {
        /// The path.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Somebody else's file has the name of the unit.
    #[error(
        "{path}: is there and was not written by idshift, which does not replace it. Move it away, or mount without --persist",
        path = escaped(path)
    )]
    ForeignUnit {
        /// The file.
        path: PathBuf,
    },
    /// A unit that idshift did not write would be removed.
    #[error(
        "{path}: was not written by idshift, which does not remove it. `idshift umount --keep-unit {word}` unmounts and \
        keeps it",
        path = escaped(path), word = shell_word(target)
    )]
    ForeignUnitStays {
        /// The file.
        path: PathBuf,
        /// What a unit of this name mounts.
        target: PathBuf,
    },
    /// A unit could not be removed.
    #[error(
        "{path}: cannot be removed ({source}). `idshift umount --keep-unit {word}` unmounts and keeps it",
        path = escaped(path), word = shell_word(target)
    )]
    UnitStays {
        /// The unit.
        path: PathBuf,
        /// What it mounts.
        target: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// systemd does not take the unit.
    #[error("{command}: {said}")]
    Systemctl {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A file or directory cannot be used.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<ProgramError> for MountError {
    fn from(error: ProgramError) -> MountError {
        match error {
            ProgramError::Io { path, source } => MountError::Io { path, source },
            writable => MountError::Program(writable),
        }
    }
}

impl MountError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> MountError {
        let path = path.into();
        move |source| MountError::Io { path, source }
    }

    pub(super) fn idmapped(path: &Path) -> impl FnOnce(IdmappedMountError) -> MountError {
        let path = path.to_path_buf();
        move |source| MountError::Idmapped { path, source }
    }
}

/// The alternative without a mount.
fn instead(path: &Path, error: &IdmappedMountError) -> String {
    let refused = match error {
        IdmappedMountError::Kernel(_) => None,
        IdmappedMountError::Filesystem(fs_type) => preflight::help_on_type(fs_type),
        _ => return String::new(),
    };
    match refused {
        // There `prepare` refuses, too.
        Some(help) => format!(". {help}"),
        None => format!(
            ". `idshift prepare {}` changes the owners instead",
            shell_word(path)
        ),
    }
}

fn other_mount(path: &Path, is_mount: bool) -> String {
    match is_mount {
        true => format!(
            "; another mount is there, which `umount {}` removes",
            shell_word(path)
        ),
        false => String::new(),
    }
}

fn listed(below: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<String> = below
        .iter()
        .take(SHOWN)
        .map(|path| escaped(path).to_string())
        .collect();
    let more = match below.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if below.len() == 1 { "is" } else { "are" };
    format!("{}{more} {verb}", names.join(", "))
}
