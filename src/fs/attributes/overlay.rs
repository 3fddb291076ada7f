//! The attributes of overlayfs: reading them, and moving them from one namespace to the other.

use std::ffi::CString;

use rustix::io::Errno;

use super::{LONGEST_LIST, ReadError, errno, os_str, system, write};
use crate::fs::PinnedFile;
use crate::ownership::{Change, FileType, OverlayXattrs, Ownership};

/// Overlayfs's attributes of a pinned inode. Only files and directories have any that can be moved: `user.` is for those
/// alone (`xattr(7)`), and on others they mean nothing.
pub fn read_overlay(pin: &PinnedFile, file_type: FileType) -> Result<OverlayXattrs, ReadError> {
    if !matches!(file_type, FileType::File | FileType::Directory) {
        return Ok(OverlayXattrs::default());
    }
    let mut list = vec![0u8; LONGEST_LIST];
    let len = match pin.with_proc_path(|path| rustix::fs::listxattr(path, &mut list)) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(Errno::TOOBIG) => return Err(ReadError::TooManyNames),
        Err(errno) => return Err(system("listxattr", errno)),
    };
    let mut found = Vec::new();
    for name in OverlayXattrs::names_in(&list[..len]) {
        let value = pin.with_proc_path(|path| {
            xattr::get_deref(os_str(path), name).map_err(|error| errno(&error))
        });
        // One that is gone since the list was read is not there.
        if let Some(value) = value.map_err(|errno| system("getxattr", errno))? {
            found.push((name.to_string(), value));
        }
    }
    Ok(OverlayXattrs::new(found))
}

/// What was read of an inode, with overlayfs's attributes where this change moves any. One that is not pinned has none.
pub fn with_overlay_of(
    change: &Change,
    pin: Option<&PinnedFile>,
    (now, file_type): (Ownership, FileType),
) -> Result<Ownership, ReadError> {
    match pin.filter(|_| change.moves_overlay()) {
        Some(pin) => Ok(now.with_overlay(read_overlay(pin, file_type)?)),
        None => Ok(now),
    }
}

/// Removes attributes of overlayfs that are not wanted, then writes those that are. In this order an inode needs no more
/// room than before; between the two, the journal has what is missing.
pub fn move_overlay(
    pin: &PinnedFile,
    now: &OverlayXattrs,
    wanted: &OverlayXattrs,
) -> rustix::io::Result<()> {
    let c_name = |name: &str| CString::new(name).map_err(|_| Errno::INVAL);
    for (name, _) in now.missing_in(wanted) {
        write(pin, &c_name(name)?, None)?;
    }
    for (name, value) in wanted.missing_in(now) {
        write(pin, &c_name(name)?, Some(value.to_vec()))?;
    }
    Ok(())
}
