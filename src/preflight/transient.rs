//! What can be over later: who is using the trees, another run on them, and who is asking.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use thiserror::Error;

use super::Preflight;
use crate::fs::escape::escaped;
use crate::fs::{Root, process};
use crate::guidance::Guidance;
use crate::idmap::{Direction, IdMap, Mapped};
use crate::journal::Store;
use crate::journal::error::StoreError;
use crate::journal::run_lock::{LockError, RunLock};
use crate::preflight::in_use::{self, TreeInUse, Use, holders};

/// Why the trees cannot be changed now.
#[derive(Debug, Error)]
pub enum TransientBlocker {
    /// Only root may change owners.
    #[error("{path}: changing owners needs root, and this process lacks {missing}. Run it with sudo, outside of containers; {}", Guidance::DryRunWithoutRoot, path = escaped(path))]
    NotRoot {
        /// The first tree, or the journal.
        path: PathBuf,
        /// `uid 0`, `CAP_CHOWN` and the like.
        missing: String,
    },
    /// Somebody is using the tree; of several, the first is named.
    #[error(
        "{}\n  {}", super::in_use::users(.0, .1), super::in_use::remedy(.0, .1)
    )]
    InUse(PathBuf, Vec<Use>),
    /// Somebody is using the directory of a service that must be stopped.
    #[error(
        "{}\n  {}", super::in_use::users(.0, .1), super::in_use::remedy_of_service(.0, .1)
    )]
    ServiceRuns(PathBuf, Vec<Use>),
    /// Who is using the tree could not be found out.
    #[error(
        "/proc: {source}; cannot tell who is using the tree. {help}",
        help = if *is_skippable { Guidance::AllowUnknownUse } else { Guidance::MountProc }
    )]
    UseUnknown {
        /// What the kernel said.
        source: std::io::Error,
        /// The command has an option that skips the check.
        is_skippable: bool,
    },
    /// Something is mounted in the tree that was meant to be unmounted when its user ended.
    #[error("{path}: {reason}", path = escaped(path))]
    Mounted {
        /// Where.
        path: PathBuf,
        /// What, and what helps.
        reason: String,
    },
    /// A store of Podman's is worked with, or would be of no use now.
    #[error("{path}: {reason}", path = escaped(path))]
    Store {
        /// The store, or what tells it.
        path: PathBuf,
        /// What, and what helps.
        reason: String,
    },
    /// A user who had the tree still runs processes.
    #[error(
        "{path}: {who} still runs {processes}, and may keep a file of the tree where nothing shows it. End them \
         (`loginctl terminate-user {user}`, `pkill -u {uid}`), then run this again", path = escaped(path)
    )]
    OwnerRuns {
        /// The journal.
        path: PathBuf,
        /// Of whom the processes are, in words.
        who: String,
        /// Login name, or uid.
        user: String,
        /// The id that they have.
        uid: u32,
        /// Some of them.
        processes: String,
    },
    /// Open files are on their way between processes.
    #[error(
        "{path}: process {pid} ({command}) has not received open files that were sent to it through a socket, and nothing \
         tells which files these are. End it, or let it receive them, then run this again", path = escaped(path)
    )]
    FilesInFlight {
        /// The journal.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// Its name.
        command: String,
    },
    /// Another run works on it.
    #[error(transparent)]
    Held(#[from] LockError),
    /// Another run on it has not ended.
    #[error(transparent)]
    Unfinished(#[from] StoreError),
}

impl TransientBlocker {
    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            TransientBlocker::NotRoot { .. } => "not-root",
            TransientBlocker::InUse(..) | TransientBlocker::ServiceRuns(..) => "in-use",
            TransientBlocker::OwnerRuns { .. }
            | TransientBlocker::FilesInFlight { .. }
            | TransientBlocker::Store { .. } => "in-use",
            TransientBlocker::UseUnknown { .. } => "use-unknown",
            TransientBlocker::Mounted { .. } => "mounted",
            TransientBlocker::Held(_) => "other-run",
            TransientBlocker::Unfinished(_) => "unfinished-run",
        }
    }
}

impl Preflight<'_> {
    /// All that keeps a run from starting now. Changes nothing.
    pub fn transient_blockers(&self) -> Vec<TransientBlocker> {
        let first = self.trees.first().map_or(Path::new("/"), |root| &root.path);
        let not_root = check_is_root(first).err();
        let is_root = not_root.is_none();
        let mut found: Vec<TransientBlocker> = not_root.into_iter().collect();
        if !self.allow_in_use {
            found.extend(check_not_in_use(self.trees, self.service).err());
        }
        // Locks and journals are root's to read.
        if is_root {
            found.extend(check_no_other_run(self.trees, self.store).err());
        }
        found
    }
}

/// Makes sure that no run works on the trees, and none on them has not ended. Changes nothing.
///
/// # Errors
/// Which one.
pub fn check_no_other_run(trees: &[Root], store: &Store) -> Result<(), TransientBlocker> {
    // The journal of a run that is at work is unfinished, and is not to be resumed.
    RunLock::check_free(trees)?;
    Ok(store.check_no_unfinished(trees)?)
}

/// Makes sure that this process may change any owner, and put it back.
///
/// # Errors
/// [`TransientBlocker::NotRoot`].
pub fn check_is_root(path: &Path) -> Result<(), TransientBlocker> {
    let missing = process::lacks_to_change_owners();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(TransientBlocker::NotRoot {
            path: path.to_path_buf(),
            missing: missing.join(", "),
        }),
    }
}

/// Makes sure that nobody uses the trees; with `service`, that the service whose they are is stopped.
///
/// # Errors
/// Who uses them, or why that is unknown.
pub fn check_not_in_use(roots: &[Root], service: bool) -> Result<(), TransientBlocker> {
    let trees: Vec<TreeInUse> = roots
        .iter()
        .map(|root| TreeInUse {
            path: root.path.clone(),
            dev: root.dev,
            ino: root.identity.ino,
        })
        .collect();
    match in_use::users_of(&trees) {
        Ok(uses) if uses.is_empty() => Ok(()),
        Ok(uses) if service => Err(TransientBlocker::ServiceRuns(roots[0].path.clone(), uses)),
        Ok(uses) => Err(TransientBlocker::InUse(roots[0].path.clone(), uses)),
        Err(source) => Err(TransientBlocker::UseUnknown {
            source,
            is_skippable: !service,
        }),
    }
}

/// Makes sure that nobody can have kept a file of a tree that was a user's: no process has an id of the user's, and no open
/// file is on its way through a socket. `path`: what the message is about: the tree, or the journal of what it was carried by.
///
/// # Errors
/// Who may.
pub fn check_nobody_holds(map: &IdMap, path: &Path) -> Result<(), TransientBlocker> {
    let path = path.to_path_buf();
    let is_users = |uid| matches!(map.uids.map(uid, Direction::OutOf), Mapped::To(_));
    let unknown = |source| TransientBlocker::UseUnknown {
        source,
        is_skippable: false,
    };
    let owned = holders::processes_with(is_users).map_err(unknown)?;
    if let Some(first) = owned.first() {
        let names: Vec<String> = owned.iter().take(5).map(ToString::to_string).collect();
        let root = match map.uids.map(0, Direction::Into) {
            Mapped::To(id) => id,
            _ => first.uid,
        };
        let account = User::from_uid(Uid::from_raw(root)).ok().flatten();
        let user = account.map_or_else(|| root.to_string(), |account| account.name);
        return Err(TransientBlocker::OwnerRuns {
            path,
            who: format!("{user} (or a container of {user})"),
            user,
            uid: first.uid,
            processes: names.join(", "),
        });
    }
    match holders::files_in_flight().map_err(unknown)? {
        None => Ok(()),
        Some(receiver) => Err(TransientBlocker::FilesInFlight {
            path,
            pid: receiver.pid,
            command: receiver.command,
        }),
    }
}
