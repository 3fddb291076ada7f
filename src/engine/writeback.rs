//! Writing out what a run changes while it goes on, so that there is little to wait for at its end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use super::filesystems::Filesystems;

/// Inodes changed between two writings-out. Of 256 bytes each, as ext4 has them, they are 12 MiB of inode
/// tables; a run that changes fewer has little to wait for at its end, and lets other writers be.
const ENOUGH: u64 = 50_000;

/// Counts what has been changed, and asks for a writing-out each time that it is enough.
pub struct ChangedCounter {
    inodes: AtomicU64,
    flush: Sender<()>,
}

impl ChangedCounter {
    /// So many more inodes were changed.
    pub(super) fn count(&self, inodes: u64) {
        let before = self.inodes.fetch_add(inodes, Ordering::Relaxed);
        if before / ENOUGH != (before + inodes) / ENOUGH {
            // Not taken: the last one still goes on, and who is asked already need not be asked again.
            let _ = self.flush.try_send(());
        }
    }
}

/// Does the work, and meanwhile has the filesystems of the trees written out again and again. The run's
/// end waits for a sync of its own; but the kernel tells of a write that failed only once, so whoever
/// ends the run has to heed what came of these.
pub(super) fn with_writeback<T>(
    filesystems: &Filesystems,
    work: impl FnOnce(&ChangedCounter) -> T,
) -> (T, io::Result<()>) {
    let (flush, asked) = bounded(1);
    let changed = ChangedCounter {
        inodes: AtomicU64::new(0),
        flush,
    };
    std::thread::scope(|scope| {
        // Where there is no thread for it, all is left to the sync at the end.
        let flusher = Builder::new().spawn_scoped(scope, || {
            let mut flushed = Ok(());
            for () in asked {
                flushed = flushed.and(filesystems.sync());
            }
            flushed
        });
        let result = work(&changed);
        drop(changed);
        let flushed = flusher.map_or(Ok(Ok(())), |flusher| flusher.join());
        match flushed {
            Ok(flushed) => (result, flushed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
