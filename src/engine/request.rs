//! What the operator asks, and the checks before anything starts.

use std::path::{Path, PathBuf};

use super::context::WalkScope;
use super::exclude::{self, Excludes};
use super::refusal::Refusal;
use super::{Monitor, Phase};
use crate::fs::Root;
use crate::idmap::{Direction, IdMap};
use crate::journal::record::{Allowed, FORMAT, Header, RunKind, WalkOptions};
use crate::journal::root_line::RootLine;
use crate::journal::run_lock::RunLock;
use crate::journal::{Name, Store};
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::mount_views::{self, Walked};
use crate::preflight::user_namespace;
use crate::preflight::{Preflight, TransientBlocker};

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
    /// The subcommand. Of a service's own trees, it is known which side of the map each file is on.
    pub kind: RunKind,
}

impl ShiftRequest {
    /// Of the data of a container engine, of which its plan says where it may be and whose it is. That it is in use is not
    /// allowed in any case.
    pub fn of_service(
        kind: RunKind,
        direction: Direction,
        map: IdMap,
        paths: Vec<PathBuf>,
        jobs: usize,
        walk: WalkOptions,
    ) -> ShiftRequest {
        ShiftRequest {
            paths,
            map,
            direction,
            jobs,
            walk,
            allow_in_use: false,
            allow_system_path: true,
            allow_home: true,
            kind,
        }
    }

    /// Opens the trees and makes all checks that need no lock.
    pub(super) fn open_roots(&self) -> Result<Vec<Root>, Refusal> {
        let roots = self.open_trees()?;
        // Whoever carries a service knows which side each of its files is on.
        if !self.walk.assume_unshifted && !self.kind.is_of_service() {
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
                    let is_same = root.ancestor_ids[0] == other.ancestor_ids[0];
                    if is_same && !root.is_dir() && root.path != other.path {
                        return Err(Refusal::SameFile {
                            first: other.path.clone(),
                            second: root.path,
                            needs_leave: !self.walk.outside_links,
                        });
                    }
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
        check_mount_views(roots, (&self.paths[..], true), &self.walk)
    }

    /// The login accounts whose files are not changed.
    pub fn accounts(&self) -> Option<LoginAccounts> {
        (!self.allow_home).then(LoginAccounts::of_host)
    }

    /// What a walk of the trees does; the trees come first among the roots.
    pub(super) fn scope(&self, roots: &[Root]) -> Result<WalkScope<'_>, Refusal> {
        let exclude = self.excludes(roots)?;
        let scope = WalkScope::new(&self.map, self.direction, &self.walk, exclude);
        Ok(WalkScope {
            accounts: self.accounts(),
            command: self.kind.options(),
            ..scope
        })
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

    /// Makes the checks before the first change. In roots after the request's own paths, only names
    /// are changed.
    fn ask_preflight<T>(
        &self,
        roots: &[Root],
        store: &Store,
        ask: impl FnOnce(&Preflight<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let excludes = self.excludes(roots)?;
        // A service's own trees were looked at by whoever carries it.
        let accounts = self.accounts().filter(|_| !self.kind.is_of_service());
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
            service: self.kind.is_of_service(),
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
    ) -> Result<Vec<TransientBlocker>, Refusal> {
        self.ask_preflight(roots, store, |preflight| {
            preflight.check_permanent()?;
            monitor.phase(Phase::CheckingUse, None);
            Ok(preflight.transient_blockers())
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
            preflight.check_permanent()?;
            monitor.phase(Phase::CheckingUse, None);
            if let Some(first) = preflight.transient_blockers().into_iter().next() {
                return Err(first.into());
            }
            store.open_for_writing()?;
            let lock = RunLock::take(roots)?;
            // Another run may have ended, and a mount have come, since they were looked at.
            preflight.check_permanent()?;
            self.check_mount_views(roots)?;
            store.check_no_unfinished(preflight.trees)?;
            Ok(lock)
        })
    }

    /// The journal's first line.
    ///
    /// Roots after the request's own paths are for steps only.
    pub(super) fn header(&self, roots: &[Root], listed_first: bool) -> Header {
        let line = |(n, root)| RootLine {
            steps_only: n >= self.paths.len(),
            ..root_line(root)
        };
        Header {
            format: FORMAT,
            steps_before: 0,
            unchanged_since: None,
            tool: tool(),
            id: String::new(),
            time: jiff::Timestamp::now(),
            host: host(),
            command: self.kind,
            direction: self.direction,
            map: self.map.clone(),
            roots: roots.iter().enumerate().map(line).collect(),
            walk: self.recorded_walk(roots),
            allowed: Allowed {
                home: self.allow_home,
                in_use: self.allow_in_use,
                system_path: self.allow_system_path,
            },
            mounts: Vec::new(),
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
/// others only names are changed. `names_trees`: the command does, and does not take them from a journal.
pub(super) fn check_mount_views<P>(
    roots: &[Root],
    (trees, names_trees): (&[P], bool),
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
        names_trees,
        is_excluded: &|tree, below| {
            let excludes = excludes.as_ref();
            excludes.is_some_and(|excludes| excludes.matches(tree, below))
        },
    };
    Ok(mount_views::check(roots, trees.len(), walked)?)
}
