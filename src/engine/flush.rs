//! Writing out what a run changes while it goes on, so that there is little to wait for at its end.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::shift::sync;
use crate::fs::Root;

/// Between two writings-out: a block of inodes that are changed one after the other is mostly written
/// once.
const PAUSE: Duration = Duration::from_millis(150);

/// Does the work, and meanwhile has the filesystems of the trees written out again and again. Nothing
/// relies on that: the run's end waits for a sync of its own.
pub(super) fn flushing<T>(roots: &[Root], cross_mounts: bool, work: impl FnOnce() -> T) -> T {
    let (working, over) = bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                let _ = sync(roots, cross_mounts);
            }
        });
        let result = work();
        drop(working);
        result
    })
}
