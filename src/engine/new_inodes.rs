//! What came into being since a run.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::AtFlags;

use super::control::RunControl;
use super::stats::{Stats, push_listed};
use super::steps::Steps;
use crate::fs::dir::NameKind;
use crate::fs::inode_time::InodeTime;
use crate::fs::stat::{stat, stat_at};
use crate::fs::walk::{Visit, walk};
use crate::fs::{Dir, DirPath, Identity, Names, Root, Stat};
use crate::idmap::Mapped;
use crate::journal::{Journal, Mark};

/// Counts and lists inodes that were created after the run began and whose owner is on the target
/// side of the run. A rollback leaves them as they are, because no journal says what owner they
/// should have.
///
/// Without creation times they cannot be recognized, and none is counted.
///
/// Call it before anything is undone: then most directories still have the times that the run left,
/// and only the others have to be searched. If steps are undone, call it afterwards: entries that
/// the undo makes are not counted.
pub fn count(journal: &Journal, roots: &[Root], jobs: usize, control: RunControl<'_>) -> Stats {
    let own = Steps::of(journal).made_by_undoing();
    let visitor = || RunWindow {
        journal,
        own: &own,
        roots,
        control,
        finished: finished(journal),
        stats: Stats::default(),
    };
    Stats::sum(walk(roots, jobs, visitor))
}

/// When the run ended, if no rollback was begun.
fn finished(journal: &Journal) -> Option<Timestamp> {
    let last = journal.marks.last()?;
    (last.mark == Mark::Finished).then_some(last.time)
}

struct RunWindow<'a> {
    journal: &'a Journal,
    own: &'a HashSet<(u64, Identity)>,
    roots: &'a [Root],
    control: RunControl<'a>,
    finished: Option<Timestamp>,
    stats: Stats,
}

impl RunWindow<'_> {
    fn is_new(&self, stat: &Stat) -> bool {
        let header = &self.journal.header;
        // Already: not on the side the run came from, but on the one it went to.
        let there = header.map.uids.map(stat.uid, header.direction) == Mapped::Already
            || header.map.gids.map(stat.gid, header.direction) == Mapped::Already;
        there && stat.identity.born > header.time.as_millisecond()
    }

    /// Whether names may have come into a directory since the run began: then its mtime is later
    /// than that; and its ctime, which unlike an mtime nobody can set back, is later than the run's
    /// end, unless they came while the run went on.
    fn may_have_new(&self, dir: &Dir) -> bool {
        let Some(finished) = self.finished else {
            return true;
        };
        stat(dir).is_ok_and(|now| {
            now.changed >= InodeTime::earliest_after(finished)
                || now.modified >= InodeTime::earliest_after(self.journal.time())
        })
    }
}

impl Visit for RunWindow<'_> {
    type Output = Stats;

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        let all = self.may_have_new(dir);
        self.control.wait_turn(names.len());
        for (name, kind) in names.with_kinds() {
            if self.control.is_cancelled() {
                return ControlFlow::Break(());
            }
            if !all && kind == NameKind::Other {
                continue;
            }
            let Ok(stat) = stat_at(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.crosses_mount(dir.path.dev) && !self.journal.header.walk.cross_mounts {
                continue;
            }
            let is_own = || self.own.contains(&(stat.dev, stat.identity));
            if all && self.is_new(&stat) && !is_own() {
                let path = self.roots[dir.path.root]
                    .path
                    .join(dir.path.join(name.to_bytes()));
                self.stats.created += 1;
                push_listed(&mut self.stats.created_paths, path);
            }
            if stat.is_dir() {
                found.push(dir.path.met(name.to_bytes(), &stat));
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(self) -> Stats {
        self.stats
    }
}
