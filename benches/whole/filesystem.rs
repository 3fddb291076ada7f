//! Filesystems as people have them: made with the defaults of their mkfs, in an image on a loop device.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::goals::{BTRFS, EXT4, Goals, XFS};

/// A kind of filesystem that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Kind; 3] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs];

    /// As mount(8) calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What is to be reached on it.
    pub fn goals(self) -> &'static Goals {
        match self {
            Kind::Ext4 => &EXT4,
            Kind::Xfs => &XFS,
            Kind::Btrfs => &BTRFS,
        }
    }
}

/// A mounted image. It is unmounted and removed when this is dropped.
pub struct Filesystem {
    image: PathBuf,
    /// Where it is mounted.
    pub top: PathBuf,
}

impl Filesystem {
    /// Makes an image with room for so many inodes in `dir`, and mounts it.
    ///
    /// # Errors
    /// mkfs or mount(8) is not there or fails.
    pub fn make(kind: Kind, dir: &Path, inodes: usize) -> io::Result<Filesystem> {
        let made = Filesystem {
            image: dir.join(format!("{}.img", kind.name())),
            top: dir.join(kind.name()),
        };
        fs::create_dir_all(&made.top)?;
        // ext4 has one inode for 16 KiB. The file is sparse.
        let bytes = (inodes as u64 * 24 * 1024).max(8 << 30);
        fs::File::create(&made.image)?.set_len(bytes)?;
        let force = match kind {
            Kind::Ext4 => "-F",
            Kind::Xfs | Kind::Btrfs => "-f",
        };
        let program = format!("mkfs.{}", kind.name());
        run(Command::new(program).args(["-q", force]).arg(&made.image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&made.image)
            .arg(&made.top))?;
        Ok(made)
    }
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(&self.top));
        let _ = fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{command:?} ended with {status}"))),
    }
}
