use std::fs::File;

use super::*;
use crate::preflight::refused_types::Obstacle::{CopiesUp, Hypervisor, NarrowIds, NoOwners};
use crate::preflight::refused_types::REFUSED;

#[test]
fn the_kernels_own_filesystems_are_refused() {
    let message = refusal_for("/proc").unwrap().to_string();
    assert!(
        message.starts_with("/proc: is on proc, which shows"),
        "{message}"
    );
    assert!(matches!(
        refusal_for("/sys"),
        Some(UnsuitableRoot::Filesystem { name, .. }) if name == "sysfs"
    ));
}

#[test]
fn a_server_says_where_to_run_instead() {
    for (magic, name, words) in [
        (
            0x6969,
            "nfs",
            "on the NFS server, on the exported directory",
        ),
        (0x0102_1997, "9p", "on the host that shares the directory"),
        (0x5346_414f, "afs", "on the machine that stores the files"),
        (
            0xfe53_4d42,
            "smb3",
            "the uid= and gid= that the container needs",
        ),
    ] {
        let (found, obstacle) = obstacle_on(magic).unwrap();
        assert_eq!(found, name);
        assert!(obstacle.help().contains(words), "{name}");
    }
}

#[test]
fn a_mount_tells_what_the_type_does_not() {
    for (what, obstacle) in [
        ("ext4 /dev/x rw", None),
        ("ext4 /dev/x rw,resuid=5,resgid=5", None),
        ("tmpfs none rw,uid=1000", None),
        ("fuse.bindfs x rw,user_id=0,group_id=0", None),
        ("devpts none rw,gid=5", None),
        ("ext4 /dev/x rw,nouid32", Some(NarrowIds)),
        ("jffs2 /dev/x rw", Some(NarrowIds)),
        ("jfs /dev/x rw,uid=5", Some(NoOwners)),
        ("hfsplus /dev/x rw,gid=5", Some(NoOwners)),
        ("overlay none rw", Some(CopiesUp)),
        ("fuse.fuse-overlayfs x rw", Some(CopiesUp)),
        ("9p tag rw,trans=virtio,version=9p2000.L", Some(Hypervisor)),
    ] {
        let line = format!("36 35 0:0 / /m rw - {what}");
        let mount = mountinfo::from_line(line.as_bytes()).unwrap();
        let why = obstacle_of(&mount).map(Obstacle::why);
        assert_eq!(why, obstacle.map(Obstacle::why), "{what}");
    }
}

#[test]
fn no_type_is_listed_twice() {
    let mut magics: Vec<u32> = REFUSED.iter().map(|entry| entry.0).collect();
    magics.sort_unstable();
    magics.dedup();
    assert_eq!(magics.len(), REFUSED.len());
}

#[test]
fn an_ordinary_directory_passes() {
    // In memory: what the temporary directory is on is this machine's business.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let handle = File::open(dir.path()).unwrap();
    assert!(check_filesystem(handle.as_fd(), dir.path()).is_ok());
}

#[test]
fn a_read_only_mount_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting takes root");
        return;
    }
    // In a mount namespace of its own, so that nothing is left behind; the test looks in
    // through the child's root.
    let mut child = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg("mount -t tmpfs -o ro none /mnt && echo ready && read wait")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    io::BufRead::read_line(
        &mut io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let refusal = refusal_for(&format!("/proc/{}/root/mnt", child.id()));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(line, "ready\n");
    assert!(
        matches!(refusal, Some(UnsuitableRoot::ReadOnly { .. })),
        "{refusal:?}"
    );
}

fn refusal_for(path: &str) -> Option<UnsuitableRoot> {
    let handle = File::open(path).unwrap();
    check_filesystem(handle.as_fd(), Path::new(path)).err()
}
