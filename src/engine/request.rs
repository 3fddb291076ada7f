//! What the operator asks, and the checks before anything starts.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::decide::{elsewhere, elsewhere_help};
use crate::fs::in_use::{self, Tree, Use};
use crate::fs::places;
use crate::fs::root::RootError;
use crate::fs::shown::{one_line, shell_word, shown};
use crate::fs::{Root, process};
use crate::idmap::{Direction, IdMap, Overlap};
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::homes::{self, Claim};
use crate::record::line::{Header, RootLine, WalkOptions};
use crate::record::lock::{LockError, RunLock};
use crate::record::manifest::ManifestError;
use crate::record::store::StoreError;
use crate::record::{Journal, JournalError, Name, Store};

use super::exclude::{self, Excludes};
use super::{Monitor, Phase, roots};

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
    /// A place that must not be shifted.
    #[error(transparent)]
    Place(#[from] places::Refusal),
    /// A login account works with it.
    #[error(
        "{path}: {claim}. Name a directory that only containers use, or add --allow-home if it is this one",
        path = shown(path)
    )]
    Account {
        /// The tree.
        path: PathBuf,
        /// Whose it is.
        claim: Claim,
    },
    /// Two of the paths hold one another.
    #[error("{inner}: lies in {outer}, which is named too. Name the outer one only", inner = shown(inner), outer = shown(outer))]
    Nested {
        /// The one inside.
        inner: PathBuf,
        /// The one around it.
        outer: PathBuf,
    },
    /// The map's two sides meet.
    #[error(
        "the map {map}: {overlap}, so an id does not tell whether a file is already shifted. If you know that nothing below {path} was shifted before, add --assume-unshifted",
        path = shown(path)
    )]
    Undecidable {
        /// The first tree.
        path: PathBuf,
        /// The map.
        map: IdMap,
        /// Where its sides meet.
        overlap: Overlap,
    },
    /// An exclude glob is none.
    #[error("--exclude {glob}: {reason}. A glob is relative to the path: `cache/**`, `*.tmp`")]
    Glob {
        /// As given.
        glob: String,
        /// What is wrong.
        reason: String,
    },
    /// Only root may change owners.
    #[error("{path}: changing owners takes root, and this process lacks {missing}. Run it with sudo, outside of containers; --dry-run works without, where it can read", path = shown(path))]
    NotRoot {
        /// The first tree, or the journal.
        path: PathBuf,
        /// `uid 0`, `CAP_CHOWN` and the like.
        missing: String,
    },
    /// Somebody is using the tree; of several, the first is named.
    #[error(
        "{}\n  Stop what uses the tree, or add --allow-in-use if you know that it takes no harm",
        in_use_text(.0, .1)
    )]
    InUse(PathBuf, Vec<Use>),
    /// Somebody is using the directory of a service that must be stopped.
    #[error(
        "{}\n  It must be stopped first; a daemon and its containers with `systemctl stop docker.socket docker`",
        in_use_text(.0, .1)
    )]
    ServiceRuns(PathBuf, Vec<Use>),
    /// Files of the tree have names elsewhere.
    #[error(
        "{path}: {}{more}. {}",
        elsewhere(*.names), elsewhere_help(&shell_word(path)), path = shown(path)
    )]
    OutsideLinks {
        /// One of them.
        path: PathBuf,
        /// How many names of it are in the trees, and how many it has.
        names: (u32, u32),
        /// How many more there are, in words.
        more: String,
    },
    /// Who is using the tree could not be found out.
    #[error(
        "/proc: {0}; cannot tell who is using the tree. --allow-in-use goes on without knowing"
    )]
    UseUnknown(std::io::Error),
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
    #[error("{path}: {source}; the manifest cannot be written there", path = shown(path))]
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
        path = shown(path), above = shell_word(above)
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
    #[error("{path}: {reason}", path = shown(path))]
    NotThisOne {
        /// The journal, manifest or tree.
        path: PathBuf,
        /// Why not, and what helps.
        reason: String,
    },
}

fn in_use_text(tree: &Path, uses: &[Use]) -> String {
    let mut text = String::new();
    for (i, one) in uses.iter().enumerate().take(10) {
        let (pid, command) = (one.pid, one_line(&one.command));
        let start = match i {
            0 => format!("{}: is in use", shown(tree)),
            _ => "\n  and".to_string(),
        };
        text.push_str(&format!("{start} by process {pid} ({command})"));
        if let Some(container) = &one.container {
            text.push_str(&format!(" in container {}", one_line(container)));
        }
        // As the process knows it: in a container that is another path.
        text.push_str(&format!(": {} {}", one.how, shown(&one.path)));
    }
    if uses.len() > 10 {
        text.push_str(&format!("\n  and {} more", uses.len() - 10));
    }
    text
}

impl Refusal {
    /// The same, where the tree is a service's own.
    fn of_service(self) -> Refusal {
        match self {
            Refusal::InUse(tree, uses) => Refusal::ServiceRuns(tree, uses),
            other => other,
        }
    }

    /// A journal cannot be written.
    pub(super) fn journal(path: &std::path::Path, source: std::io::Error) -> Refusal {
        Refusal::Journal(JournalError::Io {
            path: path.to_path_buf(),
            source,
        })
    }
}

impl ShiftRequest {
    /// Opens the trees and checks all that can be checked without taking anything.
    pub(super) fn open_roots(&self) -> Result<Vec<Root>, Refusal> {
        let mut roots: Vec<Root> = Vec::new();
        for path in &self.paths {
            let root = Root::open(path)?;
            for other in &roots {
                if root.meets(&other.lineage) {
                    let root_is_inner = root.lineage.contains(&other.lineage[0]);
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
        self.check_accounts(&roots)?;
        // Whoever carries a service knows which side each of its files is on.
        let is_known = self.walk.assume_unshifted || self.service;
        if let Some(overlap) = self.map.sides_overlap()
            && !is_known
        {
            let first = roots.first().map(|root| root.path.clone());
            return Err(Refusal::Undecidable {
                path: first.unwrap_or_default(),
                map: self.map.clone(),
                overlap,
            });
        }
        Ok(roots)
    }

    /// Refuses what login accounts work with. A service's own trees were looked at by whoever carries it.
    fn check_accounts(&self, roots: &[Root]) -> Result<(), Refusal> {
        let Some(accounts) = self.accounts().filter(|_| !self.service) else {
            return Ok(());
        };
        for root in roots {
            if let Some(claim) = homes::claim(root, &accounts) {
                let path = root.path.clone();
                return Err(Refusal::Account { path, claim });
            }
        }
        Ok(())
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

    /// Everything that must hold before a file may be changed; the lock is held from here on.
    ///
    /// In roots behind the request's own paths, only names are changed.
    pub(super) fn clear_to_change(
        &self,
        roots: &[Root],
        store: &Store,
        monitor: &dyn Monitor,
    ) -> Result<RunLock, Refusal> {
        let trees = &roots[..self.paths.len()];
        for root in trees {
            if !self.allow_system_path {
                places::check_system_path(&root.path)?;
                places::check_no_data_root(&root.path)?;
            }
            places::check_filesystem(std::os::fd::AsFd::as_fd(&root.pin), &root.path)?;
            places::check_mounts(root, self.walk.cross_mounts)?;
        }
        check_is_root(trees.first().map_or(Path::new("/"), |root| &root.path))?;
        if !self.allow_in_use {
            check_not_in_use(trees, monitor).map_err(|refusal| match self.service {
                true => refusal.of_service(),
                false => refusal,
            })?;
        }
        store.open_for_writing()?;
        store.check_outside(trees)?;
        let lock = RunLock::take(roots)?;
        store.check_no_unfinished(trees)?;
        Ok(lock)
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

pub(super) fn check_is_root(path: &std::path::Path) -> Result<(), Refusal> {
    let mut missing = process::missing_capabilities();
    if !nix::unistd::geteuid().is_root() {
        // Its journals would be another's.
        missing.insert(0, "uid 0");
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::NotRoot {
            path: path.to_path_buf(),
            missing: missing.join(", "),
        }),
    }
}

/// A service that must be stopped for a run must be stopped for the end of it and its undoing too.
pub(super) fn check_journal_not_in_use(
    journal: &Journal,
    monitor: &dyn Monitor,
) -> Result<(), Refusal> {
    if !journal.header.is_of_service() {
        return Ok(());
    }
    check_not_in_use(&roots::open_trees(journal), monitor).map_err(Refusal::of_service)
}

fn check_not_in_use(roots: &[Root], monitor: &dyn Monitor) -> Result<(), Refusal> {
    monitor.phase(Phase::CheckingUse, None);
    let trees: Vec<Tree> = roots
        .iter()
        .map(|root| Tree {
            path: root.path.clone(),
            dev: root.dev,
            ino: root.identity.ino,
        })
        .collect();
    match in_use::users_of(&trees) {
        Ok(uses) if uses.is_empty() => Ok(()),
        Ok(uses) => Err(Refusal::InUse(roots[0].path.clone(), uses)),
        Err(error) => Err(Refusal::UseUnknown(error)),
    }
}
