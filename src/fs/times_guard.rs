//! A directory's times put back after something was tried in it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{AtFlags, CWD, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::PinnedFile;

/// Times of a directory before a test in it. Its ctime cannot be restored.
pub struct TimesGuard<'a> {
    dir: &'a PinnedFile,
    before: Timestamps,
    watch: Option<OwnedFd>,
}

impl<'a> TimesGuard<'a> {
    /// Remembers the times of a directory; `None` for anything else.
    pub fn of(dir: &'a PinnedFile) -> Option<TimesGuard<'a>> {
        if !dir.stat().ok()?.is_dir() {
            return None;
        }
        // First the watch: what happens from here on is seen by one or the other.
        let watch = watch(dir).ok();
        let before = times(dir).ok()?;
        Some(TimesGuard { dir, before, watch })
    }

    /// Restores the times. If names other than `own` were added or removed meanwhile, the mtime is
    /// of that change, and stays. Does nothing if the process may not set times.
    pub fn put_back(self, own: &[&CStr]) {
        let Ok(now) = times(self.dir) else {
            return;
        };
        let mut wanted = self.before.clone();
        let is_changed = now.last_modification != wanted.last_modification;
        if is_changed && self.is_changed_by_others(own) {
            wanted.last_modification.tv_nsec = UTIME_OMIT;
        } else if !is_changed && now.last_access == wanted.last_access {
            return;
        }
        if self.set(&wanted).is_ok() && is_changed && self.is_changed_by_others(own) {
            // The present time: a program that watches the directory must see that it changed.
            wanted.last_modification.tv_nsec = UTIME_NOW;
            let _ = self.set(&wanted);
        }
    }

    fn set(&self, times: &Timestamps) -> rustix::io::Result<()> {
        let set = |path: &CStr| rustix::fs::utimensat(CWD, path, times, AtFlags::empty());
        self.dir.with_proc_path(set)
    }

    /// Since this was asked before.
    fn is_changed_by_others(&self, own: &[&CStr]) -> bool {
        let Some(watch) = &self.watch else {
            return true;
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(watch, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let is_own = event.file_name().is_some_and(|name| own.contains(&name));
                    // There were more than the kernel keeps.
                    if !is_own || event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                        return true;
                    }
                }
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// Watches for names that are added or removed.
fn watch(dir: &PinnedFile) -> rustix::io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
    dir.with_proc_path(|path| inotify::add_watch(&watch, path, names))?;
    Ok(watch)
}

/// The times that an open file has, to be set again.
///
/// # Errors
/// Those of `statx(2)`.
pub fn times(file: impl AsFd) -> rustix::io::Result<Timestamps> {
    let wanted = StatxFlags::ATIME | StatxFlags::MTIME;
    let found = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
    let time = |time: rustix::fs::StatxTimestamp| Timespec {
        tv_sec: time.tv_sec,
        tv_nsec: time.tv_nsec.into(),
    };
    Ok(Timestamps {
        last_access: time(found.stx_atime),
        last_modification: time(found.stx_mtime),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn place() -> (tempfile::TempDir, SystemTime) {
        let place = tempfile::tempdir().unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 123);
        let times = fs::FileTimes::new().set_modified(then).set_accessed(then);
        fs::File::open(place.path())
            .unwrap()
            .set_times(times)
            .unwrap();
        (place, then)
    }

    #[test]
    fn only_what_was_done_by_others_shows() {
        let (place, then) = place();
        let pin = PinnedFile::path(place.path()).unwrap();
        let touch = |name: &str| {
            fs::write(place.path().join(name), "").unwrap();
            fs::rename(place.path().join(name), place.path().join("b")).unwrap();
            fs::remove_file(place.path().join("b")).unwrap();
        };
        let found = || fs::metadata(place.path()).unwrap();
        let kept = TimesGuard::of(&pin).unwrap();
        touch("a");
        fs::read_dir(place.path()).unwrap().count();
        kept.put_back(&[c"a", c"b"]);
        assert_eq!(found().modified().unwrap(), then);
        assert_eq!(found().accessed().unwrap(), then);

        let kept = TimesGuard::of(&pin).unwrap();
        touch("a");
        touch("other");
        kept.put_back(&[c"a", c"b"]);
        assert!(found().modified().unwrap() > then);
        assert_eq!(found().accessed().unwrap(), then);
    }
}
