//! One thread of a replay: frame by frame, what is to be done about each inode.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::{FailurePolicy, Replay, ReplayMode, Target};
use crate::engine::chown_check::ChownCheck;
use crate::engine::dir_cache::{DirCache, Mounts, PathChain};
use crate::engine::report::push_listed;
use crate::engine::steps::Move;
use crate::engine::sync::ChangedCounter;
use crate::engine::{Problem, ProblemKind, Stats};
use crate::fs::live_mounts::LiveMounts;
use crate::fs::{
    self, FirstCall, LookupEntry, LookupError, LookupOptions, PinnedFile, PinnedFiles, Root, Stat,
    attributes, process,
};
use crate::journal::file::Section;
use crate::journal::record::{DirLine, Entry};
use crate::journal::{JournalError, Name, Transition};
use crate::ownership::{ApplyState, Change, Extra, FileType, Flags, Ownership};

/// Changes of a frame by number.
type Transitions = HashMap<u32, Rc<Transition>>;

/// One thread of a replay.
pub(super) struct Worker<'a> {
    replay: &'a Replay<'a>,
    roots: &'a [Result<Root, String>],
    over: &'a AtomicBool,
    changed: Option<&'a ChangedCounter>,
    /// Where the run crossed mounts.
    live_mounts: Option<&'a LiveMounts>,
    way: DirCache,
    /// Inodes that are looked at, and may be open, at once.
    group: usize,
    /// What is asked of them first: of the group before, most were to be changed, or not.
    first: FirstCall,
    /// Of inodes that are changed.
    pins: PinnedFiles,
    /// Directories that are to be changed.
    late: Vec<DeferredDir>,
    most_late: usize,
    /// Levels of ways that they keep, at most.
    late_levels: usize,
    /// Where entries were renamed: the way as the journal knows it.
    known: Vec<Name>,
    /// Some entries of that directory were renamed, and each is looked for by itself.
    scatters: bool,
    /// The tree in which it is now.
    root_now: usize,
    kept: ChownCheck,
    /// Nothing is to be undone: the run ended before it changed anything, and whoever has used the trees since is no
    /// conflict.
    never_begun: bool,
    pub(super) stats: Stats,
}

/// A directory that is to be changed. That sets its ctime, and what is in a directory whose ctime is
/// new is slow to look at: so it comes after what the journal has next, which is mostly in it.
struct DeferredDir {
    stat: Stat,
    pin: PinnedFile,
    flags: (Flags, Flags),
    now: Ownership,
    transition: Rc<Transition>,
    /// For messages: the tree, the way to where it lies, its name there.
    root: usize,
    trail: Option<Rc<PathChain>>,
    name: Name,
}

/// Inodes of one group.
const GROUP: usize = 256;

/// Directories that wait to be changed.
const LATE: usize = 1024;

/// Levels of the ways to them, of some hundred bytes each with long names: a deep tree's ways would fill the memory.
const LATE_LEVELS: usize = 1 << 16;

/// Why an inode is not where the journal says.
const GONE: &str = "is gone, or was renamed";
const REPLACED: &str = "another inode has its name now";
const MOUNTED: &str =
    "something is mounted on its way now; `findmnt` shows what, and `umount` takes it away";

impl<'a> Worker<'a> {
    pub(super) fn new(
        replay: &'a Replay<'a>,
        roots: &'a [Result<Root, String>],
        over: &'a AtomicBool,
        changed: Option<&'a ChangedCounter>,
        live_mounts: Option<&'a LiveMounts>,
    ) -> Self {
        let pins = process::descriptors_for_pins() / 4;
        Worker {
            replay,
            roots,
            over,
            changed,
            live_mounts,
            way: DirCache::default(),
            group: replay.stop.group(pins.clamp(1, GROUP)),
            first: FirstCall::Pin,
            pins: PinnedFiles::default(),
            late: Vec::new(),
            most_late: replay.stop.group(pins.clamp(1, LATE)),
            late_levels: 0,
            known: Vec::new(),
            root_now: 0,
            scatters: false,
            kept: ChownCheck::default(),
            never_begun: replay.target == Target::Before
                && replay.act != ReplayMode::Report
                && !replay.journal.may_have_begun(),
            stats: Stats::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        if self.replay.stop.is_asked() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn frame(&mut self, frame: u32) -> Result<(), JournalError> {
        let mut transitions = Transitions::new();
        self.way.try_again();
        self.known.clear();
        for piece in self.replay.journal.read(frame)? {
            match piece {
                Section::Own(n, transition) => {
                    transitions.insert(n, Rc::new(transition));
                }
                Section::Dir(line) => {
                    let known = |n: &u32| transitions.contains_key(n);
                    if line.root >= self.roots.len() || !line.owns.iter().all(known) {
                        return Err(self.replay.journal.damaged(
                            frame,
                            "it names a root or a change that it does not define",
                        ));
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

    /// Changes the directories that were put off.
    pub(super) fn finish_deferred(&mut self) {
        self.late_levels = 0;
        for late in std::mem::take(&mut self.late) {
            if self.is_over() {
                return;
            }
            match self.apply(
                (&late.stat, &late.pin),
                late.flags,
                &late.now,
                &late.transition,
            ) {
                Ok(()) => self.count(&late.transition),
                Err((kind, reason)) => {
                    let path = self.path(late.root, late.trail.as_deref(), &late.name);
                    self.problem(Problem { path, kind, reason });
                }
            }
        }
    }

    fn dir(&mut self, line: &DirLine, transitions: &Transitions) {
        let (seen, changed) = (self.stats.seen, self.stats.changed);
        self.enter(line);
        let entries: Vec<Entry<'_>> = line.entries().collect();
        // Where entries of this directory were renamed, each may be in another one now.
        let most = match self.scatters {
            false => self.group,
            true => 1,
        };
        // The top of a tree has no name to be looked at with others.
        let is_top = |entry: &Entry<'_>| entry.name.0 == b".";
        let alike = entries.chunk_by(|one, next| !is_top(one) && !is_top(next));
        for group in alike.flat_map(|alike| alike.chunks(most)) {
            self.replay.stop.take_turn(group.len());
            if self.is_over() {
                return;
            }
            self.entries(line.root, group, transitions);
        }
        let monitor = self.replay.monitor;
        monitor.progress(self.stats.seen - seen, self.stats.changed - changed);
    }

    /// Some inodes of one directory, few enough for all of them to be open at once.
    fn entries(&mut self, root: usize, entries: &[Entry<'_>], transitions: &Transitions) {
        let renamed = match entries {
            [one] => self.name_now(root, one.name),
            _ => None,
        };
        let root = self.root_now;
        let by_its_name_now = renamed.as_ref().map(|name| [Entry { name, ..entries[0] }]);
        let entries = by_its_name_now.as_ref().map_or(entries, |one| one);
        let looked = match &self.roots[root] {
            Ok(pinned) => self.look_up_entries(pinned, entries, transitions),
            Err(reason) => {
                let gone = |_| Err((ProblemKind::Conflict, reason.clone()));
                entries.iter().map(gone).collect()
            }
        };
        let pinned = |looked: &Result<LookupEntry, EntryProblem>| matches!(looked, Ok(it) if it.pin.is_some());
        let wanted = looked.iter().filter(|looked| pinned(looked)).count();
        self.first = match wanted * 2 > looked.len() {
            true => FirstCall::Pin,
            false => FirstCall::Numbers,
        };
        for (entry, looked) in entries.iter().zip(looked) {
            if self.is_over() {
                return;
            }
            self.stats.seen += 1;
            let transition = &transitions[&entry.own];
            let result = looked.and_then(|it| self.entry(root, entry, transition, it));
            if let Err((kind, reason)) = result {
                let trail = self.way.trail().cloned();
                let path = self.path(root, trail.as_deref(), entry.name);
                self.problem(Problem { path, kind, reason });
            }
        }
        if self.pins.len() >= self.group {
            self.pins = PinnedFiles::default();
        }
        if self.late.len() >= self.most_late {
            self.finish_deferred();
        }
    }

    /// What the names of some entries mean now; those that are to be changed are pinned.
    fn look_up_entries(
        &mut self,
        pinned: &'a Root,
        entries: &[Entry<'_>],
        transitions: &Transitions,
    ) -> Vec<Result<LookupEntry, EntryProblem>> {
        let (act, target) = (self.replay.act, self.replay.target);
        let wants = |n: usize, stat: &Stat, _| {
            let Transition { change, held, .. } = &*transitions[&entries[n].own];
            let now = Ownership::new(stat.uid, stat.gid, stat.mode, Extra::default());
            act == ReplayMode::Change && (now != *target.side(change) || !held.is_empty())
        };
        if let [Entry { name, .. }] = entries
            && name.0 == b"."
        {
            return vec![look_at_root(pinned)];
        }
        let mounts = self.mounts(pinned);
        let names: Vec<CString> = entries.iter().map(|entry| c_name(entry.name)).collect();
        let names: Vec<&CStr> = names.iter().map(|name| &**name).collect();
        let looked = match self.way.open(pinned.pin.as_fd(), mounts) {
            Ok((dir, guard)) => {
                let how = LookupOptions {
                    guard,
                    first: self.first,
                    keeps_names: false,
                };
                fs::lookup(dir, &names, how, wants).each
            }
            Err(errno) => {
                let call = "open";
                names
                    .iter()
                    .map(|_| Err(LookupError { call, errno }))
                    .collect()
            }
        };
        looked
            .into_iter()
            .map(|one| one.map_err(entry_problem))
            .collect()
    }

    /// Turns to a line's directory.
    fn enter(&mut self, line: &DirLine) {
        if self.replay.moves.is_empty() {
            self.root_now = line.root;
            self.turn(line.root, line.keep, &line.path);
            return;
        }
        self.known.truncate(line.keep);
        self.known.extend(line.path.iter().cloned());
        let mut now = self.known.clone();
        self.scatters = false;
        let mut root = line.root;
        for one in self.replay.moves {
            let parent = one.from.path.split_last().map(|(_, above)| above);
            self.scatters |= one.from.root == root && parent == Some(&now[..]);
            (root, now) = one.apply(root, &now).unwrap_or((root, now));
        }
        self.root_now = root;
        if !self.scatters {
            self.turn(root, 0, &now);
        }
    }

    /// Where entries were renamed, and each is looked at by itself: turns to the directory that `name` is in
    /// now; its name there.
    fn name_now(&mut self, root: usize, name: &Name) -> Option<Name> {
        if !self.scatters {
            return None;
        }
        let mut way = self.known.clone();
        if name.0 != b"." {
            way.push(name.clone());
        }
        let moved =
            |(root, way): (usize, Vec<Name>), m: &Move| m.apply(root, &way).unwrap_or((root, way));
        let all = self.replay.moves.iter();
        let (root, mut now) = all.fold((root, way), moved);
        let name = match name.0 == b"." {
            true => name.clone(),
            false => now.pop()?,
        };
        self.root_now = root;
        self.turn(root, 0, &now);
        Some(name)
    }

    fn turn(&mut self, root: usize, keep: usize, names: &[Name]) {
        self.late_levels += self.way.enter(root, keep, names);
        if self.late_levels >= LATE_LEVELS {
            self.finish_deferred();
        }
    }

    fn problem(&mut self, problem: Problem) {
        if self.never_begun && problem.kind == ProblemKind::Conflict {
            return;
        }
        self.replay.monitor.problem(&problem);
        let is_over = match self.replay.give_up {
            FailurePolicy::Never => false,
            FailurePolicy::OnFailure => problem.kind != ProblemKind::Conflict,
            FailurePolicy::OnConflict => true,
        };
        if is_over {
            self.over.store(true, Ordering::Relaxed);
        }
        self.stats.add_problem(problem);
    }

    fn path(&self, root: usize, trail: Option<&PathChain>, name: &Name) -> PathBuf {
        let top = self.replay.journal.header.roots[root].path.as_path();
        let mut path = PathChain::path(trail, top);
        if name.0 != b"." {
            path.push(name.as_path());
        }
        path
    }

    /// Compares one inode, and changes it where that is wanted.
    fn entry(
        &mut self,
        root: usize,
        entry: &Entry<'_>,
        transition: &Rc<Transition>,
        looked: LookupEntry,
    ) -> Result<(), EntryProblem> {
        let conflict = |reason: &str| (ProblemKind::Conflict, reason.to_string());
        let failed = |reason: String| (ProblemKind::Failed, reason);
        let LookupEntry {
            stat, present, pin, ..
        } = looked;
        let is_it = stat.identity == entry.identity && stat.file_type == transition.file_type;
        if !is_it {
            if !self.never_begun && stat.is_dir() && transition.file_type == FileType::Directory {
                let trail = self.way.trail().cloned();
                let path = self.path(root, trail.as_deref(), entry.name);
                push_listed(&mut self.stats.replaced_dirs, path);
            }
            return Err(conflict(REPLACED));
        }
        let is_top = entry.name.0 == b".";
        if !is_top {
            self.check_mount(root, entry.name, &stat, pin.as_ref())
                .map_err(|errno| {
                    entry_problem(LookupError {
                        call: "open",
                        errno,
                    })
                })?;
        }
        let now = attributes::read_looked(pin.as_ref(), &stat, present)
            .map_err(|error| failed(error.to_string()))?;
        let change = &transition.change;
        let (wanted, other) = (
            self.replay.target.side(change),
            self.replay.target.other(change),
        );
        let flags = self.flags(stat.flags(), transition.held);
        if now == *wanted {
            // It may have been killed before it put the flags back.
            if let Some(pin) = &pin
                && self.lost_flags(&stat, transition.held)
                && self.replay.act == ReplayMode::Change
            {
                self.apply((&stat, pin), flags, &now, transition)?;
            }
            self.stats.already += 1;
            return Ok(());
        }
        match self.replay.act {
            ReplayMode::Report => {
                let (is, should) = (summary(&now), summary(wanted));
                return Err(conflict(&format!("is {is}, and should be {should}")));
            }
            _ if !self.may_change(change, &now, transition.file_type) => {
                self.stats.forcible += u64::from(!self.never_begun);
                let (is, was) = (summary(&now), summary(other));
                return Err(conflict(&format!(
                    "was changed since: it is {is}, not {was}"
                )));
            }
            ReplayMode::Count => {
                self.count(transition);
                return Ok(());
            }
            ReplayMode::Change => {}
        }
        // What differs from what is wanted was pinned.
        let pin = pin.ok_or_else(|| failed(Errno::STALE.to_string()))?;
        if stat.is_dir() {
            self.late.push(DeferredDir {
                stat,
                pin,
                flags,
                now,
                transition: Rc::clone(transition),
                root,
                trail: self.way.trail().cloned(),
                name: entry.name.clone(),
            });
            return Ok(());
        }
        let applied = self.apply((&stat, &pin), flags, &now, transition);
        self.pins.push(pin);
        applied?;
        self.count(transition);
        Ok(())
    }

    /// The flags of an inode that are cleared before it is changed, and those that it has after:
    /// while a run has not ended, one that it took for a moment is put back; later, whoever cleared
    /// it did so on purpose.
    fn flags(&self, now: Flags, held: Flags) -> (Flags, Flags) {
        let has = now.and(held);
        match self.replay.accept_partial {
            true => (has, held),
            false => (has, has),
        }
    }

    /// Whether an inode lacks flags that were taken from it for a moment.
    fn lost_flags(&self, stat: &Stat, held: Flags) -> bool {
        let (_, after) = self.flags(stat.flags(), held);
        !after.without(stat.flags()).is_empty()
    }

    /// Changes one inode.
    fn apply(
        &mut self,
        (stat, pin): (&Stat, &PinnedFile),
        flags: (Flags, Flags),
        now: &Ownership,
        transition: &Transition,
    ) -> Result<(), EntryProblem> {
        let change = &transition.change;
        let forced = self.replay.force
            && self.replay.target == Target::Before
            && !self.is_ours(change, now, transition.file_type);
        let given_back = forced.then(|| change.give_back(now));
        let wanted = given_back
            .as_ref()
            .unwrap_or(self.replay.target.side(change));
        self.stats.begun += 1;
        if let Some(changed) = self.changed {
            changed.count(1);
        }
        fs::apply_despite(pin, transition.file_type, flags, now, wanted)
            .map_err(|error| error.to_string())
            .and_then(|()| self.kept.check((stat.dev, stat.identity), pin, now, wanted))
            .map_err(|reason| (ProblemKind::Failed, reason))?;
        if wanted == self.replay.target.side(change) {
            return Ok(());
        }
        self.count(transition);
        let (is, was) = (summary(wanted), summary(&change.before));
        let reason = format!(
            "has its owner back, and keeps what was changed since: it is {is}, and was {was}"
        );
        Err((ProblemKind::Conflict, reason))
    }

    /// Counts an inode that was brought, or is to be.
    fn count(&mut self, transition: &Transition) {
        let change = match self.replay.target {
            Target::Before => transition.change.clone().swapped(),
            Target::After => transition.change.clone(),
        };
        self.stats.add_changes(
            &Transition {
                change,
                ..transition.clone()
            },
            1,
        );
    }

    fn may_change(&self, change: &Change, now: &Ownership, file_type: FileType) -> bool {
        self.replay.force || self.is_ours(change, now, file_type)
    }

    /// Whether an inode is what the run, or its undoing, left of it.
    fn is_ours(&self, change: &Change, now: &Ownership, file_type: FileType) -> bool {
        match change.apply_state(now, file_type) {
            ApplyState::Before | ApplyState::After => true,
            ApplyState::Partial => self.replay.accept_partial,
            ApplyState::Modified => false,
        }
    }

    fn mounts(&self, root: &Root) -> Mounts<'a> {
        match self.live_mounts {
            Some(live) => Mounts::Crossed(live),
            None => Mounts::Avoided(root.dev),
        }
    }

    /// Makes sure that an entry of the directory at hand is no mount that is not to be crossed.
    fn check_mount(
        &mut self,
        root: usize,
        name: &Name,
        stat: &Stat,
        pin: Option<&PinnedFile>,
    ) -> rustix::io::Result<()> {
        let Ok(top) = &self.roots[root] else {
            return Ok(());
        };
        let mounts = self.mounts(top);
        match (pin, mounts) {
            (Some(pin), _) => mounts.check(pin, stat),
            (None, Mounts::Crossed(_)) if stat.mount_root => {
                let (dir, _) = self.way.open(top.pin.as_fd(), mounts)?;
                mounts.check(PinnedFile::at(dir, &c_name(name))?, stat)
            }
            (None, _) => mounts.check(&top.pin, stat),
        }
    }
}

/// Why an inode is left as it is.
type EntryProblem = (ProblemKind, String);

/// The top of a tree, which has no name in it.
fn look_at_root(root: &Root) -> Result<LookupEntry, EntryProblem> {
    let pin = root.pin.try_clone();
    let looked = pin.and_then(|pin| {
        Ok(LookupEntry {
            stat: pin.stat()?,
            present: attributes::present(&pin),
            pin: Some(pin),
            kept_name: true,
        })
    });
    let call = "statx";
    looked.map_err(|errno| entry_problem(LookupError { call, errno }))
}

fn entry_problem(error: LookupError) -> EntryProblem {
    let LookupError { call, errno } = error;
    let conflict = |reason: &str| (ProblemKind::Conflict, reason.to_string());
    match errno {
        Errno::NOENT => conflict(GONE),
        Errno::NOTDIR | Errno::LOOP => conflict(REPLACED),
        Errno::XDEV => conflict(MOUNTED),
        _ => (ProblemKind::Failed, format!("{call}: {errno}")),
    }
}

/// A name of a journal holds no NUL: `Name::is_component` made sure.
fn c_name(name: &Name) -> CString {
    CString::new(&name.0[..]).unwrap_or_default()
}

/// An ownership in a few words, for messages.
fn summary(ownership: &Ownership) -> String {
    let extra = match ownership.extra {
        Some(_) => " with ACL or capability",
        None => "",
    };
    let Ownership { uid, gid, mode, .. } = ownership;
    format!("{uid}:{gid} {mode}{extra}")
}
