//! Directories that a mount spares a long run.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::plan::check_nothing_below;
use crate::fs::dir::Kind;
use crate::fs::idmapped_mount::{DetachedMount, MountOptions};
use crate::fs::walk::{Enter, Visit, walk};
use crate::fs::{Dir, DirPath, Names, PinnedFile, Root};
use crate::idmap::{IdMap, MountMap};

/// From so many entries on a directory is large.
pub const LARGE: usize = 50_000;

/// No longer is counted.
const LONGEST: Duration = Duration::from_secs(1);

/// Whether a directory is large, and can be shown with other owners by a mount: counted as far as that takes, and tried.
pub fn is_for_a_mount(path: &Path, map: &IdMap) -> bool {
    let Ok(root) = Root::open(path) else {
        return false;
    };
    let can_be = || {
        check_nothing_below(&root).ok()?;
        let map = MountMap::exchange(map);
        DetachedMount::of(&root.pin, &map, MountOptions::default()).ok()
    };
    root.is_dir() && is_large(&root) && can_be().is_some()
}

fn is_large(root: &Root) -> bool {
    let start = Instant::now();
    let counter = || Counter { start, counted: 0 };
    // Leaves no access times. One thread: it is a look at a host that works.
    walk(std::slice::from_ref(root), 1, counter)
        .iter()
        .sum::<usize>()
        >= LARGE
}

struct Counter {
    start: Instant,
    counted: usize,
}

impl Visit for Counter {
    type Output = usize;

    fn root(&mut self, _number: usize, _root: &Root) -> ControlFlow<(), Enter> {
        ControlFlow::Continue(Enter::Yes)
    }

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        self.counted += names.len();
        if self.counted >= LARGE || self.start.elapsed() > LONGEST {
            return ControlFlow::Break(());
        }
        for (name, kind) in names.with_kinds() {
            if kind != Kind::MaybeDirectory {
                continue;
            }
            let stat = PinnedFile::at(dir.as_fd(), name).and_then(|pin| pin.stat());
            if let Ok(stat) = stat
                && stat.is_dir()
                && !stat.crosses_mount(dir.path.dev)
            {
                found.push(dir.path.met(name.to_bytes(), &stat));
            }
        }
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, _dir: &Arc<DirPath>, _errno: Errno) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn finish(self) -> usize {
        self.counted
    }
}
