//! What the operator asks, and the checks before anything starts.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::visitor::{elsewhere, elsewhere_help};
use crate::fs::Root;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::root::RootError;
use crate::idmap::{Direction, IdMap, Overlap};
use crate::journal::manifest::ManifestError;
use crate::journal::record::{Header, RootLine, WalkOptions};
use crate::journal::run_lock::{LockError, RunLock};
use crate::journal::store::StoreError;
use crate::journal::{Journal, JournalError, Name, Store};
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::mount_views::{self, MountViewError, Walked};
use crate::preflight::passing::check_not_in_use;
use crate::preflight::user_namespace::{self, NoSuchId};
use crate::preflight::{Lasting, Passing, Preflight};

use super::exclude::{self, Excludes};
use super::{Monitor, Phase, reopen};

/// A shift as the operator asks for it.
#[derive(Clone, Debug)]
pub struct ShiftRequest {
    /// The trees, as given.
    pub paths: Vec<PathBuf>,
    /// The map.
    pub map: IdMap,
    /// Which way.
    pub direction: Direction,
    /// Threads.
    pub jobs: usize,
    /// How the walk is limited.
    pub walk: WalkOptions,
    /// Trees that are in use are shifted too.
    pub allow_in_use: bool,
    /// System directories are shifted too.
    pub allow_system_path: bool,
    /// Homes and files of login accounts are shifted too.
    pub allow_home: bool,
    /// The trees are a service's own, which must not run meanwhile, and which side of the map its
    /// files are on is known.
    pub service: bool,
    /// The subcommand, for the record.
    pub command: String,
}

/// Why a run does not start. Nothing was changed.
#[derive(Debug, Error)]
pub enum Refusal {
    /// A path cannot be a root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A check before the first change found what time does not cure.
    #[error(transparent)]
    Lasting(#[from] Lasting),
    /// A check before the first change found what is in the way now.
    #[error(transparent)]
    Passing(#[from] Passing),
    /// What is seen of the trees is not what is on disk, or is seen twice.
    #[error(transparent)]
    MountView(#[from] MountViewError),
    /// Two of the paths hold one another.
    #[error("{inner}: lies in {outer}, which is named too. Name the outer one only", inner = escaped(inner), outer = escaped(outer))]
    Nested {
        /// The one inside.
        inner: PathBuf,
        /// The one around it.
        outer: PathBuf,
    },
    /// The map's two sides meet.
    #[error(
        "the map {map}: {overlap}, so an id does not tell whether a file is already shifted. {}",
        if_known(*.is_verified, path)
    )]
    Undecidable {
        /// The first tree.
        path: PathBuf,
        /// The map.
        map: IdMap,
        /// Where its sides meet.
        overlap: Overlap,
        /// The trees are only looked at.
        is_verified: bool,
    },
    /// The namespace lacks an id.
    #[error(transparent)]
    NoSuchId(#[from] NoSuchId),
    /// An exclude glob is none.
    #[error("--exclude {glob}: {reason}. A glob is relative to the path: `cache/**`, `*.tmp`")]
    Glob {
        /// As given.
        glob: String,
        /// What is wrong.
        reason: String,
    },
    /// Files of the tree have names elsewhere.
    #[error(
        "{path}: {}{more}. {}",
        elsewhere(*.names), elsewhere_help(&shell_word(path)), path = escaped(path)
    )]
    OutsideLinks {
        /// One of them.
        path: PathBuf,
        /// How many names of it are in the trees, and how many it has.
        names: (u32, u32),
        /// How many more there are, in words.
        more: String,
    },
    /// Another run works on it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something about the journals.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something about one journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something about the manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A manifest cannot be written.
    #[error("{path}: {source}; the manifest cannot be written there", path = escaped(path))]
    ManifestOutput {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A tree of a journal is not there, or is another one.
    #[error(
        "{path}: {reason}. Is its filesystem not mounted? `findmnt --target {above}` shows what is mounted \
         there. Nothing was done, and the journal is as it was. If the tree is gone for good, \
         `idshift rollback --force {journal}` undoes what is still there",
        path = escaped(path), above = shell_word(above)
    )]
    TreeMissing {
        /// The tree.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// It, or the directory above it that is there.
        above: PathBuf,
        /// The journal, as a command line names it.
        journal: String,
    },
    /// What is asked and what the record says do not fit.
    #[error("{path}: {reason}", path = escaped(path))]
    NotThisOne {
        /// The journal, manifest or tree.
        path: PathBuf,
        /// Why not, and what helps.
        reason: String,
    },
}

impl Refusal {
    /// A journal cannot be written.
    pub(super) fn journal(path: &std::path::Path, source: std::io::Error) -> Refusal {
        Refusal::Journal(JournalError::Io {
            path: path.to_path_buf(),
            source,
        })
    }
}

/// What helps where the ids do not tell.
fn if_known(is_verified: bool, path: &Path) -> String {
    let path = escaped(path);
    match is_verified {
        true => {
            format!("If you know that everything below {path} was shifted, add --assume-shifted")
        }
        false => format!(
            "If you know that nothing below {path} was shifted before, add --assume-unshifted"
        ),
    }
}

impl ShiftRequest {
    /// Opens the trees and checks all that can be checked without taking anything.
    pub(super) fn open_roots(&self) -> Result<Vec<Root>, Refusal> {
        let roots = self.open_trees()?;
        // Whoever carries a service knows which side each of its files is on.
        if !self.walk.assume_unshifted && !self.service {
            self.check_decidable(&roots, false)?;
        }
        Ok(roots)
    }

    /// Refuses a map under which an id does not tell whether a file is shifted.
    pub(super) fn check_decidable(&self, roots: &[Root], is_verified: bool) -> Result<(), Refusal> {
        let Some(overlap) = self.map.sides_overlap() else {
            return Ok(());
        };
        Err(Refusal::Undecidable {
            path: roots
                .first()
                .map(|root| root.path.clone())
                .unwrap_or_default(),
            map: self.map.clone(),
            overlap,
            is_verified,
        })
    }

    /// Opens the trees, whatever the map.
    pub(super) fn open_trees(&self) -> Result<Vec<Root>, Refusal> {
        let mut roots: Vec<Root> = Vec::new();
        for path in &self.paths {
            let root = Root::open(path).map_err(|error| match mount_views::idmapped(path) {
                Some(idmapped) => idmapped.into(),
                None => Refusal::from(error),
            })?;
            for other in &roots {
                if root.overlaps(&other.ancestor_ids) {
                    let root_is_inner = root.ancestor_ids.contains(&other.ancestor_ids[0]);
                    let (inner, outer) = match root_is_inner {
                        true => (&root, other),
                        false => (other, &root),
                    };
                    return Err(Refusal::Nested {
                        inner: inner.path.clone(),
                        outer: outer.path.clone(),
                    });
                }
            }
            roots.push(root);
        }
        self.check_mount_views(&roots)?;
        user_namespace::check(&self.map, self.direction)?;
        Ok(roots)
    }

    /// Refuses what is seen through an idmapped mount, or twice.
    pub(super) fn check_mount_views(&self, roots: &[Root]) -> Result<(), Refusal> {
        check_mount_views(roots, &self.paths, &self.walk)
    }

    /// The accounts whose files stay theirs.
    pub fn accounts(&self) -> Option<LoginAccounts> {
        (!self.allow_home).then(LoginAccounts::of_host)
    }

    /// How the walk is limited, for records.
    pub(super) fn recorded_walk(&self, roots: &[Root]) -> WalkOptions {
        WalkOptions {
            exclude: exclude::recorded(&self.walk.exclude, roots, &self.paths),
            ..self.walk.clone()
        }
    }

    /// What the walk leaves out; the trees come first among the roots.
    pub(super) fn excludes(&self, roots: &[Root]) -> Result<Option<Excludes>, Refusal> {
        Excludes::new(&self.walk.exclude, &roots[..self.paths.len()], &self.paths)
    }

    /// Asks the checks before the first change. In roots behind the request's own paths, only names are changed.
    fn ask_preflight<T>(
        &self,
        roots: &[Root],
        store: &Store,
        ask: impl FnOnce(&Preflight<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let excludes = self.excludes(roots)?;
        // A service's own trees were looked at by whoever carries it.
        let accounts = self.accounts().filter(|_| !self.service);
        ask(&Preflight {
            trees: &roots[..self.paths.len()],
            store,
            accounts: accounts.as_ref(),
            is_excluded: &|tree, below| {
                excludes
                    .as_ref()
                    .is_some_and(|excludes| excludes.matches(tree, below))
            },
            cross_mounts: self.walk.cross_mounts,
            allow_in_use: self.allow_in_use,
            allow_system_path: self.allow_system_path,
            service: self.service,
        })
    }

    /// What would keep a run from starting now; for a dry run.
    ///
    /// # Errors
    /// What would keep it from starting at any time.
    pub(super) fn would_refuse(
        &self,
        roots: &[Root],
        store: &Store,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Passing>, Refusal> {
        self.ask_preflight(roots, store, |preflight| {
            preflight.check_lasting()?;
            monitor.phase(Phase::CheckingUse, None);
            Ok(preflight.passing())
        })
    }

    /// Everything that must hold before a file may be changed; the lock is held from here on.
    pub(super) fn clear_to_change(
        &self,
        roots: &[Root],
        store: &Store,
        monitor: &dyn Monitor,
    ) -> Result<RunLock, Refusal> {
        self.ask_preflight(roots, store, |preflight| {
            preflight.check_lasting()?;
            monitor.phase(Phase::CheckingUse, None);
            if let Some(first) = preflight.passing().into_iter().next() {
                return Err(first.into());
            }
            store.open_for_writing()?;
            let lock = RunLock::take(roots)?;
            // Another run may have ended, and a mount have come, since they were looked at.
            preflight.check_lasting()?;
            self.check_mount_views(roots)?;
            store.check_no_unfinished(preflight.trees)?;
            Ok(lock)
        })
    }

    /// The journal's first line.
    ///
    /// Roots behind the request's own paths are for steps only.
    pub(super) fn header(&self, roots: &[Root], listed_first: bool) -> Header {
        let line = |(n, root)| RootLine {
            steps_only: n >= self.paths.len(),
            ..root_line(root)
        };
        Header {
            format: self.walk.format(),
            steps_before: 0,
            tool: tool(),
            id: String::new(),
            time: jiff::Timestamp::now(),
            host: host(),
            command: self.command.clone(),
            direction: self.direction,
            map: self.map.clone(),
            roots: roots.iter().enumerate().map(line).collect(),
            walk: self.recorded_walk(roots),
            listed_first,
        }
    }
}

pub(super) fn root_line(root: &Root) -> RootLine {
    RootLine {
        path: Name::from(root.path.as_path()),
        identity: root.identity,
        steps_only: false,
    }
}

/// Program and version, for records.
pub(super) fn tool() -> String {
    concat!("idshift ", env!("CARGO_PKG_VERSION")).to_string()
}

/// This host's name, for records.
pub(super) fn host() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| String::new(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Refuses trees that are seen through an idmapped mount, or twice. The trees come first among the roots; in the
/// others only names are changed.
pub(super) fn check_mount_views<P>(
    roots: &[Root],
    trees: &[P],
    walk: &WalkOptions,
) -> Result<(), Refusal>
where
    P: AsRef<Path>,
{
    let given: Vec<PathBuf> = trees
        .iter()
        .map(|path| path.as_ref().to_path_buf())
        .collect();
    let excludes = Excludes::new(&walk.exclude, &roots[..trees.len()], &given)?;
    let walked = Walked {
        cross_mounts: walk.cross_mounts,
        is_excluded: &|tree, below| {
            let excludes = excludes.as_ref();
            excludes.is_some_and(|excludes| excludes.matches(tree, below))
        },
    };
    Ok(mount_views::check(roots, trees.len(), walked)?)
}

/// A service that must be stopped for a run must be stopped for the end of it and its undoing too.
pub(super) fn check_journal_not_in_use(
    journal: &Journal,
    monitor: &dyn Monitor,
) -> Result<(), Refusal> {
    if !journal.header.is_of_service() {
        return Ok(());
    }
    monitor.phase(Phase::CheckingUse, None);
    check_not_in_use(&reopen::open_trees(journal), true)?;
    Ok(())
}
