//! Proving that the names of a directory stayed what they were.
//!
//! No name can come, go or come to mean another inode without its directory's ctime changing, and nobody
//! but the clock sets a ctime (`inode(7)`). Only a mount can cover a name and leave the directory as it is.
//!
//! The kernel sets the ctime before a new name can be seen. So a rename that was under way when the ctime was
//! noted may come to be seen after. But it holds the directory's lock from the one to the other (`vfs_rename` in
//! `fs/namei.c`), and reading the directory takes that lock too (`iterate_dir` in `fs/readdir.c`): a [`Watch`]
//! therefore notes the moment before the directory is read, and only answers for its names after.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::fs::{FsWord, RawDir, SeekFrom};
use rustix::io::Result;
use rustix::time::{ClockId, clock_getres, clock_gettime};

use super::stat::{Stat, stat};

/// A directory at the time its names began to be used.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    changed: (i64, u32),
    dev: u64,
}

/// Filesystems of which it is known that every change of a directory's names sets its ctime from the
/// kernel's clock: ext2 to ext4, xfs, btrfs, tmpfs (`statfs(2)`).
const KNOWN: [FsWord; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

static TICK: LazyLock<Duration> = LazyLock::new(|| {
    let resolution = clock_getres(ClockId::RealtimeCoarse);
    Duration::from_nanos(resolution.tv_nsec.unsigned_abs())
});

/// ctimes come from a clock that stands still for so long (`CLOCK_REALTIME_COARSE`, `clock_getres(2)`):
/// a change in the same tick as the one before it leaves the ctime as it was.
pub fn tick() -> Duration {
    *TICK
}

impl Moment {
    /// Notes the present moment.
    pub fn of(dir: BorrowedFd<'_>) -> Option<Moment> {
        Moment::as_seen(&stat(dir).ok()?)
    }

    /// The moment of a look at the directory just now. `None` where a change could go unnoticed, because
    /// the directory was changed just before.
    pub fn as_seen(&Stat { changed, dev, .. }: &Stat) -> Option<Moment> {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let age = nanoseconds(now.tv_sec, now.tv_nsec) - nanoseconds(changed.0, changed.1.into());
        let settled = age > 2 * tick().as_nanos().cast_signed();
        settled.then_some(Moment { changed, dev })
    }

    /// Whether it can be relied on: the directory's filesystem is one known to keep ctimes.
    pub fn is_reliable(&self, dir: BorrowedFd<'_>) -> bool {
        match LAST.get() {
            Some((dev, keeps)) if dev == self.dev => keeps,
            _ => {
                let keeps = rustix::fs::fstatfs(dir).is_ok_and(|fs| KNOWN.contains(&fs.f_type));
                LAST.set(Some((self.dev, keeps)));
                keeps
            }
        }
    }

    /// Whether every name still means what it meant at that moment.
    pub fn is_still(&self, dir: BorrowedFd<'_>) -> bool {
        stat(dir).is_ok_and(|now| now.changed == self.changed)
    }
}

/// Since when the names of a directory stand still, as far as one open handle of it knows.
#[derive(Debug, Default)]
pub struct Watch {
    /// Not to be relied on before the directory is read.
    noted: Cell<Option<Moment>>,
    since: Cell<Option<Moment>>,
}

impl Watch {
    /// Of a directory that was looked at just now.
    pub fn seen(stat: &Stat) -> Watch {
        Watch {
            noted: Cell::new(Moment::as_seen(stat)),
            since: Cell::new(None),
        }
    }

    /// `None` where that cannot be told, or before the directory was read.
    pub fn since(&self) -> Option<Moment> {
        self.since.get()
    }

    /// Names have moved.
    pub fn has_changed(&self) {
        self.since.set(None);
    }

    /// Reads the directory.
    pub fn reading<T>(&self, dir: BorrowedFd<'_>, read: impl FnOnce() -> Result<T>) -> Result<T> {
        self.note(dir);
        let read = read()?;
        if let Some(noted) = self.noted.take() {
            self.since.set(Some(noted));
        }
        Ok(read)
    }

    /// Reads nothing of a directory that is open for reading and of which nobody reads names, so that
    /// [`since`](Watch::since) can be asked.
    pub fn begin(&self, dir: BorrowedFd<'_>) -> Result<()> {
        self.note(dir);
        if self.noted.get().is_none() {
            return Ok(());
        }
        // At its end there is nothing to read, so that only the lock is waited for.
        let _ = rustix::fs::seek(dir, SeekFrom::End(0));
        let mut room = [MaybeUninit::<u8>::uninit(); 512];
        self.reading(dir, || match RawDir::new(dir, &mut room).next() {
            Some(Err(errno)) => Err(errno),
            _ => Ok(()),
        })
    }

    fn note(&self, dir: BorrowedFd<'_>) {
        if self.noted.get().is_none() && self.since.get().is_none() {
            self.noted.set(Moment::of(dir));
        }
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

thread_local! {
    /// The filesystem last asked about, and whether it is one of [`KNOWN`].
    static LAST: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
}
