//! What the threads of a run share.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::control::RunControl;
use super::exclude::Excludes;
use super::hardlinks::{HardLinkTable, OutsideLinks};
use super::policy::{Policy, Rule, Uniform};
use super::problem::{Problem, ProblemKind};
use super::stats::Stats;
use super::sync::Filesystems;
use crate::fs::live_mounts::KnownMounts;
use crate::fs::{DirPath, Identity, Root};
use crate::guidance::CommandOptions;
use crate::idmap::{Direction, IdMap};
use crate::journal::Name;
use crate::journal::record::WalkOptions;
use crate::ownership::Ownership;
use crate::preflight::accounts::{Account, LoginAccounts};
use crate::preflight::user_namespace::OverflowIds;

/// State of a run that all of its phases share.
pub struct RunState<'a> {
    /// Progress, cancellation and rate limit.
    pub control: RunControl<'a>,
    /// The filesystems of its trees, opened before anything is changed.
    pub(super) filesystems: Filesystems,
    /// The run cannot go on and is to be undone.
    gave_up: AtomicBool,
    /// The run was stopped before it had visited everything.
    interrupted: AtomicBool,
}

impl<'a> RunState<'a> {
    /// The state of a run that has not begun. Opens the filesystems of its trees.
    pub(super) fn new(control: RunControl<'a>, roots: &[Root], cross_mounts: bool) -> RunState<'a> {
        RunState {
            control,
            filesystems: Filesystems::of(roots, cross_mounts),
            gave_up: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
        }
    }

    /// Ends the run.
    pub fn give_up(&self) -> ControlFlow<()> {
        self.gave_up.store(true, Ordering::Relaxed);
        ControlFlow::Break(())
    }

    /// Whether it is to be undone.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// Whether it was stopped before it had visited everything.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Whether the run is over before its end, because it failed or somebody asked.
    pub(super) fn is_cut_short(&self) -> bool {
        if self.control.is_cancelled() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.was_interrupted() || self.has_given_up()
    }

    /// Reports and counts a failure, and ends the run because of it.
    pub(super) fn fail(&self, stats: &mut Stats, path: PathBuf, reason: String) {
        let kind = ProblemKind::Failed;
        let problem = Problem { path, kind, reason };
        self.control.monitor.problem(&problem);
        stats.add_problem(problem);
        let _ = self.give_up();
    }
}

/// What a walk does.
pub struct WalkScope<'a> {
    /// The map.
    pub map: &'a IdMap,
    /// Which way.
    pub direction: Direction,
    /// How the walk is limited.
    pub options: &'a WalkOptions,
    /// What each inode is to become.
    pub policy: &'a dyn Policy,
    /// How hard links outside the trees are handled.
    pub outside_links: OutsideLinks,
    /// Login accounts whose files are not changed; `None` if the operator allows it.
    pub accounts: Option<LoginAccounts>,
    /// Which options messages may name.
    pub command: CommandOptions,
    /// What is left out.
    pub exclude: Option<Excludes>,
    /// Problems are collected and do not end the walk: for a dry run, and for `--keep-going`.
    pub carry_on: bool,
    /// Inodes that the journal already names and that are left, by device and identity. Not by tree, because hard links can
    /// be in several.
    pub done: HashSet<(u64, Identity)>,
    /// The mounts that are walked too; `None` if no mount point is crossed.
    pub(super) known_mounts: Option<KnownMounts>,
}

impl<'a> WalkScope<'a> {
    /// A scope in which every inode goes through the map, no account is protected and no option is named. If mounts are
    /// crossed, it has the mounts that exist now: create it before they are checked.
    pub(super) fn new(
        map: &'a IdMap,
        direction: Direction,
        options: &'a WalkOptions,
        exclude: Option<Excludes>,
    ) -> WalkScope<'a> {
        WalkScope {
            map,
            direction,
            options,
            policy: match options.assume_unshifted {
                true => &Uniform(Rule::MapAll),
                false => &Uniform(Rule::Map),
            },
            outside_links: match options.outside_links {
                true => OutsideLinks::Allowed,
                false => OutsideLinks::Left,
            },
            accounts: None,
            command: CommandOptions::default(),
            exclude,
            carry_on: options.keep_going,
            done: HashSet::new(),
            known_mounts: options.cross_mounts.then(KnownMounts::now),
        }
    }
}

/// What the threads of one walk share.
pub struct WalkContext<'a> {
    /// The run that it is a part of.
    pub run: &'a RunState<'a>,
    /// The trees.
    pub roots: &'a [Root],
    /// What is done with them.
    pub scope: WalkScope<'a>,
    /// Inodes with several hard links that were seen.
    pub links: HardLinkTable,
    /// The overflow ids of this user namespace.
    pub(super) overflow: OverflowIds,
}

impl<'a> WalkContext<'a> {
    /// A walk that has not begun.
    pub fn new(run: &'a RunState<'a>, roots: &'a [Root], scope: WalkScope<'a>) -> WalkContext<'a> {
        WalkContext {
            run,
            roots,
            links: HardLinkTable::new(scope.outside_links),
            overflow: OverflowIds::of_this_process(),
            scope,
        }
    }

    /// Absolute path, for messages.
    pub fn path(&self, dir: &DirPath, name: &[u8]) -> PathBuf {
        let below = dir.join(name);
        let root = &self.roots[dir.root].path;
        match below.as_os_str().is_empty() {
            true => root.clone(),
            false => root.join(below),
        }
    }

    /// The login account that would lose access to an inode of this tree.
    pub(super) fn account_losing_access(
        &self,
        root: usize,
        before: &Ownership,
        after: &Ownership,
    ) -> Option<Account> {
        let accounts = self.scope.accounts.as_ref()?;
        let is_taken = before.uid != after.uid && !self.scope.policy.is_of_containers(root);
        accounts.owner(before.uid).filter(|_| is_taken)
    }

    /// Counts an inode that is left as it is. Ends the run because of it, unless the scope says to
    /// carry on.
    pub fn record_problem(&self, stats: &mut Stats, problem: Problem) -> ControlFlow<()> {
        self.run.control.monitor.problem(&problem);
        stats.add_problem(problem);
        match self.scope.carry_on {
            true => ControlFlow::Continue(()),
            false => self.run.give_up(),
        }
    }

    /// Globs of what is to be left out that matched nothing; of a walk that came to its end.
    pub(super) fn unmatched_excludes(&self) -> Vec<Name> {
        let excludes = self.scope.exclude.as_ref();
        let excludes = excludes.filter(|_| !self.run.is_cut_short());
        excludes.map(Excludes::unmatched).unwrap_or_default()
    }
}
