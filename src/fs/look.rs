//! What the names of one directory mean, many names at a time.
//!
//! The sure way is to open a name as a [`Pin`] and ask through it. But an inode's attributes can be
//! listed through a pin only by a detour over `/proc/thread-self/fd/N`, which costs as much as all
//! the rest, and most inodes of a tree that is shifted already need no handle at all. Asking by name in
//! the working directory is cheap, but a name can come to mean another inode between two calls.
//!
//! It cannot do so without the directory's ctime changing ([`moment`](super::moment)). So: note the directory's ctime, ask by name, open the pins that are wanted, look at
//! the ctime again. Where it is the same, and each pin is the inode that was asked about, each name meant that one
//! all the while. Else everything that was learnt is thrown away and asked again through pins.
//!
//! Only a mount can change what a name means and leave the directory as it is; the pins are therefore opened
//! with `RESOLVE_NO_XDEV` (`openat2(2)`), which a mount makes fail.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::attributes::{self, Present, ReadError};
use super::moment::Moment;
use super::stat::{Stat, stat_at};
use super::{Pin, process};

/// What a name was found to mean.
#[derive(Debug)]
pub struct Looked {
    /// Its numbers.
    pub stat: Stat,
    /// Which attributes it has.
    pub present: Result<Present, ReadError>,
    /// The inode, pinned, if that was wanted.
    pub pin: Option<Pin>,
    /// It is proven that it had this name all the while. Always true for a directory, which has one.
    pub kept_name: bool,
}

/// The system call that did not say what a name means, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookError {
    /// The system call.
    pub call: &'static str,
    /// Its answer.
    pub errno: Errno,
}

/// Which inodes are to be pinned, from their number in the list, their numbers and what attributes they
/// have. It may be asked more than once of the same name.
pub trait Wants: Fn(usize, &Stat, Present) -> bool {}

impl<F: Fn(usize, &Stat, Present) -> bool> Wants for F {}

/// Looks at some names of a directory, each one component; few enough for all of them to be pinned
/// at once.
///
/// An inode whose attributes cannot be listed, or that has any of interest, is always pinned.
pub fn look(
    dir: BorrowedFd<'_>,
    names: &[&CStr],
    wants: impl Wants,
) -> Vec<Result<Looked, LookError>> {
    if let Some(moment) = begin(dir) {
        let by_name = names.iter().enumerate();
        let by_name = by_name.map(|(n, name)| look_by_name(n, name, &wants));
        let looked: Option<Vec<_>> = by_name.collect();
        if let Some(looked) = looked.filter(|_| moment.is_still(dir)) {
            return looked;
        }
    }
    let by_pin = names.iter().enumerate();
    by_pin
        .map(|(n, name)| look_by_pin(dir, n, name, &wants))
        .collect()
}

fn is_wanted(
    wants: &impl Wants,
    n: usize,
    stat: &Stat,
    present: &Result<Present, ReadError>,
) -> bool {
    match present {
        Ok(present) => present.any() || wants(n, stat, *present),
        Err(_) => true,
    }
}

/// Asks by name in the working directory; `None` when that cannot be relied on.
fn look_by_name(n: usize, name: &CStr, wants: &impl Wants) -> Option<Result<Looked, LookError>> {
    let failed = |call| move |errno| LookError { call, errno };
    let stat = match stat_at(rustix::fs::CWD, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(errno) => return Some(Err(failed("statx")(errno))),
    };
    let present = attributes::present_by_name(name);
    let pin = match is_wanted(wants, n, &stat, &present) {
        false => None,
        true => match Pin::at_same_mount(rustix::fs::CWD, name) {
            // A rename that was under way before the directory's ctime was noted may come to be seen
            // only now (the kernel sets the ctime first): then this is another inode.
            Ok(pin) if pin.stat().is_ok_and(|now| now.is_as(&stat)) => Some(pin),
            Ok(_) => return None,
            Err(Errno::XDEV | Errno::NOSYS) => return None,
            Err(errno) => return Some(Err(failed("open")(errno))),
        },
    };
    Some(Ok(Looked {
        stat,
        present,
        pin,
        kept_name: true,
    }))
}

/// A name that is moved just then is looked up anew so often before it counts as always moving.
const TRIES: u32 = 16;

fn look_by_pin(
    dir: BorrowedFd<'_>,
    n: usize,
    name: &CStr,
    wants: &impl Wants,
) -> Result<Looked, LookError> {
    let failed = |call| move |errno| LookError { call, errno };
    let mut tries = 1;
    loop {
        let pin = Pin::at(dir, name).map_err(failed("open"))?;
        let stat = pin.stat().map_err(failed("statx"))?;
        let kept_name = match stat.is_dir() {
            true => Some(true),
            false => pin.keeps_name(name),
        };
        if kept_name == Some(false) && tries < TRIES {
            tries += 1;
            continue;
        }
        let present = attributes::present(&pin);
        let is_wanted = is_wanted(wants, n, &stat, &present);
        return Ok(Looked {
            stat,
            present,
            pin: is_wanted.then_some(pin),
            kept_name: kept_name == Some(true),
        });
    }
}

/// Makes the directory the calling thread's working directory, for names to be used in. `None` where
/// that a name has moved could go unnoticed: by [`Moment::of`], or because the filesystem is not known
/// to keep ctimes, or the thread shares its working directory with others.
fn begin(dir: BorrowedFd<'_>) -> Option<Moment> {
    if !process::has_own_working_directory() {
        return None;
    }
    let moment = Moment::of(dir).filter(|moment| moment.is_reliable(dir))?;
    rustix::process::fchdir(dir).ok()?;
    Some(moment)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::fs::dir::open_dir;

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

    /// A directory with files `a` and `b`, not changed for some time.
    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "").unwrap();
        fs::write(place.path().join("b"), "").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        place
    }

    fn ino(path: impl AsRef<Path>) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(path).unwrap())
    }

    /// Looks at both files; `meanwhile` happens after the first was looked at, once.
    fn look_at_both(place: &Path, meanwhile: impl Fn()) -> Vec<Result<Looked, LookError>> {
        let dir = open_dir(rustix::fs::CWD, place).unwrap();
        let names = ["a", "b"].map(|name| CString::new(name).unwrap());
        let names: Vec<&CStr> = names.iter().map(|name| &**name).collect();
        let happened = Cell::new(false);
        look(dir.as_fd(), &names, |n, _, _| {
            if n == 0 && !happened.replace(true) {
                meanwhile();
            }
            true
        })
    }

    fn assert_each_is_one_inode(looked: &[Result<Looked, LookError>]) {
        for one in looked {
            let one = one.as_ref().unwrap();
            let pinned = one.pin.as_ref().unwrap().stat().unwrap();
            assert_eq!(one.stat.identity, pinned.identity);
        }
    }

    #[test]
    fn names_are_looked_up_in_the_directory() {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), || {});
            assert_each_is_one_inode(&looked);
            assert_eq!(
                looked[1].as_ref().unwrap().stat.identity.ino,
                ino(place.path().join("b"))
            );
        });
    }

    #[test]
    fn what_moved_meanwhile_is_looked_at_again_and_is_one_inode() {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), || {
                fs::rename(place.path().join("a"), place.path().join("c")).unwrap();
                fs::rename(place.path().join("b"), place.path().join("a")).unwrap();
                fs::rename(place.path().join("c"), place.path().join("b")).unwrap();
            });
            assert_each_is_one_inode(&looked);
            for (n, name) in ["a", "b"].into_iter().enumerate() {
                let found = looked[n].as_ref().unwrap().stat.identity.ino;
                assert_eq!(found, ino(place.path().join(name)), "{name} as it is now");
            }
        });
    }

    #[test]
    fn what_went_away_meanwhile_is_an_error_of_its_own() {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), || {
                fs::remove_file(place.path().join("b")).unwrap();
            });
            assert_eq!(looked[1].as_ref().unwrap_err().errno, Errno::NOENT);
            assert!(looked[0].is_ok());
        });
    }

    #[test]
    fn a_mount_that_came_meanwhile_is_not_taken_for_the_file() {
        let place = place();
        on_a_thread(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let none: Option<&str> = None;
            let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
            nix::mount::mount(none, "/", none, private, none).unwrap();
            let (a, b) = (place.path().join("a"), place.path().join("b"));
            let looked = look_at_both(place.path(), || {
                let bind = nix::mount::MsFlags::MS_BIND;
                nix::mount::mount(Some(&b), &a, none, bind, none).unwrap();
            });
            assert_each_is_one_inode(&looked);
            assert!(looked[0].as_ref().unwrap().stat.mount_root);
        });
    }

    #[test]
    fn a_directory_changed_just_now_is_not_relied_on() {
        let place = tempfile::tempdir().unwrap();
        on_a_thread(|| {
            let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
            fs::write(place.path().join("a"), "").unwrap();
            assert!(begin(dir.as_fd()).is_none());
        });
    }

    #[test]
    fn a_name_that_is_moved_all_the_time_is_looked_up_until_it_keeps_still() {
        let place = place();
        let (a, c) = (place.path().join("a"), place.path().join("c"));
        let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
        let met = AtomicUsize::new(0);
        let still = AtomicUsize::new(0);
        const LOOKS: usize = 500;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while met.load(Ordering::Relaxed) < LOOKS {
                    std::thread::sleep(Duration::from_micros(20));
                    fs::rename(&a, &c).unwrap();
                    fs::rename(&c, &a).unwrap();
                }
            });
            while met.load(Ordering::Relaxed) < LOOKS {
                if let Ok(looked) = look_by_pin(dir.as_fd(), 0, c"a", &|_, _: &Stat, _| true) {
                    still.fetch_add(usize::from(looked.kept_name), Ordering::Relaxed);
                    met.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        assert_eq!(still.into_inner(), LOOKS);
    }

    #[test]
    fn a_shared_working_directory_is_left_alone() {
        let here = std::env::current_dir().unwrap();
        let place = place();
        let looked = look_at_both(place.path(), || {});
        assert_each_is_one_inode(&looked);
        assert_eq!(std::env::current_dir().unwrap(), here);
    }
}
