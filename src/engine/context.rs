//! What the threads of a run share.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::control::RunControl;
use super::exclude::Excludes;
use super::hardlinks::table::{HardLinkTable, OutsideLinks};
use super::policy::{Policy, Rule, Uniform};
use super::report::{Problem, ProblemKind, Stats};
use super::sync::Filesystems;
use crate::fs::live_mounts::KnownMounts;
use crate::fs::{DirPath, Identity, Root};
use crate::idmap::{Direction, IdMap};
use crate::journal::record::WalkOptions;
use crate::ownership::Ownership;
use crate::preflight::accounts::{Account, LoginAccounts};
use crate::preflight::user_namespace::OverflowIds;

/// How a run goes on, whatever it does.
pub struct RunState<'a> {
    /// How it is watched and held back.
    pub control: RunControl<'a>,
    /// What its trees are on, opened before anything is changed.
    pub(super) filesystems: Filesystems,
    /// The run cannot go on and is to be undone.
    gave_up: AtomicBool,
    /// The run was stopped before it had met everything.
    interrupted: AtomicBool,
}

impl<'a> RunState<'a> {
    /// Of a run that has not begun. Opens what its trees are on.
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

    /// Whether it was found to be stopped before it had met everything.
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

    /// Tells of something that failed, counts it, and ends the run over it.
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
    /// What is done about names outside the trees.
    pub outside_links: OutsideLinks,
    /// Accounts that no file is taken from; none where that is allowed.
    pub accounts: Option<LoginAccounts>,
    /// What is left out.
    pub exclude: Option<Excludes>,
    /// Trouble is collected, not stopped over: for a dry run, and for `--keep-going`.
    pub carry_on: bool,
    /// Inodes that the journal already has, with their device: only needed where an id does not tell. Not with
    /// their tree, as hard links can lie in several.
    pub done: HashSet<(u64, Identity)>,
    /// The mounts that are walked, too; none where no mount point is crossed.
    pub(super) known_mounts: Option<KnownMounts>,
}

impl<'a> WalkScope<'a> {
    /// Every inode goes through the map; nobody's files are spared. Of mounts in the trees it walks those that are
    /// there now: to be made before they are checked.
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
    /// Inodes of several names that were met.
    pub links: HardLinkTable,
    /// What is shown instead of an owner that is no id here.
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

    /// Who would lose an inode of this tree that gets another owner.
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

    /// Counts an inode left as it is; ends the run over it unless it carries on.
    pub fn record_problem(&self, stats: &mut Stats, problem: Problem) -> ControlFlow<()> {
        self.run.control.monitor.problem(&problem);
        stats.add_problem(problem);
        match self.scope.carry_on {
            true => ControlFlow::Continue(()),
            false => self.run.give_up(),
        }
    }

    /// Globs of what is to be left out that matched nothing; of a walk that came to its end.
    pub(super) fn unmatched_excludes(&self) -> Vec<String> {
        let excludes = self.scope.exclude.as_ref();
        let excludes = excludes.filter(|_| !self.run.is_cut_short());
        excludes.map(Excludes::unmatched).unwrap_or_default()
    }
}
