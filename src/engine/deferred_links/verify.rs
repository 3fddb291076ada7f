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

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::look_up::{StableInode, Verified, look_up_names};
use crate::engine::context::WalkContext;
use crate::engine::hardlinks::Deferred;
use crate::engine::policy::Rule;
use crate::engine::sinks::Sink;
use crate::engine::visitor::{Candidate, ShiftVisitor};
use crate::engine::{Problem, ProblemKind, Stats};
use crate::fs::inode_time::tick;
use crate::fs::threads::on_threads;
use crate::fs::walk::{Visit, walk};
use crate::fs::{DirPath, LookupEntry, Root, attributes, process};
use crate::guidance::Guidance;

/// Walks trees, and then decides on the deferred inodes.
pub(in crate::engine) fn walk_and_verify<'a, S: Sink>(
    context: &'a WalkContext<'_>,
    roots: &[Root],
    jobs: usize,
    visitor: impl Fn() -> ShiftVisitor<'a, S> + Sync,
) -> Stats {
    let mut stats = Stats::sum(walk(roots, jobs, &visitor));
    let deferred = context.links.take_deferred();
    if !deferred.is_empty() && !context.run.is_cut_short() {
        stats.add(verify_deferred(&deferred, jobs, visitor));
    }
    stats.unmatched_excludes = context.unmatched_excludes();
    stats
}

/// Names looked at together, at most.
const NAMES: usize = 16384;

/// And at least: a directory that has names of two pieces is opened for each.
const FEW_NAMES: usize = 256;

fn verify_deferred<'a, S: Sink>(
    deferred: &[Deferred],
    jobs: usize,
    visitor: impl Fn() -> ShiftVisitor<'a, S> + Sync,
) -> Stats {
    let names: Vec<usize> = deferred.iter().map(Deferred::count_names).collect();
    let chunks = chunks(&names, jobs);
    let next = AtomicUsize::new(0);
    let all_stats = on_threads(jobs.min(chunks.len()), || {
        let mut visitor = visitor();
        // Each is open from when it was looked at until it is decided on.
        let together = process::descriptors_for_pins() / 4;
        let together = visitor.context().run.control.group_size(together.max(1));
        let mine = || chunks.get(next.fetch_add(1, Ordering::Relaxed));
        'over: while let Some(chunk) = mine() {
            for some in deferred[chunk.clone()].chunks(together) {
                if verify_some(&mut visitor, some).is_none() {
                    break 'over;
                }
            }
        }
        visitor.finish()
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

/// Number of attempts, a little later each time, before names count as always moving.
const TRIES: u32 = 8;

/// `None`: the run is over.
fn verify_some<S: Sink>(visitor: &mut ShiftVisitor<'_, S>, some: &[Deferred]) -> Option<()> {
    let mut pending: Vec<&Deferred> = some.iter().collect();
    let mut unsettled = Duration::ZERO;
    for attempt in 0..TRIES {
        if attempt > 0 {
            // Also what this run did to the directories has to be past: where whole seconds are kept, that takes one.
            let pause = tick() * 2 * attempt.min(4) + Duration::from_millis(1);
            std::thread::sleep(pause + unsettled);
        }
        let names = pending.iter().map(|inode| inode.count_names()).sum();
        visitor.context().run.control.wait_turn(names);
        if visitor.context().run.is_cut_short() {
            return None;
        }
        let (found, settling) = look_up_names(visitor.context(), &pending);
        unsettled = settling;
        let mut moving = Vec::new();
        for (inode, found) in pending.into_iter().zip(found) {
            match found {
                Verified::Moving => moving.push(inode),
                Verified::Gone => visitor.record_vanished(),
                Verified::Failed(dir, name, errno) => {
                    if visitor.record_failed(&dir, &name, "open", errno).is_break() {
                        return None;
                    }
                }
                Verified::Here(here) if has_two_owners(visitor.context(), inode) => {
                    if leave_two_owners(visitor, inode, here.stat.hard_links()).is_break() {
                        return None;
                    }
                }
                Verified::Here(here) => {
                    if decide(here, visitor).is_break() {
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
        let reason = format!(
            "its hard links keep moving, so idshift cannot tell whether all of them are in the tree. {}",
            Guidance::StopMovingLinks(visitor.context().scope.command)
        );
        let left = visitor.record_left(ProblemKind::Failed, &first.dir, name, reason);
        if left.is_break() {
            return None;
        }
    }
    Some(())
}

/// Whether the trees of its names give an inode to different users.
fn has_two_owners(context: &WalkContext<'_>, inode: &Deferred) -> bool {
    let owner = |dir: &DirPath| match context.scope.policy.all_in(dir) {
        rule @ Some(Rule::Give { .. } | Rule::GiveAll { .. } | Rule::Share(_)) => rule,
        _ => None,
    };
    let mut owners = inode.names.iter().filter_map(|names| owner(&names.dir));
    let first = owners.next();
    owners.any(|owner| Some(owner) != first)
}

fn leave_two_owners<S: Sink>(
    visitor: &mut ShiftVisitor<'_, S>,
    inode: &Deferred,
    links: Option<u32>,
) -> ControlFlow<()> {
    let first = &inode.names[0];
    let name = first.iter().next().unwrap_or_default();
    let reason =
        "has hard links in two trees that get different owners. Make a copy of it in one of them";
    let problem = Problem {
        path: visitor.context().path(&first.dir, name),
        kind: ProblemKind::Failed,
        reason: reason.into(),
    };
    visitor.record_left_links(problem, links)
}

/// Decides on an inode whose names did not change meanwhile.
fn decide<S: Sink>(it: StableInode, visitor: &mut ShiftVisitor<'_, S>) -> ControlFlow<()> {
    let policy = visitor.context().scope.policy;
    let is_tree = it.dir.depth == 0 && &*it.name == b".";
    let rule = match is_tree {
        // A file that was named itself.
        true => policy.root(it.dir.root),
        false => policy
            .all_in(&it.dir)
            .unwrap_or_else(|| policy.name_in(&it.dir, &it.name)),
    };
    let met = Candidate {
        name: &it.name,
        rule,
        entry: LookupEntry {
            stat: it.stat,
            present: attributes::present(&it.pin),
            pin: Some(it.pin),
            kept_name: true,
        },
        elsewhere: (it.names < it.stat.nlink).then_some((it.names, it.stat.nlink)),
    };
    visitor.visit_inode(&it.dir, met)
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
