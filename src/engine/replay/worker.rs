//! One thread of a replay: frame by frame, what is to be done about each inode.

mod deferred;

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::change::{Changer, ToChange};
use super::job::{FailurePolicy, Replay};
use super::locator::{EntryProblem, Locator, REPLACED};
use crate::engine::missing_tree::NotTheTree;
use crate::engine::stats::push_listed;
use crate::engine::{Problem, ProblemKind, Stats};
use crate::fs::live_mounts::LiveMounts;
use crate::fs::{FirstCall, LookupEntry, PinnedFiles, Root, Stat, process};
use crate::journal::error::Damage;
use crate::journal::file::Section;
use crate::journal::record::{DirLine, Entry};
use crate::journal::{JournalError, Name, Transition};
use crate::ownership::FileType;
use deferred::{DeferredDir, MAX_DEFERRED};

/// Changes of a frame by number.
type Transitions = HashMap<u32, Rc<Transition>>;

/// One thread of a replay.
pub(super) struct Worker<'a> {
    replay: &'a Replay<'a>,
    roots: &'a [Result<Root, NotTheTree>],
    over: &'a AtomicBool,
    locator: Locator<'a>,
    changer: Changer<'a>,
    /// Inodes that are looked at, and may be open, at once.
    group: usize,
    /// What is asked of them first: of the group before, most were to be changed, or not.
    first: FirstCall,
    /// Of inodes that are changed.
    pins: PinnedFiles,
    /// Directories that are to be changed.
    deferred: Vec<DeferredDir>,
    max_deferred: usize,
    /// Levels of the paths that they keep.
    deferred_levels: usize,
}

/// Inodes of one group.
const GROUP: usize = 256;

/// Whether the inode that is meant is not there any more, whatever is there.
fn is_another(lookup: &Result<LookupEntry, EntryProblem>, entry: &Entry<'_>) -> bool {
    match lookup {
        Ok(found) => found.stat.identity != entry.identity,
        Err((kind, _)) => *kind == ProblemKind::Gone,
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        replay: &'a Replay<'a>,
        roots: &'a [Result<Root, NotTheTree>],
        over: &'a AtomicBool,
        live_mounts: Option<&'a LiveMounts>,
    ) -> Self {
        let pins = process::descriptors_for_pins() / 4;
        Worker {
            replay,
            roots,
            over,
            locator: Locator::new(replay, live_mounts),
            changer: Changer::new(replay),
            group: replay.control.group_size(pins.clamp(1, GROUP)),
            first: FirstCall::Pin,
            pins: PinnedFiles::default(),
            deferred: Vec::new(),
            max_deferred: replay.control.group_size(pins.clamp(1, MAX_DEFERRED)),
            deferred_levels: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        if self.replay.control.is_cancelled() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn frame(&mut self, frame: u32) -> Result<(), JournalError> {
        let mut transitions = Transitions::new();
        self.locator.begin_frame();
        for piece in self.replay.journal.read(frame)? {
            match piece {
                Section::Own(n, transition) => {
                    transitions.insert(n, Rc::new(transition));
                }
                Section::Dir(line) => {
                    let known = |n: &u32| transitions.contains_key(n);
                    if line.root >= self.roots.len() || !line.owns.iter().all(known) {
                        return Err(self.replay.journal.damaged(frame, Damage::Undefined));
                    }
                    self.dir(&line, &transitions);
                }
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn dir(&mut self, line: &DirLine, transitions: &Transitions) {
        let before = (self.changer.stats.seen, self.changer.stats.changed);
        self.locator.enter(line);
        self.limit_deferred();
        let entries = line.entries();
        let entries = entries.filter(|entry| !self.locator.is_removed(line.root, entry.name));
        let entries: Vec<Entry<'_>> = entries.collect();
        // Where entries of this directory were renamed, each may be in another one now.
        let most = match self.locator.scatters() {
            false => self.group,
            true => 1,
        };
        // The top of a tree has no name to be looked at with others.
        let is_top = |entry: &Entry<'_>| entry.name.0 == b".";
        let alike = entries.chunk_by(|one, next| !is_top(one) && !is_top(next));
        for group in alike.flat_map(|alike| alike.chunks(most)) {
            self.replay.control.wait_turn(group.len());
            if self.is_over() {
                return;
            }
            self.entries(line.root, group, transitions);
        }
        let monitor = self.replay.control.monitor;
        let Stats { seen, changed, .. } = self.changer.stats;
        monitor.progress(seen - before.0, changed - before.1);
    }

    /// Some inodes of one directory, few enough for all of them to be open at once.
    fn entries(&mut self, root: usize, entries: &[Entry<'_>], transitions: &Transitions) {
        let recorded_root = root;
        let renamed = match entries {
            [one] => self.locator.name_now(root, one.name),
            _ => None,
        };
        self.limit_deferred();
        let root = self.locator.root_now();
        let by_its_name_now = renamed.as_ref().map(|name| [Entry { name, ..entries[0] }]);
        let recorded = entries;
        let entries = by_its_name_now.as_ref().map_or(entries, |one| one);
        let lookups = match &self.roots[root] {
            Ok(pinned) => {
                let changer = &self.changer;
                let wants =
                    |n: usize, stat: &Stat| changer.wants(stat, &transitions[&entries[n].own]);
                self.locator.look_up(pinned, entries, self.first, wants)
            }
            Err(reason) => {
                let gone = |_| Err((ProblemKind::Conflict, reason.to_string()));
                entries.iter().map(gone).collect()
            }
        };
        let is_pinned = |lookup: &Result<LookupEntry, EntryProblem>| {
            lookup.as_ref().is_ok_and(|found| found.pin.is_some())
        };
        let wanted = lookups.iter().filter(|lookup| is_pinned(lookup)).count();
        self.first = match wanted * 2 > lookups.len() {
            true => FirstCall::Pin,
            false => FirstCall::Numbers,
        };
        for (n, (entry, lookup)) in entries.iter().zip(lookups).enumerate() {
            if self.is_over() {
                return;
            }
            self.changer.stats.seen += 1;
            let transition = &transitions[&entry.own];
            if is_another(&lookup, entry)
                && self.locator.may_be_remade(recorded_root, recorded[n].name)
            {
                continue;
            }
            let found = lookup.as_ref().ok().map(|found| found.stat);
            let result = lookup.and_then(|found| self.entry(root, entry, transition, found));
            if let Err((kind, reason)) = result {
                if let Some(stat) = found.filter(|stat| stat.identity == entry.identity) {
                    self.leave(&stat);
                }
                let path = self.entry_path(root, entry.name);
                self.problem(Problem { path, kind, reason });
            }
        }
        if self.pins.len() >= self.group {
            self.pins = PinnedFiles::default();
        }
        if self.deferred.len() >= self.max_deferred {
            self.finish_deferred();
        }
    }

    fn problem(&mut self, problem: Problem) {
        if self.changer.never_begun && problem.kind.is_conflict() {
            return;
        }
        self.replay.control.monitor.problem(&problem);
        let is_over = match self.replay.give_up {
            FailurePolicy::Never => false,
            FailurePolicy::OnFailure => !problem.kind.is_conflict(),
            FailurePolicy::OnConflict => true,
        };
        if is_over {
            self.over.store(true, Ordering::Relaxed);
        }
        self.changer.stats.add_problem(problem);
    }

    /// A walk that comes after it is to leave the inode, too: else it would be in the journal twice.
    fn leave(&mut self, stat: &Stat) {
        if self.replay.is_before_walk() {
            let inode = (stat.dev, stat.identity);
            self.changer.stats.left_inodes.insert(inode);
        }
    }

    fn entry_path(&self, root: usize, name: &Name) -> PathBuf {
        self.locator
            .path(root, self.locator.chain().as_deref(), name)
    }

    /// Compares one inode, and changes it where that is wanted.
    fn entry(
        &mut self,
        root: usize,
        entry: &Entry<'_>,
        transition: &Rc<Transition>,
        found: LookupEntry,
    ) -> Result<(), EntryProblem> {
        let stat = found.stat;
        let is_it = stat.identity == entry.identity && stat.file_type == transition.file_type;
        if !is_it {
            let is_told = !self.changer.never_begun;
            if is_told && stat.is_dir() && transition.file_type == FileType::Directory {
                let path = self.entry_path(root, entry.name);
                push_listed(&mut self.changer.stats.replaced_dirs, path);
            }
            return Err((ProblemKind::Replaced, REPLACED.to_string()));
        }
        if entry.name.0 != b"."
            && let Ok(top) = &self.roots[root]
        {
            let pin = found.pin.as_ref();
            self.locator.check_mount(top, entry.name, &stat, pin)?;
        }
        let Some(it) = self.changer.compare(found, transition)? else {
            return Ok(());
        };
        if stat.is_dir() {
            self.deferred.push(DeferredDir {
                it,
                transition: Rc::clone(transition),
                root,
                chain: self.locator.chain(),
                name: entry.name.clone(),
            });
            return Ok(());
        }
        let changed = self.change(&it, transition);
        self.pins.push(it.pin);
        changed
    }

    fn change(&mut self, it: &ToChange, transition: &Transition) -> Result<(), EntryProblem> {
        let at = (&it.stat, &it.pin);
        self.changer.apply(at, it.flags, &it.now, transition)?;
        self.changer.count(transition);
        Ok(())
    }

    /// What was counted.
    pub(super) fn into_stats(self) -> Stats {
        self.changer.stats
    }
}
