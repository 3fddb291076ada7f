//! Using names instead of handles for a moment, and proving that nobody moved them meanwhile.
//!
//! Listing an inode's attributes through its pin takes a detour over `/proc/thread-self/fd/N`, which
//! costs about as much as everything else that is done for an inode. Listing them by name in the
//! working directory is cheap, but a name can come to mean another inode between two calls. It
//! cannot do so without the directory's ctime changing, and nobody but the clock sets a ctime
//! (`inode(7)`). So: note the directory's ctime, use names, look again. Where it has changed, what the
//! names said is thrown away and asked again through the pins.

use std::time::Duration;

use rustix::fs::FsWord;
use rustix::time::{ClockId, clock_gettime};

use super::stat::stat;
use super::{Dir, process};

/// A directory at the time its names began to be used.
#[derive(Debug)]
pub struct Moment {
    changed: (i64, u32),
}

/// Filesystems of which it is known that every change of a directory's names sets its ctime from the
/// kernel's clock: ext2 to ext4, xfs, btrfs, tmpfs (`statfs(2)`).
const KNOWN: [FsWord; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];

/// The clock that ctimes are taken from ticks at least this often: 100 times a second. A change in
/// the same tick as the one before it would leave the ctime as it was.
pub const TICK: Duration = Duration::from_millis(10);

impl Dir {
    /// Whether [`still_since`](Dir::still_since) can be relied on for this directory's filesystem.
    pub fn keeps_ctime(&self) -> bool {
        rustix::fs::fstatfs(self).is_ok_and(|statfs| KNOWN.contains(&statfs.f_type))
    }

    /// Makes this the calling thread's working directory, for names to be used in. `None` where a
    /// change could go unnoticed: it was changed just now, or the thread shares its working
    /// directory with others.
    pub fn begin_by_name(&self) -> Option<Moment> {
        if !process::has_own_working_directory() {
            return None;
        }
        rustix::process::fchdir(self).ok()?;
        self.moment()
    }

    /// Notes the present moment. `None` where a change could go unnoticed: it was changed just now.
    pub fn moment(&self) -> Option<Moment> {
        let changed = stat(self).ok()?.changed;
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let age = nanoseconds(now.tv_sec, now.tv_nsec) - nanoseconds(changed.0, changed.1.into());
        let settled = age > 2 * TICK.as_nanos() as i128;
        settled.then_some(Moment { changed })
    }

    /// Whether every name still means what it meant at that moment.
    pub fn still_since(&self, moment: &Moment) -> bool {
        stat(self).is_ok_and(|now| now.changed == moment.changed)
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::fs::dir::{DirPath, open_dir};
    use crate::fs::stat::stat;

    /// Runs on a thread that has a working directory of its own.
    fn on_a_thread(test: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                process::separate_thread();
                test();
            });
            thread.join().unwrap();
        });
    }

    fn open(path: &std::path::Path) -> Dir {
        let fd = open_dir(rustix::fs::CWD, path).unwrap();
        let now = stat(&fd).unwrap();
        let path = DirPath::root(0, now.identity, now.dev);
        Dir::open_from_root(std::os::fd::AsFd::as_fd(&fd), Arc::clone(&path)).unwrap()
    }

    #[test]
    fn a_name_that_moved_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "").unwrap();
        fs::write(place.path().join("b"), "").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        on_a_thread(|| {
            let dir = open(place.path());
            let moment = dir.begin_by_name().expect("it is not new");
            assert!(dir.still_since(&moment));
            assert!(fs::exists("a").unwrap(), "names are looked up in it");
            fs::rename(place.path().join("a"), place.path().join("b")).unwrap();
            assert!(!dir.still_since(&moment));
        });
    }

    #[test]
    fn a_directory_changed_just_now_is_not_relied_on() {
        let place = tempfile::tempdir().unwrap();
        on_a_thread(|| {
            let dir = open(place.path());
            fs::write(place.path().join("a"), "").unwrap();
            assert!(dir.begin_by_name().is_none());
        });
    }

    #[test]
    fn a_shared_working_directory_is_left_alone() {
        let here = std::env::current_dir().unwrap();
        let place = tempfile::tempdir().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(open(place.path()).begin_by_name().is_none());
        assert_eq!(std::env::current_dir().unwrap(), here);
    }
}
