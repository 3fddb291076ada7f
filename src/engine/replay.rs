//! What a journal says, compared with the disk and brought about.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::steps::Move;
use super::{Monitor, Problem, ProblemKind, Stop, Tally, roots};
use crate::fs::stat::stat;
use crate::fs::{self, Pin, Root, attributes, process};
use crate::ownership::{Change, FileType, Flags, Ownership, Standing};
use crate::record::journal::Piece;
use crate::record::line::{DirLine, Entry};
use crate::record::{Journal, JournalError, Name, Transition};

/// Which side of its changes a replay wants on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As before the run: rollback.
    Before,
    /// As after it: resume, verify.
    After,
}

/// What is done about an inode that is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is changed.
    Change,
    /// It is counted as to be changed: a dry run.
    Count,
    /// It is reported as a conflict: verify.
    Report,
}

/// What ends a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Nothing: what goes wrong is reported.
    Never,
    /// An inode that cannot be read or changed.
    OnFailure,
    /// That, and an inode that is not what the journal says.
    OnConflict,
}

/// How a journal is gone through.
pub struct Replay<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// What is wanted.
    pub goal: Goal,
    /// Inodes half way between before and after are the journal's doing: true while a run or a
    /// rollback of it has not ended.
    pub between_is_ours: bool,
    /// An inode that somebody changed since is given the wanted ownership all the same.
    pub force: bool,
    /// What is done.
    pub act: Act,
    /// What ends the replay before its end.
    pub give_up: GiveUp,
    /// Entries that steps renamed since: what is below them is looked for in their new places.
    pub moves: &'a [Move],
    /// Hears of progress.
    pub monitor: &'a dyn Monitor,
    /// Asks to stop; between two inodes.
    pub stop: &'a Stop,
}

/// How a replay went.
pub struct Replayed {
    /// Counts.
    pub tally: Tally,
    /// It was stopped before its end, on request or by the first trouble of a strict one.
    pub cut_short: bool,
}

impl Replay<'_> {
    /// Goes through all frames with `jobs` threads: no inode is in two frames, so their order does
    /// not matter.
    ///
    /// # Errors
    /// The journal cannot be read any more.
    pub fn run(&self, jobs: usize) -> Result<Replayed, JournalError> {
        let roots = roots::open_each(&self.journal.header.roots);
        let next = AtomicU32::new(0);
        let over = AtomicBool::new(false);
        let broken: Mutex<Option<JournalError>> = Mutex::new(None);
        let tallies = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs)
                .map(|_| {
                    scope.spawn(|| {
                        process::separate_thread();
                        let mut worker = Worker::new(self, &roots, &over);
                        while !worker.is_over() {
                            let frame = next.fetch_add(1, Ordering::Relaxed);
                            if frame >= self.journal.frames() {
                                break;
                            }
                            if let Err(error) = worker.frame(frame) {
                                over.store(true, Ordering::Relaxed);
                                let mut first =
                                    broken.lock().unwrap_or_else(PoisonError::into_inner);
                                first.get_or_insert(error);
                            }
                        }
                        worker.tally
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(tally) => tally,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect::<Vec<_>>()
        });
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Replayed {
                tally: Tally::sum(tallies),
                cut_short: over.load(Ordering::Relaxed),
            }),
        }
    }
}

/// One thread of a replay.
struct Worker<'a> {
    replay: &'a Replay<'a>,
    roots: &'a [Result<Root, String>],
    over: &'a AtomicBool,
    way: Way,
    /// Where entries were renamed: the way as the journal knows it.
    known: Vec<Name>,
    tally: Tally,
}

/// Why an inode is not where the journal says.
const GONE: &str = "is gone, or was renamed";
const REPLACED: &str = "another inode has its name now";
const MOUNTED: &str = "something is mounted on its way now";

impl<'a> Worker<'a> {
    fn new(
        replay: &'a Replay<'a>,
        roots: &'a [Result<Root, String>],
        over: &'a AtomicBool,
    ) -> Self {
        Worker {
            replay,
            roots,
            over,
            way: Way::default(),
            known: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn is_over(&self) -> bool {
        if self.replay.stop.is_asked() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.over.load(Ordering::Relaxed)
    }

    fn frame(&mut self, frame: u32) -> Result<(), JournalError> {
        let mut transitions: HashMap<u32, Transition> = HashMap::new();
        self.way = Way::default();
        self.known.clear();
        for piece in self.replay.journal.read(frame)? {
            match piece {
                Piece::Own(n, transition) => {
                    transitions.insert(n, transition);
                }
                Piece::Dir(line) => {
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

    fn dir(&mut self, line: &DirLine, transitions: &HashMap<u32, Transition>) {
        let (seen, changed) = (self.tally.seen, self.tally.changed);
        self.go(line);
        let root = &self.roots[line.root];
        for entry in line.entries() {
            if self.is_over() {
                return;
            }
            self.tally.seen += 1;
            let transition = &transitions[&entry.own];
            let result = match root {
                Ok(root) => {
                    let name = self.name_now(line.root, entry.name);
                    let entry = Entry {
                        name: name.as_ref().unwrap_or(entry.name),
                        ..entry
                    };
                    self.entry(root, &entry, transition)
                }
                Err(reason) => Err((ProblemKind::Conflict, reason.clone())),
            };
            if let Err((kind, reason)) = result {
                let path = self.path(line.root, entry.name);
                self.problem(Problem { path, kind, reason });
            }
        }
        let monitor = self.replay.monitor;
        monitor.progress(self.tally.seen - seen, self.tally.changed - changed);
    }

    /// Turns to a line's directory.
    fn go(&mut self, line: &DirLine) {
        if self.replay.moves.is_empty() {
            self.way.go(line.keep, &line.path);
        } else {
            self.known.truncate(line.keep);
            self.known.extend(line.path.iter().cloned());
        }
    }

    /// Where entries were renamed: turns to the directory that `name` is in now; its name there.
    fn name_now(&mut self, root: usize, name: &Name) -> Option<Name> {
        if self.replay.moves.is_empty() {
            return None;
        }
        let mut way = self.known.clone();
        if name.0 != b"." {
            way.push(name.clone());
        }
        let moved = |m: &Move| m.apply(root, &way);
        let mut now = self.replay.moves.iter().find_map(moved).unwrap_or(way);
        let name = match name.0 == b"." {
            true => name.clone(),
            false => now.pop()?,
        };
        let keep = self
            .way
            .levels
            .iter()
            .zip(&now)
            .take_while(|(level, name)| level.name == **name)
            .count();
        self.way.go(keep, &now[keep..]);
        Some(name)
    }

    fn problem(&mut self, problem: Problem) {
        self.replay.monitor.problem(&problem);
        let is_over = match self.replay.give_up {
            GiveUp::Never => false,
            GiveUp::OnFailure => problem.kind != ProblemKind::Conflict,
            GiveUp::OnConflict => true,
        };
        if is_over {
            self.over.store(true, Ordering::Relaxed);
        }
        self.tally.problem(problem);
    }

    fn path(&self, root: usize, name: &Name) -> PathBuf {
        let mut path = PathBuf::from(self.replay.journal.header.roots[root].path.clone());
        path.extend(self.way.names().map(OsStr::from_bytes));
        if name.0 != b"." {
            path.push(name.as_path());
        }
        path
    }

    /// Compares one inode, and changes it where that is wanted.
    fn entry(
        &mut self,
        root: &'a Root,
        entry: &Entry<'_>,
        transition: &Transition,
    ) -> Result<(), (ProblemKind, String)> {
        let conflict = |reason: &str| (ProblemKind::Conflict, reason.to_string());
        let failed = |reason: String| (ProblemKind::Failed, reason);
        let pin = self.pin(root, entry.name).map_err(|errno| match errno {
            Errno::NOENT => conflict(GONE),
            Errno::NOTDIR | Errno::LOOP => conflict(REPLACED),
            Errno::XDEV => conflict(MOUNTED),
            _ => failed(format!("open: {errno}")),
        })?;
        let stat = pin
            .stat()
            .map_err(|errno| failed(format!("statx: {errno}")))?;
        let is_it = stat.identity == entry.identity && stat.file_type == transition.file_type;
        if !is_it {
            return Err(conflict(REPLACED));
        }
        let is_top = entry.name.0 == b".";
        if !is_top && self.within(root).is_some_and(|dev| stat.crosses_mount(dev)) {
            return Err(conflict(MOUNTED));
        }
        let now = attributes::read(&pin, &stat).map_err(|error| failed(error.to_string()))?;
        let change = &transition.change;
        let wanted = match self.replay.goal {
            Goal::Before => &change.before,
            Goal::After => &change.after,
        };
        let flags = self.flags(stat.flags(), transition.held);
        let file_type = transition.file_type;
        let bring = || {
            fs::apply_despite(&pin, file_type, flags, &now, wanted)
                .map_err(|error| failed(error.to_string()))
        };
        if now == *wanted {
            // It may have been killed before it put the flags back.
            let lost = !flags.1.without(stat.flags()).is_empty();
            if lost && self.replay.act == Act::Change {
                bring()?;
            }
            self.tally.already += 1;
            return Ok(());
        }
        let other = match self.replay.goal {
            Goal::Before => &change.after,
            Goal::After => &change.before,
        };
        let (is, should) = (summary(&now), summary(wanted));
        match self.replay.act {
            Act::Report => return Err(conflict(&format!("is {is}, and should be {should}"))),
            _ if !self.may_change(change, &now, transition.file_type) => {
                let was = summary(other);
                return Err(conflict(&format!(
                    "was changed since: it is {is}, not {was}"
                )));
            }
            Act::Change => bring()?,
            Act::Count => {}
        }
        let done = match self.replay.goal {
            Goal::Before => change.clone().swapped(),
            Goal::After => change.clone(),
        };
        self.tally.changes(
            &Transition {
                change: done,
                ..transition.clone()
            },
            1,
        );
        Ok(())
    }

    /// The flags of an inode that are cleared before it is changed, and those that it has after:
    /// while a run has not ended, one that it took for a moment is put back; later, whoever cleared
    /// it did so on purpose.
    fn flags(&self, now: Flags, held: Flags) -> (Flags, Flags) {
        let has = now.and(held);
        match self.replay.between_is_ours {
            true => (has, held),
            false => (has, has),
        }
    }

    fn may_change(&self, change: &Change, now: &Ownership, file_type: FileType) -> bool {
        self.replay.force
            || match change.standing(now, file_type) {
                Standing::Before | Standing::After => true,
                Standing::Between => self.replay.between_is_ours,
                Standing::Foreign => false,
            }
    }

    /// The device that nothing may leave, unless the run crossed mounts.
    fn within(&self, root: &Root) -> Option<u64> {
        let crosses = self.replay.journal.header.walk.cross_mounts;
        (!crosses).then_some(root.stat.dev)
    }

    fn pin(&mut self, root: &'a Root, name: &Name) -> rustix::io::Result<Pin> {
        if name.0 == b"." {
            return root.pin.try_clone();
        }
        let dir = self.way.open(root.pin.as_fd(), self.within(root))?;
        let name = std::ffi::CString::new(&name.0[..]).map_err(|_| Errno::INVAL)?;
        Pin::at(dir, &name)
    }
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

/// The way to the directory a replay is at, as open handles: each name is opened once, from the
/// handle before it, and followed never.
#[derive(Default)]
struct Way {
    levels: Vec<Level>,
    open: usize,
    /// Known not to lead anywhere from this level on.
    broken: Option<(usize, Errno)>,
}

struct Level {
    name: Name,
    fd: Option<OwnedFd>,
}

const ON_THE_WAY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Handles kept open; deeper ways close the outer ones and open them again when needed.
const MOST_OPEN: usize = 256;

impl Way {
    /// Keeps the outer `keep` levels and turns to `names` below them.
    fn go(&mut self, keep: usize, names: &[Name]) {
        for level in self.levels.drain(keep.min(self.levels.len())..) {
            self.open -= usize::from(level.fd.is_some());
        }
        let names = names.iter().cloned();
        self.levels
            .extend(names.map(|name| Level { name, fd: None }));
        if self.broken.is_some_and(|(level, _)| level >= keep) {
            self.broken = None;
        }
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.levels.iter().map(|level| &level.name.0[..])
    }

    /// The directory's handle. `within`: the device of a tree that mounts in it are no part of.
    ///
    /// # Errors
    /// `EXDEV` for such a mount.
    fn open<'r>(
        &'r mut self,
        root: BorrowedFd<'r>,
        within: Option<u64>,
    ) -> rustix::io::Result<BorrowedFd<'r>> {
        if let Some((_, errno)) = self.broken {
            return Err(errno);
        }
        let last_open = self.levels.iter().rposition(|level| level.fd.is_some());
        for i in last_open.map_or(0, |i| i + 1)..self.levels.len() {
            let parent = match i.checked_sub(1).and_then(|i| self.levels[i].fd.as_ref()) {
                Some(fd) => fd.as_fd(),
                None => root,
            };
            let name = &self.levels[i].name.0[..];
            let opened = rustix::fs::openat(parent, name, ON_THE_WAY, Mode::empty());
            let inside = opened.and_then(|fd| match within {
                Some(dev) if stat(&fd)?.crosses_mount(dev) => Err(Errno::XDEV),
                _ => Ok(fd),
            });
            match inside {
                Ok(fd) => {
                    self.levels[i].fd = Some(fd);
                    self.open += 1;
                }
                Err(errno) => {
                    self.broken = Some((i, errno));
                    return Err(errno);
                }
            }
            self.close_outer(i);
        }
        Ok(self
            .levels
            .last()
            .and_then(|level| level.fd.as_ref())
            .map_or(root, AsFd::as_fd))
    }

    /// Closes the outer half when too many are open; `keep` and what follows it stay.
    fn close_outer(&mut self, keep: usize) {
        let most = MOST_OPEN.min(process::descriptors_for_directories());
        if self.open < most {
            return;
        }
        let mut surplus = most / 2;
        for level in self.levels[..keep]
            .iter_mut()
            .filter(|level| level.fd.is_some())
        {
            level.fd = None;
            self.open -= 1;
            surplus -= 1;
            if surplus == 0 {
                return;
            }
        }
    }
}
