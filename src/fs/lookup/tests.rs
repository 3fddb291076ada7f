//! Names that move while they are looked up.

use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::fs::dir::open_dir;

/// Runs on a thread that has a working directory of its own.
fn on_a_thread(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            process::separate_thread(1);
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
fn look_at_both(
    place: &Path,
    first: FirstCall,
    meanwhile: impl Fn(),
) -> Vec<Result<LookupEntry, LookupError>> {
    let dir = open_dir(rustix::fs::CWD, place).unwrap();
    let names = ["a", "b"].map(|name| CString::new(name).unwrap());
    let names: Vec<&CStr> = names.iter().map(|name| &**name).collect();
    let happened = Cell::new(false);
    let guard = DirGuard::default();
    guard.begin(dir.as_fd());
    assert!(guard.since().is_some());
    let wants = |n, _: &Stat, _| {
        if n == 0 && !happened.replace(true) {
            meanwhile();
        }
        true
    };
    let options = LookupOptions {
        guard: &guard,
        first,
        keeps_names: true,
    };
    lookup(dir.as_fd(), &names, options, wants).each
}

const BOTH: [FirstCall; 2] = [FirstCall::Numbers, FirstCall::Pin];

fn assert_each_is_one_inode(looked: &[Result<LookupEntry, LookupError>]) {
    for one in looked {
        let one = one.as_ref().unwrap();
        let pinned = one.pin.as_ref().unwrap().stat().unwrap();
        assert_eq!(one.stat.identity, pinned.identity);
    }
}

#[test]
fn names_are_looked_up_in_the_directory() {
    for first in BOTH {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), first, || {});
            assert_each_is_one_inode(&looked);
            assert_eq!(
                looked[1].as_ref().unwrap().stat.identity.ino,
                ino(place.path().join("b"))
            );
        });
    }
}

#[test]
fn what_moved_is_looked_up_again_as_one_inode() {
    for first in BOTH {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), first, || {
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
}

/// The kernel sets a directory's ctime before a name can be seen to have moved: so what was asked about
/// and what is then opened can be two inodes though the ctime stays as it was noted.
#[test]
fn a_rename_hidden_by_ctime_is_seen_by_the_inode() {
    let place = place();
    let at = |name: &str| place.path().join(name);
    on_a_thread(|| {
        rustix::process::chdir(place.path()).unwrap();
        let look = |meanwhile: &dyn Fn()| {
            numbers_first(0, c"a", &|_, _: &Stat, _| {
                meanwhile();
                true
            })
        };
        let exchange = || {
            fs::rename(at("a"), at("c")).unwrap();
            fs::rename(at("b"), at("a")).unwrap();
        };
        assert!(look(&|| {}).is_some_and(|looked| looked.is_ok()));
        assert!(look(&exchange).is_none(), "another inode");
        // The same inode with one more name, or in another state, is not what was asked about either.
        let link = || fs::hard_link(at("a"), at("d")).unwrap();
        assert!(look(&link).is_none(), "one more name");
        let touch = || {
            std::thread::sleep(Duration::from_millis(20));
            fs::set_permissions(at("a"), fs::Permissions::from_mode(0o700)).unwrap();
        };
        assert!(look(&touch).is_none(), "another mode");
    });
}

#[test]
fn what_moved_unpinned_is_looked_up_again_too() {
    for first in BOTH {
        let place = place();
        let at = |name: &str| place.path().join(name);
        on_a_thread(|| {
            let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
            let guard = DirGuard::default();
            guard.begin(dir.as_fd());
            let options = LookupOptions {
                guard: &guard,
                first,
                keeps_names: true,
            };
            let happened = Cell::new(false);
            let looks = lookup(dir.as_fd(), &[c"a", c"b"], options, |n, _, _| {
                // The first was asked about already, and is not held by anything.
                if n == 1 && !happened.replace(true) {
                    fs::rename(at("a"), at("c")).unwrap();
                    fs::write(at("a"), "another").unwrap();
                }
                false
            });
            let one = looks.each[0].as_ref().unwrap();
            assert!(one.pin.is_none() && !looks.is_consistent);
            assert_eq!(one.stat.identity.ino, ino(at("a")), "a as it is now");
        });
    }
}

#[test]
fn what_went_away_meanwhile_is_an_error_of_its_own() {
    for first in BOTH {
        let place = place();
        on_a_thread(|| {
            let looked = look_at_both(place.path(), first, || {
                fs::remove_file(place.path().join("b")).unwrap();
            });
            assert_eq!(looked[1].as_ref().unwrap_err().errno, Errno::NOENT);
            assert!(looked[0].is_ok());
        });
    }
}

#[test]
fn a_new_mount_is_not_taken_for_the_file() {
    for first in BOTH {
        let place = place();
        on_a_thread(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let none: Option<&str> = None;
            let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
            nix::mount::mount(none, "/", none, private, none).unwrap();
            let (a, b) = (place.path().join("a"), place.path().join("b"));
            let looked = look_at_both(place.path(), first, || {
                let bind = nix::mount::MsFlags::MS_BIND;
                nix::mount::mount(Some(&b), &a, none, bind, none).unwrap();
            });
            assert_each_is_one_inode(&looked);
            assert!(looked[0].as_ref().unwrap().stat.mount_root);
        });
    }
}

#[test]
fn a_directory_changed_just_now_is_not_relied_on() {
    let place = tempfile::tempdir().unwrap();
    on_a_thread(|| {
        let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
        fs::write(place.path().join("a"), "").unwrap();
        assert!(CtimeStamp::of(dir.as_fd()).is_none());
    });
}

#[test]
fn a_moving_name_is_looked_up_until_it_is_still() {
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
            let looked = lookup_by_pins(dir.as_fd(), &[c"a"], true, &|_, _: &Stat, _| true);
            if let [Ok(looked)] = &looked[..] {
                still.fetch_add(usize::from(looked.kept_name), Ordering::Relaxed);
                met.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert_eq!(still.into_inner(), LOOKS);
}

#[test]
fn names_exchanged_between_lookups_are_two_inodes() {
    let place = place();
    let [a, b, c] = ["a", "b", "c"].map(|name| place.path().join(name));
    let dir = open_dir(rustix::fs::CWD, place.path()).unwrap();
    let done = AtomicUsize::new(0);
    const LOOKS: usize = 500;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) < LOOKS {
                std::thread::sleep(Duration::from_micros(5));
                fs::rename(&a, &c).unwrap();
                fs::rename(&b, &a).unwrap();
                fs::rename(&c, &b).unwrap();
            }
        });
        while done.load(Ordering::Relaxed) < LOOKS {
            let looked = lookup_by_pins(dir.as_fd(), &[c"a", c"b"], true, &|_, _: &Stat, _| true);
            if let [Ok(a), Ok(b)] = &looked[..] {
                let inode = |looked: &LookupEntry| looked.stat.identity.ino;
                if inode(a) == inode(b) {
                    done.store(LOOKS, Ordering::Relaxed);
                    panic!("one inode, found by two names");
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

#[test]
fn a_shared_working_directory_is_left_alone() {
    let here = std::env::current_dir().unwrap();
    let place = place();
    let looked = look_at_both(place.path(), FirstCall::Numbers, || {});
    assert_each_is_one_inode(&looked);
    assert_eq!(std::env::current_dir().unwrap(), here);
}
