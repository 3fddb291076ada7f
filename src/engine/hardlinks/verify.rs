//! Deciding on inodes whose names had to be met first.
//!
//! An inode may have names outside of the trees, and whoever can write in a tree may link one there
//! that is not theirs (`link(2)`, and `protected_hardlinks` in `proc_sys_fs(5)`). So, unless that is
//! allowed, an inode is only changed when at one moment all its names were in the trees:
//!
//! 1. each of its names is looked up and means it, with the ctime of each directory noted before;
//! 2. its number of names is read;
//! 3. the ctime of each directory is what it was: no name moved, so in 2 all of them were there.
//!
//! Nobody but the clock sets a ctime (`fs::dir_guard`). Where names move meanwhile it is tried again.

use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::{Deferred, Key, key};
use crate::engine::sink::Sink;
use crate::engine::visitor::{Candidate, RunContext, ShiftVisitor};
use crate::engine::{ProblemKind, Stats};
use crate::fs::dir_guard::{CtimeStamp, settles_in, tick};
use crate::fs::open_path::OpenPath;
use crate::fs::stat::stat;
use crate::fs::threads::on_threads;
use crate::fs::walk::{Visit, walk};
use crate::fs::{Dir, DirPath, LookupEntry, PinnedFile, Root, Stat, attributes, process};

/// Walks trees, and then decides on what was put off meanwhile.
pub(in crate::engine) fn walk_and_verify<'a, S: Sink>(
    run: &'a RunContext<'_>,
    roots: &[Root],
    jobs: usize,
    decider: impl Fn() -> ShiftVisitor<'a, S> + Sync,
) -> Stats {
    let mut stats = Stats::sum(walk(roots, jobs, &decider));
    let deferred = run.links.take_deferred();
    if !deferred.is_empty() && !run.is_cut_short() {
        stats.add(verify_deferred(&deferred, jobs, decider));
    }
    stats.unmatched_excludes = run.unmatched_excludes();
    stats
}

/// Names looked at together, at most.
const NAMES: usize = 16384;

/// And at least: a directory that has names of two pieces is opened for each.
const FEW_NAMES: usize = 256;

fn verify_deferred<'a, S: Sink>(
    deferred: &[Deferred],
    jobs: usize,
    decider: impl Fn() -> ShiftVisitor<'a, S> + Sync,
) -> Stats {
    let names: Vec<usize> = deferred.iter().map(Deferred::count_names).collect();
    let chunks = chunks(&names, jobs);
    let next = AtomicUsize::new(0);
    let all_stats = on_threads(jobs.min(chunks.len()), || {
        let mut decider = decider();
        // Each is open from when it was looked at until it is decided on.
        let together = process::descriptors_for_pins() / 4;
        let together = decider.run().stop.group(together.max(1));
        let mine = || chunks.get(next.fetch_add(1, Ordering::Relaxed));
        'over: while let Some(chunk) = mine() {
            for some in deferred[chunk.clone()].chunks(together) {
                if verify_some(&mut decider, some).is_none() {
                    break 'over;
                }
            }
        }
        decider.finish()
    });
    Stats::sum(all_stats)
}

/// Pieces of some inodes, of which it is known how many names each has, for so many threads: of no more names
/// than are looked at together, or of one inode.
fn chunks(names: &[usize], jobs: usize) -> Vec<Range<usize>> {
    let share = names.iter().sum::<usize>().div_ceil(jobs);
    let most_names = share.clamp(FEW_NAMES, NAMES);
    let mut chunks = Vec::new();
    let (mut start, mut together) = (0, 0);
    for (i, &count) in names.iter().enumerate() {
        if i > start && together + count > most_names {
            chunks.push(start..i);
            (start, together) = (i, 0);
        }
        together += count;
    }
    chunks.push(start..names.len());
    chunks
}

/// Looks again so often, a little later each time, before names count as always moving.
const TRIES: u32 = 8;

/// `None`: the run is over.
fn verify_some<S: Sink>(decider: &mut ShiftVisitor<'_, S>, some: &[Deferred]) -> Option<()> {
    let mut pending: Vec<&Deferred> = some.iter().collect();
    let mut unsettled = Duration::ZERO;
    for attempt in 0..TRIES {
        if attempt > 0 {
            // Also what this run did to the directories has to be past: where whole seconds are kept, that takes one.
            let pause = tick() * 2 * attempt.min(4) + Duration::from_millis(1);
            std::thread::sleep(pause + unsettled);
        }
        let names = pending.iter().map(|inode| inode.count_names()).sum();
        decider.run().stop.take_turn(names);
        if decider.run().is_cut_short() {
            return None;
        }
        let (found, settling) = look_up_names(decider.run(), &pending);
        unsettled = settling;
        let mut moving = Vec::new();
        for (inode, found) in pending.into_iter().zip(found) {
            match found {
                Verified::Moving => moving.push(inode),
                Verified::Gone => decider.record_vanished(),
                Verified::Failed(dir, name, errno) => {
                    if decider.record_failed(&dir, &name, "open", errno).is_break() {
                        return None;
                    }
                }
                Verified::Here(here) => {
                    if here.decide(decider).is_break() {
                        return None;
                    }
                }
            }
        }
        pending = moving;
        if pending.is_empty() {
            return Some(());
        }
    }
    for inode in pending {
        let first = &inode.names[0];
        let name = first.iter().next().unwrap_or_default();
        let reason = "its names are moved all the time, so whether all of them are in the tree \
                      cannot be told. Stop what changes the tree, or add --allow-outside-links";
        let left = decider.record_left(ProblemKind::Failed, &first.dir, name, reason.into());
        if left.is_break() {
            return None;
        }
    }
    Some(())
}

/// What came of looking at an inode's names.
enum Verified {
    /// Names were moved meanwhile, or just before.
    Moving,
    /// None of its names is there any more.
    Gone,
    /// A name could not be opened.
    Failed(Arc<DirPath>, Box<[u8]>, Errno),
    Here(StableInode),
}

/// An inode whose names all stood still.
struct StableInode {
    dir: Arc<DirPath>,
    name: Box<[u8]>,
    pin: PinnedFile,
    stat: Stat,
    names: u32,
}

impl StableInode {
    fn decide<S: Sink>(self, decider: &mut ShiftVisitor<'_, S>) -> std::ops::ControlFlow<()> {
        let policy = decider.run().policy;
        let rule = policy
            .all_in(&self.dir)
            .unwrap_or_else(|| policy.name_in(&self.dir, &self.name));
        let met = Candidate {
            name: &self.name,
            rule,
            looked: LookupEntry {
                stat: self.stat,
                present: attributes::present(&self.pin),
                pin: Some(self.pin),
                kept_name: true,
            },
            elsewhere: (self.names < self.stat.nlink).then_some((self.names, self.stat.nlink)),
        };
        decider.visit_inode(&self.dir, met)
    }
}

/// A directory in which names are looked up.
struct NamesToVerify<'p> {
    path: &'p Arc<DirPath>,
    /// When it was met, among all.
    nth: usize,
    /// When the looking began; `None` where it was changed just before.
    ctime: Option<CtimeStamp>,
    still: bool,
    /// Number of the inode, and one of its names.
    names: Vec<(usize, &'p [u8])>,
}

/// What is known of an inode on the way.
#[derive(Default)]
struct KnownName<'p> {
    names: u32,
    /// A place and a name that meant it.
    first: Option<(usize, &'p [u8])>,
    read: Option<(PinnedFile, Stat)>,
    failed: Option<(usize, &'p [u8], Errno)>,
    moved: bool,
}

/// What came of each, and how long the directories take until it can be told of all.
fn look_up_names(run: &RunContext<'_>, inodes: &[&Deferred]) -> (Vec<Verified>, Duration) {
    let mut settling = Duration::ZERO;
    let mut places = places(inodes);
    let mut known: Vec<KnownName<'_>> = inodes.iter().map(|_| KnownName::default()).collect();
    let mut dirs = Dirs::new(run, places.len());
    for (p, place) in places.iter_mut().enumerate() {
        let dir = match dirs.open(p, place.path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => {
                // It is gone: then no name is in it.
                place.still = true;
                continue;
            }
            // Something else has its name: it was moved, and may come back.
            Err(Errno::STALE | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => {
                for &(i, name) in &place.names {
                    known[i].failed = Some((p, name, errno));
                }
                continue;
            }
        };
        dir.guard.begin(dir.as_fd());
        place.ctime = dir.guard.since();
        if place.ctime.is_none()
            && let Ok(stat) = stat(&*dir)
        {
            settling = settling.max(settles_in(&stat));
        }
        for &(i, name) in &place.names {
            let known = &mut known[i];
            match pin(run, &dir, name) {
                Ok((_, stat)) if key(&stat) == inodes[i].inode => {
                    known.names += 1;
                    known.first.get_or_insert((p, name));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => known.failed = Some((p, name, errno)),
            }
        }
    }
    dirs.forget();
    for (p, place) in places.iter().enumerate() {
        let firsts = place
            .names
            .iter()
            .filter(|&&(i, name)| known[i].first == Some((p, name)));
        let firsts: Vec<_> = firsts.copied().collect();
        if firsts.is_empty() {
            continue;
        }
        let dir = dirs.open(p, place.path);
        for (i, name) in firsts {
            match dir
                .as_ref()
                .map_err(|errno| *errno)
                .and_then(|dir| pin(run, dir, name))
            {
                Ok((pin, stat)) if key(&stat) == inodes[i].inode => {
                    known[i].read = Some((pin, stat));
                }
                _ => known[i].moved = true,
            }
        }
    }
    dirs.forget();
    for (p, place) in places.iter_mut().enumerate() {
        if let Some(ctime) = &place.ctime {
            place.still = dirs
                .open(p, place.path)
                .is_ok_and(|dir| ctime.is_still(dir.as_fd()));
        }
        for &(i, _) in &place.names {
            known[i].moved |= !place.still;
        }
    }
    let found = |known: KnownName<'_>| match known {
        KnownName {
            failed: Some((p, name, errno)),
            ..
        } => Verified::Failed(Arc::clone(places[p].path), name.into(), errno),
        KnownName { moved: true, .. } => Verified::Moving,
        KnownName {
            first: Some((p, name)),
            read: Some((pin, stat)),
            names,
            ..
        } => {
            match names > stat.nlink {
                // A name went between the looks.
                true => Verified::Moving,
                false => Verified::Here(StableInode {
                    dir: Arc::clone(places[p].path),
                    name: name.into(),
                    pin,
                    stat,
                    names,
                }),
            }
        }
        _ => Verified::Gone,
    };
    (known.into_iter().map(found).collect(), settling)
}

/// The directories of the places: held open through all three looks, so that each is found once;
/// found anew for each look where they are too many.
///
/// One that is held may be moved meanwhile, with the names in it. Those names still are the inode's, and
/// are counted as such: what matters is that there is no further one.
struct Dirs<'r> {
    run: &'r RunContext<'r>,
    open_path: OpenPath,
    held: Vec<Option<Rc<Dir>>>,
}

impl<'r> Dirs<'r> {
    fn new(run: &'r RunContext<'r>, places: usize) -> Dirs<'r> {
        let few = places <= process::descriptors_for_directories() / 2;
        Dirs {
            run,
            open_path: OpenPath::default(),
            held: vec![None; if few { places } else { 0 }],
        }
    }

    fn open(&mut self, place: usize, path: &Arc<DirPath>) -> rustix::io::Result<Rc<Dir>> {
        if let Some(Some(dir)) = self.held.get(place) {
            return Ok(Rc::clone(dir));
        }
        let root = self.run.roots[path.root].pin.as_fd();
        let dir = Rc::new(self.open_path.open(root, path)?);
        if let Some(held) = self.held.get_mut(place) {
            *held = Some(Rc::clone(&dir));
        }
        Ok(dir)
    }

    fn forget(&mut self) {
        self.open_path = OpenPath::default();
    }
}

/// The directories of all names, and each name once, also where its directory was met on two ways.
fn places<'p>(inodes: &[&'p Deferred]) -> Vec<NamesToVerify<'p>> {
    let mut places: Vec<NamesToVerify<'p>> = Vec::new();
    let mut number: HashMap<Key, usize> = HashMap::new();
    for (i, inode) in inodes.iter().enumerate() {
        for some in &inode.names {
            let key = (some.dir.dev, some.dir.identity.ino);
            let p = *number.entry(key).or_insert_with(|| {
                places.push(NamesToVerify {
                    path: &some.dir,
                    nth: some.nth,
                    ctime: None,
                    still: false,
                    names: Vec::new(),
                });
                places.len() - 1
            });
            places[p].names.extend(some.iter().map(|name| (i, name)));
        }
    }
    // As the walk met them, so that the next one is not far from the one before.
    places.sort_unstable_by_key(|place| place.nth);
    for place in &mut places {
        place.names.sort_unstable();
        place.names.dedup();
    }
    places
}

/// `EXDEV`: a mount has come over it, which may show the very same inode.
fn pin(run: &RunContext<'_>, dir: &Dir, name: &[u8]) -> rustix::io::Result<(PinnedFile, Stat)> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let pin = PinnedFile::at(dir.as_fd(), &name)?;
    let stat = pin.stat()?;
    if stat.crosses_mount(dir.path.dev) {
        let known = run.known_mounts.as_ref();
        let is_known = known.is_some_and(|known| known.check(&pin).is_ok());
        is_known.then_some(()).ok_or(Errno::XDEV)?;
    }
    Ok((pin, stat))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_inode_in_one_piece_threads_share_evenly(
            names in proptest::collection::vec(1..3000usize, 1..200),
            jobs in 1..9usize,
        ) {
            let chunks = chunks(&names, jobs);
            let all: Vec<usize> = chunks.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..names.len()).collect::<Vec<_>>());
            let share = names.iter().sum::<usize>().div_ceil(jobs).max(FEW_NAMES);
            for chunk in chunks {
                let together: usize = names[chunk.clone()].iter().sum();
                prop_assert!(chunk.len() == 1 || together <= share.min(NAMES));
                prop_assert!(!chunk.is_empty());
            }
        }
    }
}
