//! One inode made, filled, and given its attributes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::docker::layer_store::fault::LayerFault;
use crate::docker::layer_store::tar_reader::{Entry, EntryKind, TarError, TarFault, TarReader};

/// Makes an empty file that is not there.
pub fn new_file(parent: &OwnedFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Writes the entry's content into it; holes stay holes.
pub fn fill<R: Read>(
    file: &File,
    entry: &Entry,
    reader: &mut TarReader<R>,
    buffer: &mut [u8],
) -> Result<(), TarError> {
    let whole = (vec![(0, entry.size)], entry.size);
    let (segments, size) = entry.sparse.as_ref().unwrap_or(&whole);
    for &(offset, length) in segments {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let most = (end - at).min(buffer.len() as u64) as usize;
            let count = reader.read_content(&mut buffer[..most])?;
            if count == 0 {
                return Err(reader.bad(LayerFault::Short));
            }
            file.write_all_at(&buffer[..count], at)
                .map_err(|error| reader.bad(TarFault::unpack(error)))?;
            at += count as u64;
        }
    }
    if entry.sparse.is_some() {
        file.set_len(*size)
            .map_err(|error| reader.bad(TarFault::unpack(error)))?;
    }
    Ok(())
}

/// Makes what has no content and is not there.
pub fn make(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), LayerFault> {
    let mode = Mode::RUSR | Mode::WUSR;
    let node = |kind: FileType, device: u64| rustix::fs::mknodat(parent, name, kind, mode, device);
    let device = rustix::fs::makedev(entry.device.0, entry.device.1);
    match entry.kind {
        EntryKind::Directory => rustix::fs::mkdirat(parent, name, Mode::RWXU)?,
        EntryKind::Symlink => rustix::fs::symlinkat(&entry.link_name[..], parent, name)?,
        EntryKind::CharDevice => node(FileType::CharacterDevice, device)?,
        EntryKind::BlockDevice => node(FileType::BlockDevice, device)?,
        EntryKind::Fifo => node(FileType::Fifo, 0)?,
        EntryKind::File | EntryKind::HardLink | EntryKind::Global | EntryKind::Unknown(_) => {
            return Err(LayerFault::NotANode);
        }
    }
    Ok(())
}

/// Gives the inode the owner, extended attributes, mode and time of the entry, in this order: a change of the owner
/// takes set-id bits and capabilities away.
pub fn set_attributes(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), LayerFault> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pin = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&pin)?;
    // The other names of an inode are often told without its capability.
    if entry.kind != EntryKind::HardLink || (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
        chown(parent, name, entry)?;
    }
    let path = format!("/proc/thread-self/fd/{}", pin.as_raw_fd());
    for (key, value) in &entry.xattrs {
        set_xattr(&path, key, value)?;
    }
    let is_symlink = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    if !is_symlink {
        rustix::fs::chmod(&*path, Mode::from_raw_mode(entry.mode))?;
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(
        parent,
        name,
        &times(entry.mtime),
        flags,
    )?)
}

/// As Docker: what the filesystem does not know is left out. A lost capability would be a program that fails.
fn set_xattr(path: &str, key: &[u8], value: &[u8]) -> Result<(), LayerFault> {
    if key.starts_with(b"trusted.overlay.") {
        return Ok(());
    }
    match rustix::fs::setxattr(path, key, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP | Errno::PERM) if key != b"security.capability" => Ok(()),
        Err(errno) => Err(LayerFault::Xattr {
            name: String::from_utf8_lossy(key).into_owned(),
            source: errno.into(),
        }),
        Ok(()) => Ok(()),
    }
}

/// Gives the inode the entry's owner.
pub fn chown(parent: &OwnedFd, name: &[u8], entry: &Entry) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        flags,
    )?)
}

/// Both times at this moment; as Docker, 1970 for one before it or after 2262.
pub fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let is_known = (0..i64::MAX / 1_000_000_000).contains(&seconds);
    let time = Timespec {
        tv_sec: if is_known { seconds } else { 0 },
        tv_nsec: if is_known { nanoseconds.into() } else { 0 },
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
