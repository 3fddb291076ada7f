//! What a run counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::problem::{Problem, ProblemKind};
use crate::fs::Identity;
use crate::journal::{Name, Transition};
use crate::ownership::FileType;

/// Something that was in the way of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedObstacle {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// Owner and group before, and after.
pub type OwnerChange = ((u32, u32), (u32, u32));

/// Problems and new inodes are listed by path up to this many; the rest are counted.
pub const MOST_LISTED: usize = 1000;

/// Owners are counted apart up to this many: a container chooses how many there are.
pub const MOST_OWNERS: usize = 1 << 16;

/// Counts of one run, or of one thread's part of it.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Inodes seen; one with several hard links counts once.
    pub seen: u64,
    /// Inodes changed, or for a dry run to be changed.
    pub changed: u64,
    /// Inodes and steps of which a change was begun: where there are none, the disk is as it was.
    pub begun: u64,
    /// Inodes that were as wanted.
    pub already: u64,
    /// Inodes with an id outside the map.
    pub unmapped: u64,
    /// Inodes that could not be read or changed.
    pub failed: u64,
    /// Inodes that are not what the record says.
    pub conflicts: u64,
    /// Of the conflicts, those whose name is gone.
    pub gone: u64,
    /// Of the conflicts, those whose name is another inode's.
    pub replaced: u64,
    /// Of the conflicts, those that `rollback --force` undoes all the same.
    pub forcible: u64,
    /// Mount points not crossed.
    pub mounts: u64,
    /// Names left out by a glob.
    pub excluded: u64,
    /// Names that went away between being read and being opened.
    pub vanished: u64,
    /// Inodes that came into being since the run of the journal.
    pub created: u64,
    /// Steps taken or undone, or for a dry run to be.
    pub steps: u64,
    /// What was in the way of steps, made by somebody else meanwhile, and is kept elsewhere.
    pub set_aside: Vec<RenamedObstacle>,
    /// Changed inodes by kind.
    pub kinds: HashMap<FileType, u64>,
    /// Changed inodes by owners.
    pub owners: HashMap<OwnerChange, u64>,
    /// Changed inodes with other owners than the first [`MOST_OWNERS`] that were met.
    pub with_more_owners: u64,
    /// What was left as it is, the first of them; before those that are not there, all others.
    pub problems: Vec<Problem>,
    /// Mount points not crossed, the first of them.
    pub mount_paths: Vec<PathBuf>,
    /// Inodes that came into being since, the first of them.
    pub created_paths: Vec<PathBuf>,
    /// Directories of which each has the name of another one that a journal knows, the first of them.
    pub replaced_dirs: Vec<PathBuf>,
    /// Globs of `--exclude` that matched nothing.
    pub unmatched_excludes: Vec<Name>,
    /// Inodes that a replay left as they are, by device and identity; only where a walk comes after it.
    pub(super) left_inodes: HashSet<(u64, Identity)>,
}

impl Stats {
    /// Counts changes of one kind.
    pub fn add_changes(&mut self, transition: &Transition, count: u64) {
        let (before, after) = (&transition.change.before, &transition.change.after);
        self.changed += count;
        *self.kinds.entry(transition.file_type).or_default() += count;
        let owners = ((before.uid, before.gid), (after.uid, after.gid));
        self.count_owners(owners, count);
    }

    fn count_owners(&mut self, owners: OwnerChange, count: u64) {
        let has_room = self.owners.len() < MOST_OWNERS;
        match self.owners.entry(owners) {
            Entry::Occupied(mut known) => *known.get_mut() += count,
            Entry::Vacant(new) if has_room => _ = new.insert(count),
            Entry::Vacant(_) => self.with_more_owners += count,
        }
    }

    /// Counts an inode left as it is.
    pub fn add_problem(&mut self, problem: Problem) {
        match problem.kind {
            ProblemKind::OutsideMap | ProblemKind::Unmapped => self.unmapped += 1,
            ProblemKind::Protected | ProblemKind::Failed => self.failed += 1,
            ProblemKind::Conflict => self.conflicts += 1,
            ProblemKind::Gone => {
                self.conflicts += 1;
                self.gone += 1;
            }
            ProblemKind::Replaced => {
                self.conflicts += 1;
                self.replaced += 1;
            }
        }
        self.list_problem(problem);
    }

    /// Lists it. However many are not there, none hides another one.
    fn list_problem(&mut self, problem: Problem) {
        if problem.kind.is_absent() {
            return push_listed(&mut self.problems, problem);
        }
        let others = self.problems.partition_point(|it| !it.kind.is_absent());
        if others < MOST_LISTED {
            self.problems.insert(others, problem);
            self.problems.truncate(MOST_LISTED);
        }
    }

    /// Of a run that ended before it changed anything.
    pub fn without_changes(self) -> Stats {
        Stats {
            changed: 0,
            owners: HashMap::new(),
            with_more_owners: 0,
            kinds: HashMap::new(),
            ..self
        }
    }

    /// Inodes left as they are.
    pub fn left(&self) -> u64 {
        self.unmapped + self.failed + self.conflicts
    }

    /// Adds another thread's counts.
    pub fn add(&mut self, other: Stats) {
        self.unmatched_excludes.extend(other.unmatched_excludes);
        self.left_inodes.extend(other.left_inodes);
        self.seen += other.seen;
        self.changed += other.changed;
        self.begun += other.begun;
        self.already += other.already;
        self.unmapped += other.unmapped;
        self.failed += other.failed;
        self.conflicts += other.conflicts;
        self.gone += other.gone;
        self.replaced += other.replaced;
        self.forcible += other.forcible;
        self.mounts += other.mounts;
        self.excluded += other.excluded;
        self.vanished += other.vanished;
        self.created += other.created;
        self.steps += other.steps;
        self.set_aside.extend(other.set_aside);
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (owners, count) in other.owners {
            self.count_owners(owners, count);
        }
        self.with_more_owners += other.with_more_owners;
        other
            .problems
            .into_iter()
            .for_each(|p| self.list_problem(p));
        other
            .mount_paths
            .into_iter()
            .for_each(|p| push_listed(&mut self.mount_paths, p));
        other
            .replaced_dirs
            .into_iter()
            .for_each(|p| push_listed(&mut self.replaced_dirs, p));
        other
            .created_paths
            .into_iter()
            .for_each(|p| push_listed(&mut self.created_paths, p));
    }

    /// The counts of a walk and of what came before it, whose inodes the walk met again: as already shifted.
    #[must_use]
    pub fn after(mut self, earlier: Stats) -> Stats {
        let seen = self.seen.max(earlier.seen);
        self.already = self
            .already
            .saturating_sub(earlier.changed + earlier.already);
        let (mounts, excluded) = (self.mounts, self.excluded);
        let earlier = Stats {
            mount_paths: Vec::new(),
            unmatched_excludes: Vec::new(),
            ..earlier
        };
        self.add(earlier);
        Stats {
            seen,
            mounts,
            excluded,
            ..self
        }
    }

    /// The counts of several threads together.
    pub fn sum(all_stats: impl IntoIterator<Item = Stats>) -> Stats {
        all_stats
            .into_iter()
            .fold(Stats::default(), |mut sum, stats| {
                sum.add(stats);
                sum
            })
    }
}

/// Adds to a list of limited length.
pub fn push_listed<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST_LISTED {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str, kind: ProblemKind) -> Problem {
        Problem {
            path: PathBuf::from(name),
            kind,
            reason: String::new(),
        }
    }

    #[test]
    fn what_is_gone_hides_no_other_difference() {
        let mut stats = Stats::default();
        for n in 0..1500 {
            let kind = if n % 3 == 0 {
                ProblemKind::Replaced
            } else {
                ProblemKind::Gone
            };
            stats.add_problem(problem(&n.to_string(), kind));
        }
        let mut thread = Stats::default();
        thread.add_problem(problem("first", ProblemKind::Conflict));
        thread.add_problem(problem("third", ProblemKind::Gone));
        stats.add_problem(problem("second", ProblemKind::Conflict));
        stats.add(thread);
        let counts = (stats.conflicts, stats.gone, stats.replaced);
        assert_eq!(counts, (1503, 1001, 500));
        assert_eq!(stats.problems.len(), MOST_LISTED);
        let names: Vec<_> = stats.problems.iter().map(|it| it.path.to_str()).collect();
        assert_eq!(names[..4], ["second", "first", "0", "1"].map(Some));
    }

    #[test]
    fn owners_beyond_the_limit_are_counted_together() {
        let mut all = Stats::default();
        let mut thread = Stats::default();
        for n in 0..MOST_OWNERS as u32 {
            all.count_owners(((n, 0), (n + 100_000, 0)), 1);
            thread.count_owners(((n, 1), (n + 100_000, 1)), 2);
        }
        all.count_owners(((7, 0), (100_007, 0)), 5);
        all.add(thread);
        assert_eq!(all.owners.len(), MOST_OWNERS);
        assert_eq!(all.owners[&((7, 0), (100_007, 0))], 6);
        assert_eq!(all.with_more_owners, 2 * MOST_OWNERS as u64);
    }

    #[test]
    fn no_more_are_listed_than_said() {
        let mut stats = Stats::default();
        for n in 0..1200 {
            stats.add_problem(problem(&n.to_string(), ProblemKind::Conflict));
        }
        assert_eq!(stats.problems.len(), MOST_LISTED);
        assert_eq!(stats.problems[999].path, PathBuf::from("999"));
    }
}
