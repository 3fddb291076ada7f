//! Whether mounts came or went.

use std::cell::RefCell;
use std::fs::File;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

thread_local! {
    /// Open in the thread's own table.
    static MOUNTS: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Makes [`have_changed`] report every mount that is added or removed from now on to the calling
/// thread; false if that is not possible.
pub fn are_watched() -> bool {
    MOUNTS.with_borrow_mut(|mounts| {
        if mounts.is_none() {
            *mounts = watch();
        }
        mounts.is_some()
    })
}

/// Whether any mount was added or removed since the last call of this thread, or since its first
/// call of [`are_watched`]; true if that is unknown. The kernel says so of an open `mountinfo`
/// (`proc_pid_mountinfo(5)`: a change is a priority event, once).
pub fn have_changed() -> bool {
    MOUNTS.with_borrow(|mounts| match mounts {
        Some(file) => has_event(file),
        None => true,
    })
}

/// An open `mountinfo` that reports each mount that is added or removed from now on. `None`:
/// `/proc` is not there.
pub(super) fn watch() -> Option<File> {
    File::open("/proc/thread-self/mountinfo").ok()
}

/// Whether a change was reported, once per change; true if that is unknown.
pub(super) fn has_event(watch: &File) -> bool {
    let mut fds = [PollFd::new(watch, PollFlags::PRI)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)) != Ok(0)
}

#[cfg(test)]
mod tests {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn a_mount_is_told_once() {
        let place = tempfile::tempdir().unwrap();
        let none: Option<&str> = None;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(none, "/", none, private, none).unwrap();
                assert!(have_changed(), "not watched yet");
                assert!(are_watched());
                assert!(!have_changed());
                let tmpfs = Some("tmpfs");
                mount(tmpfs, place.path(), tmpfs, MsFlags::empty(), none).unwrap();
                assert!(have_changed());
                assert!(!have_changed());
                nix::mount::umount(place.path()).unwrap();
                assert!(have_changed());
                assert!(!have_changed());
            });
        });
    }
}
