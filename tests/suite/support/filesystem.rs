//! Real filesystems: images on loop devices, or in memory.

use std::fs::{File, metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use super::device::Device;
use super::isolation::isolate;
use super::{need_root, output, sh};

/// Filesystem types the tests make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    /// With inodes of 128 bytes, and so with timestamps of whole seconds.
    Ext2OfSmallInodes,
    Ext3OfSmallInodes,
    Ext4OfSmallInodes,
    /// With ids of 16 bits, by its own default.
    NarrowExt4,
    Xfs,
    Btrfs,
    Tmpfs,
    /// Keeps owners, but neither ACLs nor other xattrs.
    Ramfs,
    /// Keeps no owners.
    Vfat,
    /// A tmpfs of 64 KiB.
    TinyTmpfs,
    /// On a device that can be told to fail.
    FailingExt4,
    FailingXfs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Ext2OfSmallInodes => "ext2",
            Kind::Ext3OfSmallInodes => "ext3",
            Kind::Ext4 | Kind::Ext4OfSmallInodes | Kind::NarrowExt4 | Kind::FailingExt4 => "ext4",
            Kind::Xfs | Kind::FailingXfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Tmpfs | Kind::TinyTmpfs => "tmpfs",
            Kind::Ramfs => "ramfs",
            Kind::Vfat => "vfat",
        }
    }

    /// The program that makes it on an image file; none for those in memory.
    fn maker(self) -> Option<&'static [&'static str]> {
        match self {
            Kind::Ext4 | Kind::FailingExt4 => {
                Some(&["mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "100000"])
            }
            Kind::Ext2OfSmallInodes => Some(&["mkfs.ext2", "-q", "-F", "-I", "128"]),
            Kind::Ext3OfSmallInodes => Some(&["mkfs.ext3", "-q", "-F", "-I", "128"]),
            Kind::Ext4OfSmallInodes => Some(&["mkfs.ext4", "-q", "-F", "-I", "128"]),
            Kind::NarrowExt4 => Some(&[
                "sh",
                "-c",
                "mkfs.ext4 -q -F $0 && tune2fs -o uid16 $0 >/dev/null",
            ]),
            Kind::Xfs | Kind::FailingXfs => Some(&["mkfs.xfs", "-q", "-f"]),
            Kind::Btrfs => Some(&["mkfs.btrfs", "-q", "-f"]),
            Kind::Vfat => Some(&["mkfs.vfat"]),
            Kind::Tmpfs | Kind::TinyTmpfs | Kind::Ramfs => None,
        }
    }

    /// Whether this kernel can mount it.
    pub fn is_supported(self) -> bool {
        // As root, loads the module where there is one.
        let _ = Command::new("modprobe").arg(self.name()).output();
        let known = std::fs::read_to_string("/proc/filesystems").expect("/proc is mounted");
        known
            .lines()
            .any(|line| line.split_whitespace().last() == Some(self.name()))
    }
}

/// A new, empty filesystem, mounted; unmounted and deleted when dropped.
pub struct TestFs {
    kind: Kind,
    place: TempDir,
    device: Option<Device>,
}

/// Sparse: what is not written takes no room.
const IMAGE_BYTES: u64 = 1 << 30;

impl TestFs {
    pub fn new(kind: Kind) -> TestFs {
        need_root();
        let place = tempfile::Builder::new()
            .prefix("idshift-test-")
            .tempdir()
            .expect("a directory");
        // Also those who are not root are to get there.
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        isolate();
        let device = match kind {
            Kind::FailingExt4 | Kind::FailingXfs => Some(Device::new(IMAGE_BYTES)),
            _ => None,
        };
        let fs = TestFs {
            kind,
            place,
            device,
        };
        std::fs::create_dir(fs.path()).expect("a mount point");
        fs.mount_at(&fs.path());
        fs
    }

    /// A new filesystem on a directory of another one. It goes with the other one.
    pub fn mount_inside(kind: Kind, at: &Path) -> TestFs {
        let fs = TestFs {
            kind,
            place: tempfile::tempdir().expect("a directory"),
            device: None,
        };
        std::os::unix::fs::symlink(at, fs.place.path().join("mnt")).expect("a symlink");
        fs.mount_at(at);
        fs
    }

    /// The ext4 of this image, mounted on a directory of the host. No other test sees it there.
    pub fn of_image(image: &[u8], at: &Path) -> TestFs {
        need_root();
        isolate();
        let fs = TestFs {
            kind: Kind::Ext4,
            place: tempfile::tempdir().expect("a directory"),
            device: None,
        };
        std::os::unix::fs::symlink(at, fs.place.path().join("mnt")).expect("a symlink");
        std::fs::write(fs.image(), image).expect("an image file");
        let args = ["-o".as_ref(), "loop".as_ref(), &*fs.image(), at];
        sh("mount", args);
        fs
    }

    /// Its top directory.
    pub fn path(&self) -> PathBuf {
        let path = self.place.path().join("mnt");
        std::fs::canonicalize(&path).unwrap_or(path)
    }

    /// Everything in it is on its device.
    pub fn sync(&self) {
        let top = File::open(self.path()).expect("its top");
        nix::unistd::syncfs(top).expect("syncfs");
    }

    /// Cuts off its power: what it had not written to its device yet is gone.
    pub fn lose_power(&self) {
        let (image, left) = (self.image(), self.place.path().join("left"));
        sh(
            "cp",
            [
                "--sparse=always".as_ref(),
                image.as_os_str(),
                left.as_os_str(),
            ],
        );
        umount2(&self.path(), MntFlags::empty()).expect("umount");
        std::fs::rename(left, &image).expect("rename");
        self.mount_image(&self.path());
    }

    /// Makes these, by their paths from its top, as if the clock had been set back since they were changed last.
    pub fn put_ctimes_ahead(&self, paths: &[&str]) {
        umount2(&self.path(), MntFlags::empty()).expect("umount");
        for path in paths {
            let set = format!("set_inode_field {path} ctime @0x7f000000");
            let image = self.image();
            sh(
                "debugfs",
                [
                    "-w".as_ref(),
                    "-R".as_ref(),
                    set.as_ref(),
                    image.as_os_str(),
                ],
            );
        }
        self.mount_image(&self.path());
    }

    /// From now on every write to its device fails.
    pub fn fail(&self) {
        self.device.as_ref().expect("a failing kind").fail();
    }

    /// Its device works again, and it is checked, repaired and mounted anew.
    pub fn repair(&self) {
        self.device.as_ref().expect("a failing kind").repair();
        umount2(&self.path(), MntFlags::empty()).expect("umount");
        let image = self.image();
        match self.kind.name() {
            // 1: it found something and corrected it.
            "ext4" => {
                let checked = Command::new("e2fsck").arg("-fy").arg(&image).output();
                let code = checked.expect("e2fsck").status.code();
                assert!(matches!(code, Some(0 | 1)), "e2fsck: {code:?}");
                self.mount_image(&self.path());
            }
            // Mounting replays its log, and only then it can be checked.
            _ => {
                self.mount_image(&self.path());
                umount2(&self.path(), MntFlags::empty()).expect("umount");
                sh("xfs_repair", [image.as_path()]);
                self.mount_image(&self.path());
            }
        }
    }

    fn image(&self) -> PathBuf {
        match &self.device {
            Some(device) => device.file(),
            None => self.place.path().join("image"),
        }
    }

    fn mount_at(&self, at: &Path) {
        isolate();
        match self.kind.maker() {
            Some(maker) => {
                let image = self.image();
                if self.device.is_none() {
                    let file = File::create(&image).expect("an image file");
                    file.set_len(IMAGE_BYTES).expect("a sparse image");
                }
                let args = maker[1..].iter().map(Path::new).chain([&*image]);
                sh(maker[0], args);
                self.mount_image(at);
            }
            None => {
                let data = match self.kind {
                    Kind::TinyTmpfs => "mode=0755,size=64k",
                    _ => "mode=0755",
                };
                let name = self.kind.name();
                mount(Some(name), at, Some(name), MsFlags::empty(), Some(data)).expect("mount");
            }
        }
    }

    fn mount_image(&self, at: &Path) {
        // It writes when it is told to, or after minutes.
        let options = match self.kind {
            Kind::Ext4 => "loop,commit=300",
            Kind::FailingExt4 => "loop,errors=remount-ro",
            _ => "loop",
        };
        let kind = self.kind.name();
        let image = self.image();
        // mount(8) picks a free loop device, and lets go of it at umount.
        let args = ["-t", kind, "-o", options].map(Path::new).into_iter();
        sh("mount", args.chain([&*image, at]));
    }

    /// Mounted again, it has another device number: its loop device is taken meanwhile.
    pub fn mount_on_another_device(&self) {
        let device = || metadata(self.path()).expect("mounted").dev();
        let before = device();
        let other = self.place.path().join("other-image");
        File::create(&other)
            .and_then(|file| file.set_len(1 << 20))
            .expect("a sparse image");
        let mut taken = Vec::new();
        // Another test may have let go of a device that comes before it.
        while device() == before {
            umount2(&self.path(), MntFlags::empty()).expect("umount");
            let args = ["--find".as_ref(), "--show".as_ref(), other.as_os_str()];
            let stdout = output("losetup", args).stdout;
            taken.push(String::from_utf8(stdout).expect("a path"));
            self.mount_image(&self.path());
        }
        for device in taken {
            sh("losetup", ["--detach", device.trim()]);
        }
    }

    /// Runs something while it is not mounted where it belongs.
    pub fn while_unmounted(&self, run: impl FnOnce()) {
        let elsewhere = tempfile::tempdir().expect("a directory");
        let here = self.path();
        let move_mount = |from: &Path, to: &Path| {
            mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).expect("moved");
        };
        move_mount(&here, elsewhere.path());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        move_mount(elsewhere.path(), &here);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }

    pub fn make_read_only(&self) {
        self.remount(MsFlags::MS_RDONLY);
    }

    pub fn make_writable(&self) {
        self.remount(MsFlags::empty());
    }

    /// From now on, reading leaves no trace.
    pub fn keep_atimes(&self) {
        self.remount(MsFlags::MS_NOATIME);
    }

    fn remount(&self, flags: MsFlags) {
        let flags = flags | MsFlags::MS_REMOUNT;
        mount(
            None::<&str>,
            &self.path(),
            None::<&str>,
            flags,
            None::<&str>,
        )
        .expect("remount");
    }
}

impl Drop for TestFs {
    fn drop(&mut self) {
        // Not by force first: a test that leaves something open in it should be noticed.
        let path = self.path();
        if let Err(errno) = umount2(&path, MntFlags::empty()) {
            let _ = umount2(&path, MntFlags::MNT_DETACH);
            if !std::thread::panicking() {
                panic!("{}: umount: {errno}", path.display());
            }
        }
    }
}
