//! Writing out what a run changes: while it goes on, so that there is little to wait for at its end, and at its end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};
use rustix::io::Errno;

use crate::fs::{Root, dir};

/// The filesystems of a run's trees.
///
/// Opened before anything is changed: `syncfs(2)` tells an open file of a write that failed since it was opened, or
/// since it was told last. One that is opened later does not hear what somebody else's sync has been told.
pub struct Filesystems {
    /// None: it has no directory that could be opened.
    each: Vec<io::Result<Option<File>>>,
    /// Also those that are mounted in the trees.
    all: bool,
}

impl Filesystems {
    /// Those of some trees. What cannot be opened is told by [`Filesystems::sync`].
    pub(super) fn of(roots: &[Root], cross_mounts: bool) -> Filesystems {
        Filesystems {
            each: roots.iter().map(open).collect(),
            all: cross_mounts,
        }
    }

    /// Waits until the disks have every change, so that a journal which says so is right also after a
    /// power cut.
    ///
    /// # Errors
    /// A write failed, or whether one did cannot be told. Of filesystems below a mount point nothing is told.
    pub(super) fn sync(&self) -> io::Result<()> {
        let by_path = |one: &io::Result<Option<File>>| matches!(one, Ok(None));
        if self.all || self.each.iter().any(by_path) {
            nix::unistd::sync();
        }
        for one in &self.each {
            match one {
                Ok(Some(top)) => rustix::fs::syncfs(top)?,
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(error.kind(), error.to_string())),
            }
        }
        Ok(())
    }
}

/// Any directory of the filesystem will do: a tree whose top cannot be opened any more may have been
/// changed all the same.
fn open(root: &Root) -> io::Result<Option<File>> {
    let is_dir = root.is_dir();
    let top = match is_dir {
        true => dir::open_dir(root.pin.as_fd(), c"."),
        false => Err(Errno::NOTDIR),
    };
    let errno = match top {
        Ok(top) => return Ok(Some(top.into())),
        Err(errno) => errno,
    };
    let above = root.path.parent().unwrap_or(Path::new("/"));
    let above = dir::open_dir(rustix::fs::CWD, above)?;
    match rustix::fs::fstat(&above)?.st_dev == root.dev {
        true => Ok(Some(above.into())),
        false if is_dir => Err(errno.into()),
        // A file with a mount of its own.
        false => Ok(None),
    }
}

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
        let flushed = flusher.map_or(Ok(Ok(())), std::thread::ScopedJoinHandle::join);
        match flushed {
            Ok(flushed) => (result, flushed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
