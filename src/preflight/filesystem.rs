//! Whether a filesystem keeps the owners that it is given, by its type and its mount.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};
use rustix::io::Errno;

use super::UnsuitableRoot;
use crate::fs::mountinfo::{self, Mount};
use crate::fs::{PinnedFile, Root};

/// What keeps a filesystem's owners from being changed.
#[derive(Clone, Copy)]
pub(super) enum Obstacle {
    /// The kernel shows its own state as files.
    Kernel,
    /// The format on disk knows no owners.
    NoOwners,
    /// The format is written once.
    WrittenOnce,
    /// Another machine keeps the files and decides who may give them away.
    Server,
    /// Nothing is mounted there yet.
    NotYetMounted,
    /// A change copies a file up: it gets another creation time, on some another inode number, and loses its other names
    /// (`overlayfs.rst`).
    CopiesUp,
    /// Ids have 16 bits on the disk. What is above is shown until the inode is read again.
    NarrowIds,
}

impl Obstacle {
    pub(super) fn why(self) -> &'static str {
        match self {
            Obstacle::Kernel => "which shows the kernel's own state and keeps no files",
            Obstacle::NoOwners => {
                "which keeps no owners: what is shown comes from the mount options"
            }
            Obstacle::WrittenOnce => "which cannot be changed after it was made",
            Obstacle::Server => {
                "where the other side keeps the files and decides who may give one away"
            }
            Obstacle::NotYetMounted => "a mount point where nothing is mounted yet",
            Obstacle::NarrowIds => "whose ids have 16 bits, so that it loses those above 65535",
            Obstacle::CopiesUp => {
                "where a file that changes its owner is copied, becomes another inode and loses its other names, \
                 so that this could not be undone"
            }
        }
    }

    fn help(self) -> &'static str {
        match self {
            Obstacle::Kernel => "Name a directory on a filesystem on disk",
            Obstacle::NoOwners => {
                "Mount it with the uid= and gid= that the container needs, or copy the files to a \
                 filesystem that keeps owners"
            }
            Obstacle::WrittenOnce => {
                "Copy the files to a writable filesystem, or make the image anew with the owners it \
                 needs"
            }
            Obstacle::Server => "Run idshift where the files are kept, on the directory shared",
            Obstacle::NotYetMounted => "Enter the directory (`ls` on it) so that it is mounted",
            Obstacle::NarrowIds => {
                "Mount it without nouid32 if it is ext4, or move the files to a filesystem whose ids have 32 bits"
            }
            Obstacle::CopiesUp => {
                "Shift the directories that it is made of while it is not mounted (`findmnt -t overlay` shows them), \
                 or move the files to a filesystem on disk"
            }
        }
    }
}

use Obstacle::{CopiesUp, Kernel, NarrowIds, NoOwners, NotYetMounted, Server, WrittenOnce};

/// `f_type` of the filesystems that are refused: `statfs(2)`, `linux/magic.h` and, for those not in
/// either, the filesystem's own source.
const REFUSED: &[(u32, &str, Obstacle)] = &[
    (0x0904_1934, "anon_inodefs", Kernel),
    (0x4249_4e4d, "binfmt_misc", Kernel),
    (0x6c6f_6f70, "binderfs", Kernel),
    (0xcafe_4a11, "bpf", Kernel),
    (0x0027_e0eb, "cgroup", Kernel),
    (0x6367_7270, "cgroup2", Kernel),
    (0x6265_6570, "configfs", Kernel),
    (0x6462_6720, "debugfs", Kernel),
    (0x0000_1cd1, "devpts", Kernel),
    (0xde5e_81e4, "efivarfs", Kernel),
    (0x6573_5543, "fusectl", Kernel),
    (0x1980_0202, "mqueue", Kernel),
    (0x6e66_7364, "nfsd", Kernel),
    (0x6e73_6673, "nsfs", Kernel),
    (0x0000_9fa1, "openpromfs", Kernel),
    (0x5049_5045, "pipefs", Kernel),
    (0x0000_9fa0, "proc", Kernel),
    (0x6165_676c, "pstore", Kernel),
    (0x0765_5821, "resctrl", Kernel),
    (0x6759_6969, "rpc_pipefs", Kernel),
    (0x7363_6673, "securityfs", Kernel),
    (0xf97c_ff8c, "selinuxfs", Kernel),
    (0x4341_5d53, "smackfs", Kernel),
    (0x534f_434b, "sockfs", Kernel),
    (0x6265_6572, "sysfs", Kernel),
    (0x7472_6163, "tracefs", Kernel),
    (0xabba_1974, "xenfs", Kernel),
    (0x2011_bab0, "exfat", NoOwners),
    (0xc299_3d87, "omfs", NoOwners),
    (0x0000_4d44, "vfat", NoOwners),
    (0x0000_4244, "hfs", NoOwners),
    (0xf995_e849, "hpfs", NoOwners),
    (0x5346_544e, "ntfs", NoOwners),
    (0x7366_746e, "ntfs3", NoOwners),
    (0x28cd_3d45, "cramfs", WrittenOnce),
    (0x453d_cd28, "cramfs", WrittenOnce),
    (0xe0f5_e1e2, "erofs", WrittenOnce),
    (0x0000_9660, "iso9660", WrittenOnce),
    (0x0000_7275, "romfs", WrittenOnce),
    (0x7371_7368, "squashfs", WrittenOnce),
    (0x0102_1997, "9p", Server),
    (0x5346_414f, "afs", Server),
    (0x6b41_4653, "afs", Server),
    (0xff53_4d42, "cifs", Server),
    (0x7375_7245, "coda", Server),
    (0x0000_564c, "ncpfs", Server),
    (0x0000_6969, "nfs", Server),
    (0x7c7c_6673, "prl_fs", Server),
    (0x0000_517b, "smbfs", Server),
    (0xfe53_4d42, "smb3", Server),
    (0x786f_4256, "vboxsf", Server),
    (0xbacb_acbc, "vmhgfs", Server),
    (0x0000_adff, "affs", NarrowIds),
    (0x0000_72b6, "jffs2", NarrowIds),
    (0x0000_137f, "minix", NarrowIds),
    (0x0000_138f, "minix", NarrowIds),
    (0x0000_2468, "minix", NarrowIds),
    (0x0000_2478, "minix", NarrowIds),
    (0x0000_4d5a, "minix", NarrowIds),
    (0x0000_0187, "autofs", NotYetMounted),
    (0x6175_6673, "aufs", CopiesUp),
    (0x794c_7630, "overlay", CopiesUp),
];

/// Refuses a root whose filesystem cannot keep the owners it is given.
///
/// Every type that is not refused by name passes: ext4, xfs, btrfs, f2fs, zfs, bcachefs and tmpfs
/// keep owners as they should, and a type nobody has thought of is more likely a disk's than
/// not. The cluster filesystems (ceph, lustre, gfs2, ocfs2, gpfs) pass, because there this machine's
/// root is root. FUSE passes too: one `f_type` covers virtiofs and mergerfs, which
/// keep owners, and sshfs, which may not. Where a chown is turned down after all the run stops at the
/// first one and undoes itself.
pub fn check_filesystem(fd: BorrowedFd<'_>, path: &Path) -> Result<(), UnsuitableRoot> {
    let unknown = |errno: rustix::io::Errno| UnsuitableRoot::Unknown {
        path: path.to_owned(),
        source: errno.into(),
    };
    // The kernel's f_type is 32 bits wide; some machines hand it over sign-extended.
    let magic = rustix::fs::fstatfs(fd).map_err(unknown)?.f_type as u32;
    if let Some((name, obstacle)) = obstacle_on(magic) {
        return Err(UnsuitableRoot::Filesystem {
            path: path.to_owned(),
            name: name.into(),
            why: obstacle.why(),
            help: obstacle.help(),
            below: false,
        });
    }
    // Of the mount as much as of the filesystem: a bind mount can be read-only alone (statvfs(3)).
    let flags = rustix::fs::fstatvfs(fd).map_err(unknown)?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(read_only(fd, path));
    }
    // A subvolume can be read-only by itself: the kernel says so before it asks who may write.
    if is_btrfs(magic) && may_write(fd) == Err(Errno::ROFS) {
        return Err(UnsuitableRoot::ReadOnlySubvolume {
            path: path.to_owned(),
            subvolume: subvolume_of(path),
        });
    }
    Ok(())
}

fn may_write(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let link = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    rustix::fs::access(link, Access::WRITE_OK)
}

/// The nearest directory above that is the top of a subvolume.
fn subvolume_of(path: &Path) -> PathBuf {
    /// `BTRFS_FIRST_FREE_OBJECTID`
    const TOP: u64 = 256;
    let is_top = |dir: &&Path| dir.metadata().is_ok_and(|found| found.ino() == TOP);
    path.ancestors().find(is_top).unwrap_or(path).to_owned()
}

fn read_only(fd: BorrowedFd<'_>, path: &Path) -> UnsuitableRoot {
    let mounts = mountinfo::of_this_thread().unwrap_or_default();
    match mount_of(fd, &mounts) {
        Ok(Some(mount)) => read_only_mount(path, mount, false),
        _ => UnsuitableRoot::ReadOnly {
            path: path.to_owned(),
            point: path.to_owned(),
            remount: REMOUNT,
            below: false,
        },
    }
}

const REMOUNT: &str = "mount -o remount,rw";

/// A bind mount can be read-only while its filesystem is not.
fn read_only_mount(path: &Path, mount: &Mount, below: bool) -> UnsuitableRoot {
    UnsuitableRoot::ReadOnly {
        path: path.to_owned(),
        point: mount.point.clone(),
        remount: match mount.settings.contains_key("ro") {
            true => REMOUNT,
            false => "mount -o remount,bind,rw",
        },
        below,
    }
}

/// Refuses a root by its mount where the `f_type` does not tell: an overlay in user space, ext4 that keeps half
/// of an id. With `crossing`, also one with a mount below it that cannot be changed, unless `is_excluded` says of its
/// path, relative to the root, that it is left out.
///
/// # Errors
/// Names the root, or the mount point below it.
pub fn check_mounts(
    root: &Root,
    crossing: bool,
    is_excluded: impl Fn(&Path) -> bool,
) -> Result<(), UnsuitableRoot> {
    let unknown = |source| UnsuitableRoot::Unknown {
        path: root.path.clone(),
        source,
    };
    let mounts = mountinfo::of_this_thread().map_err(unknown)?;
    let own = mount_of(root.pin.as_fd(), &mounts).map_err(unknown)?;
    // Its own `f_type` was looked at by [`check_filesystem`].
    if let Some(mount) = own
        && let Some(obstacle) = obstacle_of(mount)
    {
        return Err(refused_mount(&root.path, mount, obstacle, false));
    }
    for mount in mounts.iter().filter(|_| crossing) {
        let Ok(below) = mount.point.strip_prefix(&root.path) else {
            continue;
        };
        let is_top = below.as_os_str().is_empty();
        let left_out = below.ancestors().any(&is_excluded);
        let is_covered = mounts
            .iter()
            .any(|other| other.parent == mount.id && other.point == mount.point);
        if is_top || left_out || is_covered {
            continue;
        }
        if let Some(obstacle) = obstacle_of(mount).or_else(|| obstacle_named(&mount.fs_type)) {
            return Err(refused_mount(&mount.point, mount, obstacle, true));
        }
        if mount.read_only {
            return Err(read_only_mount(&mount.point, mount, true));
        }
    }
    Ok(())
}

fn refused_mount(path: &Path, mount: &Mount, obstacle: Obstacle, below: bool) -> UnsuitableRoot {
    UnsuitableRoot::Filesystem {
        path: path.to_owned(),
        name: mount.fs_type.clone().into(),
        why: obstacle.why(),
        help: obstacle.help(),
        below,
    }
}

/// What the type of a mount says, as its `f_type` would.
fn obstacle_named(fs_type: &str) -> Option<Obstacle> {
    // `nfs4` and `cifs`' younger name have the `f_type` of the older ones.
    let name = match fs_type {
        "nfs4" => "nfs",
        other => other,
    };
    REFUSED
        .iter()
        .find(|entry| entry.1 == name)
        .map(|&(.., obstacle)| obstacle)
}

fn obstacle_of(mount: &Mount) -> Option<Obstacle> {
    let fs_type = &*mount.fs_type;
    match obstacle_named(fs_type) {
        Some(found @ (CopiesUp | NarrowIds)) => return Some(found),
        // A root's `f_type` was enough.
        Some(_) => return None,
        None => {}
    }
    if OVERLAYS.contains(&fs_type) {
        return Some(CopiesUp);
    }
    let has = |option: &str| mount.settings.contains_key(option);
    // jfs, hfsplus and udf have an owner of their own on the disk; in memory it is the top's alone.
    if (has("uid") || has("gid")) && !IN_MEMORY.contains(&fs_type) {
        return Some(NoOwners);
    }
    has_narrow_ids(mount).then_some(NarrowIds)
}

const IN_MEMORY: &[&str] = &["tmpfs", "ramfs", "hugetlbfs"];

/// Whether ext4 is mounted with `nouid32`. The mount table leaves it out where `tune2fs -o uid16` made it the default.
fn has_narrow_ids(mount: &Mount) -> bool {
    let name = std::fs::canonicalize(format!("/sys/dev/block/{}", mount.device)).ok();
    let name = name.as_deref().and_then(Path::file_name);
    let options = name.map(|name| {
        Path::new("/proc/fs")
            .join(&mount.fs_type)
            .join(name)
            .join("options")
    });
    let options = options.and_then(|path| std::fs::read_to_string(path).ok());
    mount.settings.contains_key("nouid32")
        || options.is_some_and(|text| text.lines().any(|option| option == "nouid32"))
}

/// Those in user space, as `proc_pid_mountinfo(5)` shows their types.
const OVERLAYS: &[&str] = &[
    "fuse.fuse-overlayfs",
    "fuse-overlayfs",
    "fuse.unionfs",
    "fuse.unionfs-fuse",
];

/// The mount that an open inode is on. A chroot whose top is no mount point does not show its own.
pub(super) fn mount_of<'a>(
    handle: BorrowedFd<'_>,
    mounts: &'a [Mount],
) -> io::Result<Option<&'a Mount>> {
    let id = mountinfo::id_of(handle)?;
    Ok(mounts.iter().find(|mount| mount.id == id))
}

/// Whether the filesystem is mounted with project quotas (`xfs(5)`, `ext4(5)`). False where that is unknown.
pub fn has_project_quotas(path: &Path) -> bool {
    let settings = || {
        let (pin, mounts) = (PinnedFile::path(path)?, mountinfo::of_this_thread()?);
        let mount = mount_of(pin.as_fd(), &mounts)?;
        io::Result::Ok(mount.map(|mount| mount.settings.clone()))
    };
    let settings = settings().ok().flatten().unwrap_or_default();
    ["prjquota", "pquota"]
        .iter()
        .any(|option| settings.contains_key(*option))
}

/// Whether one mount of it may hold several inodes of a number: btrfs, where each subvolume counts
/// on its own.
pub fn has_subvolumes(root: &Root) -> bool {
    rustix::fs::fstatfs(root.pin.as_fd()).is_ok_and(|found| is_btrfs(found.f_type as u32))
}

fn is_btrfs(magic: u32) -> bool {
    /// `linux/magic.h`, `BTRFS_SUPER_MAGIC`.
    const BTRFS: u32 = 0x9123_683e;
    magic == BTRFS
}

fn obstacle_on(magic: u32) -> Option<(&'static str, Obstacle)> {
    REFUSED
        .iter()
        .find(|entry| entry.0 == magic)
        .map(|&(_, name, obstacle)| (name, obstacle))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

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
        let (name, obstacle) = obstacle_on(0x6969).unwrap();
        assert_eq!(name, "nfs");
        assert!(obstacle.help().contains("where the files are kept"));
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
}
