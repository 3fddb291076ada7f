use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::fs::PinnedFile;
use crate::fs::mountinfo::{self, Mount};
use crate::idmap::tests::map;

/// An empty tmpfs that nobody else sees. Its mounts go with the thread.
fn own_place() -> Option<TempDir> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: mounts take root");
        return None;
    }
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let (none, no_data) = (None::<&str>, None::<&str>);
    mount(
        none,
        "/",
        none,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        no_data,
    )
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let tmpfs = Some("tmpfs");
    mount(tmpfs, place.path(), tmpfs, MsFlags::empty(), no_data).unwrap();
    for (name, owner) in [("data", 0), ("data/a", 33), ("data/b", 100_000), ("at", 0)] {
        fs::create_dir(place.path().join(name)).unwrap();
        chown(place.path().join(name), Some(owner), Some(owner)).unwrap();
    }
    Some(place)
}

fn pin(path: &Path) -> PinnedFile {
    PinnedFile::exactly(path).unwrap()
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn mounted_at(point: &Path) -> Vec<Mount> {
    let all = mountinfo::of_this_thread().unwrap();
    all.into_iter().filter(|one| one.point == point).collect()
}

fn make(source: &Path, map: &MountMap) -> Result<DetachedMount, IdmappedMountError> {
    DetachedMount::of(pin(source), map, MountOptions::default())
}

#[test]
fn owners_are_seen_through_several_ranges_uids_and_gids_apart() {
    let Some(place) = own_place() else { return };
    let (data, at) = (place.path().join("data"), place.path().join("at"));
    chown(data.join("a"), Some(33), Some(7)).unwrap();
    let apart = map("u:0:100000:10 u:33:200000:5 g:0:300000:10");
    let made = make(&data, &MountMap::only(&apart)).unwrap();
    let identity = made.attach(pin(&at)).unwrap();
    assert_eq!(owner(&at), (100_000, 300_000));
    assert_eq!(owner(&at.join("a")), (200_000, 300_007));
    assert_eq!(owner(&at.join("b")), (65_534, 65_534));
    // Root is no id that could be on disk.
    let refused = File::create(at.join("new")).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::OVERFLOW));
    let [there] = &mounted_at(&at)[..] else {
        panic!()
    };
    assert!(there.idmapped && there.id == identity.id, "{there:?}");
    assert_eq!(identity, MountIdentity::of(pin(&at)).unwrap());
    unmount(&at, &identity, Unmounting::Unused).unwrap();
    assert_eq!(owner(&data.join("a")), (33, 7));
}

#[test]
fn an_exchange_in_place_lets_host_root_make_files() {
    let Some(place) = own_place() else { return };
    let data = place.path().join("data");
    let exchange = MountMap::exchange(&map("b:0:100000:65536"));
    let made = make(&data, &exchange).unwrap();
    let identity = made.attach(pin(&data)).unwrap();
    assert_eq!(owner(&data), (100_000, 100_000));
    assert_eq!(
        (owner(&data.join("a")), owner(&data.join("b"))),
        ((100_033, 100_033), (0, 0))
    );
    fs::write(data.join("new"), "").unwrap();
    chown(data.join("a"), Some(100_001), Some(70_000)).unwrap();
    assert_eq!(owner(&data.join("new")), (0, 0));
    unmount(&data, &identity, Unmounting::Unused).unwrap();
    assert_eq!(owner(&data.join("new")), (100_000, 100_000));
    assert_eq!(owner(&data.join("a")), (1, 70_000));
}

#[test]
fn what_is_below_is_its_own_and_mounts_do_not_spread() {
    let Some(place) = own_place() else { return };
    let (data, at) = (place.path().join("data"), place.path().join("at"));
    let none = None::<&str>;
    mount(none, place.path(), none, MsFlags::MS_SHARED, none).unwrap();
    let read_only = MountOptions { read_only: true };
    let only = MountMap::only(&map("b:0:100000:65536"));
    let made = DetachedMount::of(pin(&data), &only, read_only).unwrap();
    made.attach(pin(&at)).unwrap();
    assert!(File::create(at.join("new")).is_err_and(|error| error.raw_os_error() == Some(30)));
    // A mount below the one is not seen below the other.
    let tmpfs = Some("tmpfs");
    mount(tmpfs, &data.join("a"), tmpfs, MsFlags::empty(), none).unwrap();
    assert_eq!(mounted_at(&at.join("a")), []);
    mount(tmpfs, &at.join("b"), tmpfs, MsFlags::empty(), none).unwrap();
    assert_eq!(mounted_at(&data.join("b")), []);
}

#[test]
fn only_the_mount_that_was_made_is_unmounted() {
    let Some(place) = own_place() else { return };
    let (data, at) = (place.path().join("data"), place.path().join("at"));
    let only = MountMap::only(&map("b:0:100000:65536"));
    let attach = || make(&data, &only).unwrap().attach(pin(&at)).unwrap();
    let first = attach();
    let second = attach();
    assert!(!first.is(&second));
    let refused = unmount(&at, &first, Unmounting::Unused).unwrap_err();
    assert!(matches!(refused, UnmountError::Another), "{refused}");
    let open = File::open(at.join("a")).unwrap();
    let refused = unmount(&at, &second, Unmounting::Unused).unwrap_err();
    assert!(matches!(refused, UnmountError::InUse), "{refused}");
    unmount(&at, &second, Unmounting::Lazy).unwrap();
    assert_eq!(open.metadata().unwrap().uid(), 100_033);
    unmount(&at, &first, Unmounting::Unused).unwrap();
    let refused = unmount(&at, &first, Unmounting::Unused).unwrap_err();
    assert!(matches!(refused, UnmountError::NotMounted), "{refused}");
    assert_eq!(mounted_at(&at), []);
}

#[test]
fn what_is_missing_is_said() {
    let Some(place) = own_place() else { return };
    let (data, at) = (place.path().join("data"), place.path().join("at"));
    let exchange = MountMap::exchange(&map("b:0:100000:65536"));
    let refused = |source: &Path| make(source, &exchange).unwrap_err();
    let no_idmap = refused(Path::new("/proc/sys"));
    assert_eq!(no_idmap, IdmappedMountError::Filesystem("proc".into()));
    make(&data, &exchange).unwrap().attach(pin(&at)).unwrap();
    assert_eq!(refused(&at.join("a")), IdmappedMountError::AlreadyIdmapped);
    // A directory on a file.
    fs::write(data.join("file"), "").unwrap();
    let on_file = make(&data, &exchange)
        .unwrap()
        .attach(pin(&data.join("file")));
    assert_eq!(on_file.unwrap_err(), IdmappedMountError::Target);
    let none = None::<&str>;
    mount(none, place.path(), none, MsFlags::MS_UNBINDABLE, none).unwrap();
    assert_eq!(refused(&data), IdmappedMountError::Mount);
    let many: Vec<String> = (0..341)
        .map(|n| format!("b:{}:{}:1", 2 * n, 100_000 + 2 * n))
        .collect();
    let many = MountMap::only(&map(&many.join(" ")));
    assert_eq!(
        make(Path::new("/proc"), &many).unwrap_err(),
        IdmappedMountError::Ranges(341)
    );
}

/// The child that carries the map is a copy of a process with threads, whatever they hold at that moment.
#[test]
fn other_threads_may_be_at_anything() {
    let Some(place) = own_place() else { return };
    let data = place.path().join("data");
    let exchange = MountMap::exchange(&map("b:0:100000:65536"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(vec![vec![0_u8; 4096]; 16]);
                }
            });
        }
        for _ in 0..50 {
            let made = make(&data, &exchange).unwrap();
            assert_eq!(crate::fs::stat::stat(&made).unwrap().uid, 100_000);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    // None of the children is left, nor a mount.
    let here = std::process::id();
    let children = fs::read_to_string(format!(
        "/proc/{here}/task/{}/children",
        nix::unistd::gettid()
    ));
    assert_eq!(children.unwrap_or_default(), "");
    assert_eq!(mounted_at(&data), []);
}
