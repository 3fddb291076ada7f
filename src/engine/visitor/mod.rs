//! What happens to one inode.
//!
//! - `group`: the names of a directory, some at a time
//! - `decide`: what is to be done about an inode

mod decide;
mod group;

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::io::Errno;

pub(super) use self::decide::Candidate;
use self::decide::{Verdict, decide, may_change};
use super::context::WalkContext;
use super::hardlinks::{Key, LinkedOutside, OutsideLinks, describe_outside_names};
use super::sinks::{Decision, PinPolicy, Sink};
use super::{Problem, ProblemKind, Stats};
use crate::fs::escape::shell_word;
use crate::fs::walk::{Enter, Visit};
use crate::fs::{Dir, DirPath, LookupEntry, Names, PinnedFile, Root, attributes, process};
use crate::guidance::Guidance;

/// Decides on each inode that one thread visits. Changes go to a sink.
pub struct ShiftVisitor<'a, S> {
    walk: &'a WalkContext<'a>,
    sink: S,
    stats: Stats,
    /// Names that are looked at, and may be open, at once.
    group: usize,
    /// Of the group before, most were to be changed.
    changes_most: bool,
    /// Inodes of this group that have several names, all of them in it at one moment.
    all_here: Vec<Key>,
}

/// Why what is below a mount point is not reached.
const OVER_IT: &str = "something was mounted over it during the run. `findmnt` shows it: unmount it, then run this again";

/// Whether a file that is a tree itself has the name that it was opened by, and had it ever since.
fn has_its_name(root: &Root, pin: &PinnedFile) -> bool {
    let name = root.path.file_name().unwrap_or_default();
    let name = CString::new(name.as_bytes()).unwrap_or_default();
    pin.keeps_name(&name) == Some(true)
}

/// Names of one group.
const GROUP: usize = 256;

impl<'a, S: Sink> ShiftVisitor<'a, S> {
    /// One thread's.
    pub fn new(walk: &'a WalkContext<'a>, sink: S) -> Self {
        ShiftVisitor {
            walk,
            sink,
            stats: Stats::default(),
            group: walk
                .run
                .control
                .group_size((process::descriptors_for_pins() / 4).clamp(1, GROUP)),
            changes_most: S::Held::IS_PIN,
            all_here: Vec::new(),
        }
    }

    pub(super) fn record_left(
        &mut self,
        kind: ProblemKind,
        dir: &DirPath,
        name: &[u8],
        reason: String,
    ) -> ControlFlow<()> {
        let path = self.walk.path(dir, name);
        self.record_left_links(Problem { path, kind, reason }, None)
    }

    /// An inode of which it is known how many hard links it has.
    pub(super) fn record_left_links(
        &mut self,
        problem: Problem,
        links: Option<u32>,
    ) -> ControlFlow<()> {
        self.sink.left(&problem, links);
        self.walk.record_problem(&mut self.stats, problem)
    }

    pub(super) fn record_failed(
        &mut self,
        dir: &DirPath,
        name: &[u8],
        call: &str,
        errno: Errno,
    ) -> ControlFlow<()> {
        let reason = match errno {
            Errno::MFILE => format!("{call}: {errno}. Raise the limit with `ulimit -n`"),
            Errno::XDEV => OVER_IT.into(),
            Errno::NOSYS => format!("{call}: /proc is not mounted here, and is needed"),
            _ => format!("{call}: {errno}"),
        };
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }

    /// Visits an inode by its first name.
    pub(super) fn visit_inode(
        &mut self,
        dir: &Arc<DirPath>,
        mut candidate: Candidate<'_>,
    ) -> ControlFlow<()> {
        self.stats.seen += 1;
        let links = candidate.entry.stat.hard_links();
        let transition = match decide(self.walk, dir, &mut candidate) {
            Verdict::Change(transition) => transition,
            Verdict::Stays => {
                self.stats.already += 1;
                return ControlFlow::Continue(());
            }
            Verdict::Left(kind, reason) => {
                let path = self.walk.path(dir, candidate.name);
                return self.record_left_links(Problem { path, kind, reason }, links);
            }
            Verdict::LinkedOutside(names) => {
                return self.linked_outside(dir, candidate.name, names);
            }
        };
        let Some(held) = S::Held::of(candidate.entry.pin) else {
            // It was not to be changed when it was looked at.
            return self.record_failed(dir, candidate.name, "open", Errno::STALE);
        };
        let decision = Decision {
            dir,
            name: candidate.name,
            identity: candidate.entry.stat.identity,
            links,
            transition,
            held,
        };
        self.sink.change(self.walk, &mut self.stats, decision)
    }
}

impl<'a, S: Sink> ShiftVisitor<'a, S> {
    pub(super) fn context(&self) -> &'a WalkContext<'a> {
        self.walk
    }

    pub(super) fn record_vanished(&mut self) {
        self.stats.vanished += 1;
    }

    /// An inode that would change, and has names outside.
    fn linked_outside(
        &mut self,
        dir: &Arc<DirPath>,
        name: &[u8],
        names: (u32, u32),
    ) -> ControlFlow<()> {
        if self.walk.links.outside() == OutsideLinks::Refused {
            self.walk.links.add_linked_outside(LinkedOutside {
                dir: Arc::clone(dir),
                name: name.into(),
                names,
            });
            return ControlFlow::Continue(());
        }
        let word = shell_word(&self.walk.path(dir, name));
        let help = Guidance::FindOutsideLinks(&word, self.walk.scope.command);
        let reason = format!("{}. {help}", describe_outside_names(names));
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }
}

impl<S: Sink> Visit for ShiftVisitor<'_, S> {
    type Output = Stats;

    fn root(&mut self, number: usize, root: &Root) -> ControlFlow<(), Enter> {
        let path = DirPath::top(number, root);
        let read = root.pin.try_clone().map_err(|errno| ("dup", errno));
        let read = read.and_then(|pin| match pin.stat() {
            Ok(stat) => Ok((pin, stat)),
            Err(errno) => Err(("statx", errno)),
        });
        let (pin, stat) = match read {
            Ok(read) => read,
            Err((call, errno)) => {
                self.record_failed(&path, b".", call, errno)?;
                return ControlFlow::Continue(Enter::No);
            }
        };
        let links = &self.walk.links;
        let is_linked_file = !root.is_dir() && stat.nlink > 1;
        // Another of its names may lie in another of the trees. Where links are guarded, all are looked up below.
        if is_linked_file && !links.guards() && !links.is_first_name(&stat) {
            return ControlFlow::Continue(Enter::No);
        }
        let rule = self.walk.scope.policy.root(number);
        // The number of names is read before: if the file has its own name still, that is one of them.
        let kept_name = root.is_dir() || stat.mount_root || has_its_name(root, &pin);
        let entry = LookupEntry {
            stat,
            present: attributes::present(&pin),
            pin: Some(pin),
            kept_name,
        };
        let may_be_linked = !root.is_dir() && (stat.nlink > 1 || !kept_name);
        // What is mounted on a file's name is another file, and its names are elsewhere.
        if links.guards()
            && may_be_linked
            && !stat.mount_root
            && may_change(self.walk, rule, &entry)
        {
            links.defer(&stat, &path, b".");
            return ControlFlow::Continue(Enter::No);
        }
        let candidate = Candidate {
            name: b".",
            rule,
            entry,
            elsewhere: match root.is_dir() || !self.walk.links.guards() {
                true => None,
                false => Some((1, stat.nlink)).filter(|&(seen, names)| seen < names),
            },
        };
        self.visit_inode(&path, candidate)?;
        ControlFlow::Continue(match root.is_dir() {
            true => Enter::Yes,
            false => Enter::No,
        })
    }

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        self.walk.run.control.monitor.directory(&dir.path);
        let (seen, changed) = (self.stats.seen, self.stats.changed);
        let all: Vec<&CStr> = names.iter().collect();
        let rule = self.walk.scope.policy.all_in(&dir.path);
        for group in all.chunks(self.group) {
            self.visit_group(dir, group, rule, found)?;
        }
        let progress = (self.stats.seen - seen, self.stats.changed - changed);
        self.walk
            .run
            .control
            .monitor
            .progress(progress.0, progress.1);
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, dir: &Arc<DirPath>, errno: Errno) -> ControlFlow<()> {
        match errno {
            Errno::NOENT => {
                self.stats.vanished += 1;
                ControlFlow::Continue(())
            }
            // ENOTDIR, ELOOP: something else has its name now.
            Errno::STALE | Errno::NOTDIR | Errno::LOOP => {
                let reason = "was replaced while the tree was read. Stop what changes the tree";
                self.record_left(ProblemKind::Failed, dir, b".", reason.into())
            }
            _ => self.record_failed(dir, b".", "open directory", errno),
        }
    }

    fn finish(mut self) -> Stats {
        let whole = !self.walk.run.is_cut_short();
        self.sink.finish(self.walk, &mut self.stats, whole);
        self.stats
    }
}
