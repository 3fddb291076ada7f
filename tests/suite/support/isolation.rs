//! A test's own view of the host: its own `/etc`, `/run`, and default places of engines and journals.
//!
//! A test is a thread. It gets a mount namespace of its own, and so does everything it starts. What it
//! changes there is gone with it, also when it is killed, and it sees the same accounts on every host.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;

/// Is there in a test's own `/etc`, and on no host.
const MARK: &str = "/etc/idshift-test";

/// No login account but root, no container engine set up, and the ranges that most tests name.
const FILES: [(&str, &str, u32); 7] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
         www-data:x:33:33::/var/www:/usr/sbin/nologin\n\
         dockremap:x:995:994::/home/dockremap:/bin/false\n\
         nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
        0o644,
    ),
    (
        "group",
        "root:x:0:\ndaemon:x:1:\nshadow:x:42:\nwww-data:x:33:\ndockremap:x:994:\nnogroup:x:65534:\n",
        0o644,
    ),
    ("shadow", "root:*:19000:0:99999:7:::\n", 0o640),
    ("gshadow", "root:*::\n", 0o640),
    ("subuid", "dockremap:100000:65536\n", 0o644),
    ("subgid", "dockremap:100000:65536\n", 0o644),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
        0o644,
    ),
];

/// What tells dockerd how to start.
const ENGINE_SETTINGS: [&str; 3] = [
    "/etc/docker",
    "/etc/default/docker",
    "/etc/systemd/system/docker.service.d",
];

/// Where engines and the program keep things unless told otherwise.
const DEFAULT_PLACES: [&str; 3] = ["/var/lib/docker", "/var/lib/containerd", "/var/lib/idshift"];

/// Gives this thread its own view of the host, once. Who is not root cannot change the host.
pub fn isolate() {
    if !geteuid().is_root() || Path::new(MARK).exists() {
        return;
    }
    own_mounts();
    cover("/run");
    for place in DEFAULT_PLACES {
        if Path::new(place).exists() {
            cover(place);
        }
    }
    own_etc();
}

/// Gives this thread a mount namespace of its own, once: whatever a test leaves mounted, even when it
/// is killed, goes with it.
fn own_mounts() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if DONE.replace(true) {
        return;
    }
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).expect("private mounts");
}

/// Puts an empty directory in its place.
pub fn cover(place: &str) {
    let (kind, data) = (Some("tmpfs"), Some("mode=0755"));
    mount(kind, place, kind, MsFlags::empty(), data).expect("a tmpfs");
}

/// Gives this thread an `/etc` as at the start: the host's, but for accounts and engines.
pub fn own_etc() {
    if Path::new(MARK).exists() {
        umount2("/etc", MntFlags::MNT_DETACH).expect("umount /etc");
    }
    let layers = tempfile::Builder::new()
        .prefix("etc-")
        .tempdir_in("/run")
        .expect("a directory")
        .keep();
    let (upper, work) = (layers.join("upper"), layers.join("work"));
    fs::create_dir(&upper).expect("a directory");
    fs::create_dir(&work).expect("a directory");
    let data = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    let kind = Some("overlay");
    mount(kind, "/etc", kind, MsFlags::empty(), Some(&*data)).expect("an overlay on /etc");
    for (name, text, mode) in FILES {
        let path = Path::new("/etc").join(name);
        // Another file: the host's may be a link into another filesystem.
        absent(fs::remove_file(&path));
        fs::write(&path, text).expect("a file of /etc");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&path, mode).expect("its mode");
    }
    for setting in ENGINE_SETTINGS {
        let path = Path::new(setting);
        match path.is_dir() {
            true => absent(fs::remove_dir_all(path)),
            false => absent(fs::remove_file(path)),
        }
    }
    fs::create_dir("/etc/docker").expect("a directory");
    fs::write(MARK, "").expect("a mark");
}

fn absent(removed: std::io::Result<()>) {
    if let Err(error) = removed {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}
