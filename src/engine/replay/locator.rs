//! Where the entries of a journal are on the disk now.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::io::Errno;

use super::job::Replay;
use crate::engine::ProblemKind;
use crate::engine::target::Target;
use crate::fs::dir_cache::{DirCache, Mounts, PathChain};
use crate::fs::live_mounts::LiveMounts;
use crate::fs::{
    self, FirstCall, LookupEntry, LookupError, LookupOptions, PinnedFile, Root, Stat, attributes,
};
use crate::journal::record::{DirLine, Entry};
use crate::journal::step::{Move, StepPath};
use crate::journal::{Name, Step};

/// Finds the entries of one directory after the other, for one thread.
pub(super) struct Locator<'a> {
    replay: &'a Replay<'a>,
    /// Where the run crossed mounts.
    live_mounts: Option<&'a LiveMounts>,
    dirs: DirCache,
    /// Where entries were renamed: the path as the journal knows it.
    known: Vec<Name>,
    /// Some entries of that directory were renamed, and each is looked for by itself.
    scatters: bool,
    /// The tree in which it is now.
    root_now: usize,
    /// Path levels that were added since [`Locator::take_new_levels`].
    new_levels: usize,
    /// What goes when the steps are undone, and whether with all in it.
    removed: HashMap<StepPath, bool>,
    /// What a step renames, where a daemon may have started in the middle of the run: it makes some of it anew.
    remade: HashSet<StepPath>,
}

/// Why an inode is not where a journal says: its name is gone.
const GONE: &str = "is gone, or was renamed";

/// Why an inode is not where a journal says: its name is another inode's.
pub(super) const REPLACED: &str = "another inode has its name now";

/// Why an inode cannot be looked at.
const MOUNTED: &str =
    "something is mounted in its path now; `findmnt` shows it, and `umount` removes it";

/// Why an inode is left as it is.
pub(super) type EntryProblem = (ProblemKind, String);

impl<'a> Locator<'a> {
    /// At the beginning of a journal.
    pub fn new(replay: &'a Replay<'a>, live_mounts: Option<&'a LiveMounts>) -> Locator<'a> {
        Locator {
            replay,
            live_mounts,
            dirs: DirCache::default(),
            known: Vec::new(),
            scatters: false,
            root_now: 0,
            new_levels: 0,
            removed: match replay.target {
                Target::Before => {
                    let steps = replay.journal.steps.iter();
                    let removed = steps.filter_map(Step::staged);
                    removed.map(|(at, whole)| (at.clone(), whole)).collect()
                }
                Target::After => HashMap::new(),
            },
            remade: match replay.journal.header.is_of_service() && replay.journal.state.is_open() {
                true => {
                    let steps = replay.journal.steps.iter();
                    steps.filter_map(Step::renamed_from).cloned().collect()
                }
                false => HashSet::new(),
            },
        }
    }

    /// Whether a daemon may have put something else in the place of this entry while the run was not at its end. A step
    /// renames whatever has the name then, and nothing is to be done about its owner.
    pub fn may_be_remade(&self, root: usize, name: &Name) -> bool {
        if self.remade.is_empty() {
            return false;
        }
        let path = [&self.known[..], std::slice::from_ref(name)].concat();
        self.remade.contains(&StepPath { root, path })
    }

    /// Whether what has this name in the directory goes when the steps are undone, so that nothing is to be done about
    /// it. Some of it may be gone already.
    pub fn is_removed(&self, root: usize, name: &Name) -> bool {
        if self.removed.is_empty() {
            return false;
        }
        let path = [&self.known[..], std::slice::from_ref(name)].concat();
        let is_removed = |len: usize| {
            let is_all = len == path.len();
            let path = path[..len].to_vec();
            let found = self.removed.get(&StepPath { root, path });
            found.is_some_and(|whole| *whole || is_all)
        };
        (1..=path.len()).any(is_removed)
    }

    /// Begins a frame: its first line has the whole path, and paths that could not be opened are
    /// tried again.
    pub fn begin_frame(&mut self) {
        self.dirs.try_again();
        self.known.clear();
    }

    /// Whether each entry of the directory is looked for by itself.
    pub fn scatters(&self) -> bool {
        self.scatters
    }

    /// The tree in which the directory is now.
    pub fn root_now(&self) -> usize {
        self.root_now
    }

    /// Path levels that were added since the last call.
    pub fn take_new_levels(&mut self) -> usize {
        std::mem::take(&mut self.new_levels)
    }

    /// The path to the directory, to be kept.
    pub fn chain(&self) -> Option<Rc<PathChain>> {
        self.dirs.chain().cloned()
    }

    /// Enters the directory of a line.
    pub fn enter(&mut self, line: &DirLine) {
        if !self.replay.moves.is_empty() || !self.removed.is_empty() || !self.remade.is_empty() {
            self.known.truncate(line.keep);
            self.known.extend(line.path.iter().cloned());
        }
        if self.replay.moves.is_empty() {
            self.root_now = line.root;
            self.turn(line.root, line.keep, &line.path);
            return;
        }
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
    pub fn name_now(&mut self, root: usize, name: &Name) -> Option<Name> {
        if !self.scatters {
            return None;
        }
        let mut path = self.known.clone();
        if name.0 != b"." {
            path.push(name.clone());
        }
        let apply = |(root, path): (usize, Vec<Name>), step: &Move| {
            step.apply(root, &path).unwrap_or((root, path))
        };
        let moves = self.replay.moves.iter();
        let (root, mut now) = moves.fold((root, path), apply);
        let name = match name.0 == b"." {
            true => name.clone(),
            false => now.pop()?,
        };
        self.root_now = root;
        self.turn(root, 0, &now);
        Some(name)
    }

    fn turn(&mut self, root: usize, keep: usize, names: &[Name]) {
        self.new_levels += self.dirs.enter(root, keep, names);
    }

    /// What the names of some entries mean now; those that `wants` says are to be changed are pinned.
    pub fn look_up(
        &mut self,
        root: &Root,
        entries: &[Entry<'_>],
        first: FirstCall,
        wants: impl Fn(usize, &Stat) -> bool,
    ) -> Vec<Result<LookupEntry, EntryProblem>> {
        if let [Entry { name, .. }] = entries
            && name.0 == b"."
        {
            return vec![look_up_root(root)];
        }
        let names: Vec<CString> = entries.iter().map(|entry| c_name(entry.name)).collect();
        let names: Vec<&CStr> = names.iter().map(|name| &**name).collect();
        let mounts = self.mounts(root);
        let lookups = match self.dirs.open(root.pin.as_fd(), mounts) {
            Ok((dir, guard)) => {
                let options = LookupOptions {
                    guard,
                    first,
                    keeps_names: false,
                };
                fs::lookup(dir, &names, options, |n, stat, _| wants(n, stat)).each
            }
            Err(errno) => {
                let failed = LookupError {
                    call: "open",
                    errno,
                };
                names.iter().map(|_| Err(failed)).collect()
            }
        };
        let lookups = lookups.into_iter();
        lookups.map(|one| one.map_err(entry_problem)).collect()
    }

    /// The path of an entry, for messages.
    pub fn path(&self, root: usize, chain: Option<&PathChain>, name: &Name) -> PathBuf {
        let top = self.replay.journal.header.roots[root].path.as_path();
        let mut path = PathChain::path(chain, top);
        if name.0 != b"." {
            path.push(name.as_path());
        }
        path
    }

    fn mounts(&self, root: &Root) -> Mounts<'a> {
        match self.live_mounts {
            Some(live) => Mounts::Crossed(live),
            None => Mounts::Avoided(root.dev),
        }
    }

    /// Makes sure that an entry of the directory at hand is no mount that is not to be crossed.
    pub fn check_mount(
        &mut self,
        root: &Root,
        name: &Name,
        stat: &Stat,
        pin: Option<&PinnedFile>,
    ) -> Result<(), EntryProblem> {
        let mounts = self.mounts(root);
        let checked = match (pin, mounts) {
            (Some(pin), _) => mounts.check(pin, stat),
            (None, Mounts::Crossed(_)) if stat.mount_root => {
                let dir = self.dirs.open(root.pin.as_fd(), mounts);
                let pin = dir.and_then(|(dir, _)| PinnedFile::at(dir, &c_name(name)));
                pin.and_then(|pin| mounts.check(pin, stat))
            }
            (None, _) => mounts.check(&root.pin, stat),
        };
        let call = "open";
        checked.map_err(|errno| entry_problem(LookupError { call, errno }))
    }
}

/// The top of a tree, which has no name in it.
fn look_up_root(root: &Root) -> Result<LookupEntry, EntryProblem> {
    let pin = root.pin.try_clone();
    let found = pin.and_then(|pin| {
        Ok(LookupEntry {
            stat: pin.stat()?,
            present: attributes::present(&pin),
            pin: Some(pin),
            kept_name: true,
        })
    });
    let call = "statx";
    found.map_err(|errno| entry_problem(LookupError { call, errno }))
}

fn entry_problem(error: LookupError) -> EntryProblem {
    let LookupError { call, errno } = error;
    match errno {
        Errno::NOENT => (ProblemKind::Gone, GONE.to_string()),
        Errno::NOTDIR | Errno::LOOP => (ProblemKind::Replaced, REPLACED.to_string()),
        Errno::XDEV => (ProblemKind::Conflict, MOUNTED.to_string()),
        _ => (ProblemKind::Failed, format!("{call}: {errno}")),
    }
}

/// A name of a journal holds no NUL: `Name::is_component` made sure.
fn c_name(name: &Name) -> CString {
    CString::new(&name.0[..]).unwrap_or_default()
}
