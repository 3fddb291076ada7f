//! The trees, made from a seed: the same ones every time.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use idshift::formats::{Acl, Capability};
use rustix::fs::{Mode, OFlags, XattrFlags};

/// Numbers that look random (a linear congruential generator: good enough for shapes of trees).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

/// 10 % directories, 5 % symlinks, 1 % hard links, some ACLs, capabilities and set-id bits; owners
/// as services have them. Gives the number of inodes.
///
/// Each directory lies in one of those before it, any: ways of some ten names, as in trees that grew.
pub fn mixed(top: &Path, inodes: usize) -> io::Result<usize> {
    let mut numbers = Numbers(42);
    let owners = [0, 0, 0, 33, 999, 1000];
    fs::create_dir_all(top)?;
    let mut dirs = vec![top.to_path_buf()];
    for n in 1..inodes / 10 {
        let path = dirs[numbers.below(dirs.len())].join(format!("dir-{n:05}"));
        fs::create_dir(&path)?;
        dirs.push(path);
    }
    let acl = "u::rw-,u:33:r--,g::r--,m::rw-,o::r--"
        .parse::<Acl>()
        .map_err(io::Error::other)?
        .encode();
    let capability = Capability {
        effective: true,
        permitted: 1 << 10,
        inheritable: 0,
        rootid: None,
    };
    let mut made = dirs.len();
    let mut latest: Option<PathBuf> = None;
    while made < inodes {
        let dir = &dirs[(made - dirs.len()) * dirs.len() / (inodes - dirs.len())];
        let path = dir.join(format!("file-{made:07}.dat"));
        let kind = numbers.below(1000);
        let owner = owners[numbers.below(owners.len())];
        if kind < 50 {
            symlink("target", &path)?;
        } else {
            fs::File::create(&path)?;
        }
        lchown(&path, Some(owner), Some(owner))?;
        match kind {
            50..55 => fs::set_permissions(&path, PermissionsExt::from_mode(0o4755))?,
            55..60 => {
                rustix::fs::setxattr(&path, "system.posix_acl_access", &acl, XattrFlags::empty())?;
            }
            60..62 => rustix::fs::setxattr(
                &path,
                "security.capability",
                &capability.encode(),
                XattrFlags::empty(),
            )?,
            62..72 => {
                if let Some(other) = &latest {
                    fs::hard_link(other, dir.join(format!("link-{made:07}")))?;
                }
            }
            _ => {}
        }
        if kind >= 72 {
            latest = Some(path);
        }
        made += 1;
    }
    Ok(made)
}

/// One directory of so many names.
pub fn wide(top: &Path, names: usize) -> io::Result<usize> {
    fs::create_dir_all(top)?;
    for n in 0..names {
        fs::File::create(top.join(format!("file-{n:07}.dat")))?;
    }
    Ok(names + 1)
}

/// A chain of directories much deeper than PATH_MAX, with a file in each.
pub fn deep(top: &Path, depth: usize) -> io::Result<usize> {
    fs::create_dir_all(top)?;
    let open = OFlags::PATH | OFlags::DIRECTORY;
    let mut here: OwnedFd = rustix::fs::open(top, open, Mode::empty())?;
    for n in 0..depth {
        let name = CString::new(format!("level-{n:06}"))?;
        rustix::fs::mkdirat(&here, &name, Mode::from_raw_mode(0o755))?;
        here = rustix::fs::openat(here.as_fd(), &name, open, Mode::empty())?;
        rustix::fs::openat(
            &here,
            c"file",
            OFlags::CREATE | OFlags::WRONLY,
            Mode::from_raw_mode(0o644),
        )?;
    }
    Ok(2 * depth + 1)
}

/// What an archive holds.
pub fn unpacked(archive: &Path, top: &Path) -> io::Result<usize> {
    fs::create_dir_all(top)?;
    let status = std::process::Command::new("tar")
        .args(["--zstd", "--xattrs", "--xattrs-include=*", "-xf"])
        .arg(archive)
        .arg("-C")
        .arg(top)
        .status()?;
    match status.success() {
        true => Ok(walkdir::WalkDir::new(top).into_iter().count()),
        false => Err(io::Error::other(format!(
            "{}: tar: {status}",
            archive.display()
        ))),
    }
}
