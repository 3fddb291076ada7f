//! Proving that the names of a directory stayed what they were.
//!
//! No name can come, go or come to mean another inode without its directory's ctime changing, and nobody
//! but the clock sets a ctime (`inode(7)`). Only a mount can cover a name and leave the directory as it is.
//!
//! The kernel sets the ctime before a new name can be seen. So a rename that was under way when the ctime was
//! noted may come to be seen after. But it holds the directory's lock from the one to the other (`vfs_rename` in
//! `fs/namei.c`), and reading the directory takes that lock too (`iterate_dir` in `fs/readdir.c`): a [`DirGuard`]
//! therefore notes the moment before the directory is read, and only answers for its names after.
//! The same goes for a name that is taken away: it is still found while the inode has one name less already.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::fs::{FsWord, RawDir};
use rustix::io::{Errno, Result};

use super::inode_time::{InodeTime, tick};
use super::stat::{Stat, stat};

/// The ctime of a directory at the time when its names began to be used.
#[derive(Clone, Copy, Debug)]
pub struct CtimeStamp {
    changed: InodeTime,
    dev: u64,
    encrypted: bool,
    /// Its ctime is in the future: the clock was set back since. A change sets another one, until
    /// the clock gets there.
    ahead: bool,
}

/// Filesystems of which it is known that every change of a directory's names sets its ctime from the
/// kernel's clock: ext2 to ext4, xfs, btrfs, tmpfs (`statfs(2)`).
const KNOWN: [FsWord; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

impl CtimeStamp {
    /// Notes the present ctime.
    pub fn of(dir: BorrowedFd<'_>) -> Option<CtimeStamp> {
        CtimeStamp::as_seen(&stat(dir).ok()?)
    }

    /// The ctime of a `Stat` that was read just now. `None` if a change could go unnoticed, because
    /// the directory was changed just before.
    pub fn as_seen(stat: &Stat) -> Option<CtimeStamp> {
        let &Stat {
            changed,
            dev,
            encrypted,
            ..
        } = stat;
        let (age, margin) = (age(changed), margin(changed));
        (age.abs() > margin).then_some(CtimeStamp {
            changed,
            dev,
            encrypted,
            ahead: age < 0,
        })
    }

    /// Whether names can be relied on: the directory's filesystem is one known to keep ctimes, and its names
    /// do not mean something else once a key is there (`fscrypt` in the kernel's documentation).
    pub fn is_reliable(&self, dir: BorrowedFd<'_>) -> bool {
        !self.encrypted && is_known(dir, self.dev)
    }

    /// Whether every name still means the same inode as at that ctime.
    pub fn is_still(&self, dir: BorrowedFd<'_>) -> bool {
        let has_passed = || self.ahead && age(self.changed) >= -margin(self.changed);
        stat(dir).is_ok_and(|now| now.changed == self.changed) && !has_passed()
    }
}

/// How long until a change of a directory whose `Stat` was read just now can no longer go
/// unnoticed; at most some seconds.
pub fn settles_in(stat: &Stat) -> Duration {
    let left = margin(stat.changed) - age(stat.changed);
    let left = u64::try_from(left).unwrap_or_default();
    let longest = 2 * margin(stat.changed);
    match i128::from(left) > longest {
        true => Duration::ZERO,
        false => Duration::from_nanos(left),
    }
}

/// Nanoseconds since a ctime, by the clock that it is from; less than none where it is still to come.
fn age(changed: InodeTime) -> i128 {
    InodeTime::now().as_ns() - changed.as_ns()
}

/// Nanoseconds around a ctime in which another change may set the same one.
fn margin(changed: InodeTime) -> i128 {
    let grain = match changed.is_whole_second() {
        true => Duration::from_secs(1),
        false => Duration::ZERO,
    };
    (grain + 2 * tick()).as_nanos().cast_signed()
}

/// Whether a directory, which lies on this device, is on one of the filesystems of which it is known that they
/// keep ctimes, and give each inode a number of its own.
pub fn is_known(dir: BorrowedFd<'_>, dev: u64) -> bool {
    match LAST.get() {
        Some((last, known)) if last == dev => known,
        _ => {
            let known = rustix::fs::fstatfs(dir).is_ok_and(|fs| KNOWN.contains(&fs.f_type));
            LAST.set(Some((dev, known)));
            known
        }
    }
}

/// Since when the names of a directory have not changed, as far as one open handle of it knows.
#[derive(Debug, Default)]
pub struct DirGuard {
    /// Not to be relied on before the directory is read.
    noted: Cell<Option<CtimeStamp>>,
    since: Cell<Option<CtimeStamp>>,
}

impl DirGuard {
    /// Of a directory that was looked at just now.
    pub fn seen(stat: &Stat) -> DirGuard {
        DirGuard {
            noted: Cell::new(CtimeStamp::as_seen(stat)),
            since: Cell::new(None),
        }
    }

    /// `None` where that cannot be told, or before the directory was read.
    pub fn since(&self) -> Option<CtimeStamp> {
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

    /// Makes sure that [`since`](DirGuard::since) says something where it can.
    pub fn begin(&self, dir: BorrowedFd<'_>) {
        self.note(dir);
        if let Some(noted) = self.noted.get()
            && wait_for_changes(dir)
        {
            self.noted.set(None);
            self.since.set(Some(noted));
        }
    }

    fn note(&self, dir: BorrowedFd<'_>) {
        if self.noted.get().is_none() && self.since.get().is_none() {
            self.noted.set(CtimeStamp::of(dir));
        }
    }
}

/// Waits for changes of a directory's names that are under way: reading it takes its lock. Nothing is
/// read, as no name has room. False where it is not open for reading.
pub fn wait_for_changes(dir: BorrowedFd<'_>) -> bool {
    let mut no_room = [MaybeUninit::<u8>::uninit(); 16];
    match RawDir::new(dir, &mut no_room).next() {
        None | Some(Err(Errno::INVAL)) => true,
        Some(_) => false,
    }
}

thread_local! {
    /// The filesystem last asked about, and whether it is one of [`KNOWN`].
    static LAST: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::time::SystemTime;

    use super::*;
    use crate::fs::dir::open_dir;

    /// A directory that was changed so long ago, the way a filesystem of whole seconds shows it, or one
    /// of nanoseconds.
    fn changed(ago: Duration, whole_seconds: bool) -> Stat {
        let place = tempfile::tempdir().unwrap();
        let mut stat = stat(open_dir(rustix::fs::CWD, place.path()).unwrap()).unwrap();
        drop(place);
        // As late as can be: on a busy machine the rest takes a tick or two.
        let then = SystemTime::now() - ago;
        let then = then.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        stat.changed = InodeTime {
            seconds: then.as_secs().cast_signed(),
            nanoseconds: match whole_seconds {
                true => 0,
                false => then.subsec_nanos().max(1),
            },
        };
        stat
    }

    #[test]
    fn a_ctime_of_whole_seconds_is_not_trusted_at_once() {
        let millis = Duration::from_millis;
        assert!(CtimeStamp::as_seen(&changed(millis(100), false)).is_some());
        assert!(CtimeStamp::as_seen(&changed(millis(1), false)).is_none());
        // Shown as up to a second older than it is.
        assert!(CtimeStamp::as_seen(&changed(millis(0), true)).is_none());
        assert!(CtimeStamp::as_seen(&changed(millis(2100), true)).is_some());
    }

    #[test]
    fn a_ctime_in_the_future_differs_after_any_change() {
        let mut stat = changed(Duration::ZERO, true);
        stat.changed.seconds += 3600;
        let ctime = CtimeStamp::as_seen(&stat).unwrap();
        assert!(ctime.ahead);
        stat.changed.seconds -= 3600;
        assert!(
            CtimeStamp::as_seen(&stat).is_none(),
            "the clock is about there"
        );
    }

    #[test]
    fn the_settling_time_of_a_directory_is_short() {
        let millis = Duration::from_millis;
        for (ago, whole) in [(0, true), (0, false), (1, false)] {
            let stat = changed(millis(ago), whole);
            let wait = settles_in(&stat);
            assert!(wait > Duration::ZERO && wait < millis(3000), "{wait:?}");
        }
        assert_eq!(settles_in(&changed(millis(5000), true)), Duration::ZERO);
        let mut ahead = changed(Duration::ZERO, true);
        ahead.changed.seconds += 3600;
        assert_eq!(settles_in(&ahead), Duration::ZERO);
    }

    #[test]
    fn waiting_for_changes_reads_no_name() {
        let place = tempfile::tempdir().unwrap();
        for n in 0..100 {
            fs::write(place.path().join(format!("{n}")), "").unwrap();
        }
        let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
        let mut buffer = vec![MaybeUninit::uninit(); 512];
        let mut names = 0;
        while wait_for_changes(dir.as_fd()) {
            let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
            match entries.next() {
                None => break,
                Some(entry) => names += usize::from(!entry.unwrap().file_name().is_empty()),
            }
            while !entries.is_buffer_empty() {
                names += usize::from(entries.next().is_some());
            }
        }
        assert_eq!(names, 102, "and `.` and `..`");
        assert!(!wait_for_changes(
            crate::fs::PinnedFile::path(place.path()).unwrap().as_fd()
        ));
    }
}
