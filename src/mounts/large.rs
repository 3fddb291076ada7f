//! Directories that a mount spares a long run.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::plan::check_nothing_below;
use crate::fs::Root;
use crate::fs::idmapped_mount::{DetachedMount, MountOptions};
use crate::fs::scan::scan;
use crate::idmap::{IdMap, MountMap};

/// A directory with at least so many entries is large.
pub const LARGE: usize = 50_000;

/// No longer is counted.
const LONGEST: Duration = Duration::from_secs(1);

/// Whether a directory is large, and can be mounted with other owners. Counts entries up to the
/// limit, and tests the mount.
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
    let mut entries = 0;
    scan(root, false, |_| {
        entries += 1;
        // The clock is asked now and then.
        let is_late = entries % 1000 == 0 && start.elapsed() > LONGEST;
        match entries >= LARGE || is_late {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    entries >= LARGE
}
