//! Writing out what a run changes while it goes on, so that there is little to wait for at its end.

use std::io;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::shift::sync;
use crate::fs::Root;

/// Before the first writing-out: what is done sooner than that has little to wait for at its end.
const FIRST: Duration = Duration::from_secs(5);

/// Between two of them: a block of inodes that are changed one after the other is mostly written once.
const PAUSE: Duration = Duration::from_millis(500);

/// Does the work, and meanwhile has the filesystems of the trees written out again and again. The run's
/// end waits for a sync of its own; but the kernel tells of a write that failed only once, so whoever
/// ends the run has to heed what came of these.
pub(super) fn flushing<T>(
    roots: &[Root],
    cross_mounts: bool,
    work: impl FnOnce() -> T,
) -> (T, io::Result<()>) {
    let (working, over) = bounded::<()>(0);
    std::thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            let (mut flushed, mut pause) = (Ok(()), FIRST);
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                flushed = flushed.and(sync(roots, cross_mounts));
                pause = PAUSE;
            }
            flushed
        });
        let result = work();
        drop(working);
        match flusher.join() {
            Ok(flushed) => (result, flushed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
