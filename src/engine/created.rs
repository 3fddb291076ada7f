//! What came into being since a run.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Stop, Tally};
use crate::fs::walk::{Enter, Visit, walk};
use crate::fs::{Dir, DirPath, Names, Pin, Root, Stat};
use crate::idmap::Mapped;
use crate::record::Journal;

/// Counts and lists inodes that were born after the run began and whose owner is on the side the
/// run shifted to: a rollback leaves them so, because no journal says what else they should have.
///
/// Where the filesystem keeps no birth times none can be told from the rest, and none is counted.
pub fn count(journal: &Journal, roots: &[Root], jobs: usize, tally: &mut Tally, stop: &Stop) {
    let visitor = || Since {
        journal,
        roots,
        stop,
        tally: Tally::default(),
    };
    for found in walk(roots, jobs, visitor) {
        tally.created += found.created;
        for path in found.created_paths {
            super::report::push_listed(&mut tally.created_paths, path);
        }
    }
}

struct Since<'a> {
    journal: &'a Journal,
    roots: &'a [Root],
    stop: &'a Stop,
    tally: Tally,
}

impl Since<'_> {
    fn is_new(&self, stat: &Stat) -> bool {
        let header = &self.journal.header;
        // Already: not on the side the run came from, but on the one it went to.
        let there = header.map.uids.map(stat.uid, header.direction) == Mapped::Already
            || header.map.gids.map(stat.gid, header.direction) == Mapped::Already;
        there && stat.identity.born > header.time.as_millisecond()
    }
}

impl Visit for Since<'_> {
    type Output = Tally;

    fn root(&mut self, _number: usize, root: &Root) -> ControlFlow<(), Enter> {
        ControlFlow::Continue(match root.stat.is_dir() {
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
        for name in names.iter() {
            if self.stop.is_asked() {
                return ControlFlow::Break(());
            }
            let Ok(stat) = Pin::at(dir.as_fd(), name).and_then(|pin| pin.stat()) else {
                continue;
            };
            if stat.crosses_mount(dir.path.dev) && !self.journal.header.walk.cross_mounts {
                continue;
            }
            if self.is_new(&stat) {
                let path = self.roots[dir.path.root]
                    .path
                    .join(dir.path.join(name.to_bytes()));
                self.tally.created += 1;
                super::report::push_listed(&mut self.tally.created_paths, path);
            }
            if stat.is_dir() {
                found.push(dir.path.child(name.to_bytes(), stat.identity, stat.dev));
            }
        }
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, _dir: &Arc<DirPath>, _errno: Errno) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn finish(self) -> Tally {
        self.tally
    }
}
