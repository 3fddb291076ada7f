//! The mark of a directory that is made for a run and was not used yet: nobody needs it.
//!
//! An extended attribute. It is gone, and that is on disk, before the journal says that the run may begin: from then on the
//! directory may hold the only copy of something.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::fs::dir::open_dir;

/// Only root can set it.
const MARK: &str = "trusted.idshift.unfinished";

/// Marks a directory that is to be filled.
pub fn mark(dir: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsetxattr(&dir, MARK, b"", XattrFlags::empty()) {
        // Then nothing tells afterwards that nobody needs it.
        Err(Errno::OPNOTSUPP) => Ok(()),
        set => Ok(set.and_then(|()| rustix::fs::fsync(&dir))?),
    }
}

/// Takes the mark away, before what is made is used.
pub fn unmark(dir: impl AsFd) -> io::Result<()> {
    match rustix::fs::fremovexattr(&dir, MARK) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        removed => Ok(removed.and_then(|()| rustix::fs::fsync(&dir))?),
    }
}

/// Whether a directory has the mark.
pub fn is_marked(dir: &Path) -> bool {
    let Ok(handle) = open_dir(rustix::fs::CWD, dir) else {
        return false;
    };
    rustix::fs::fgetxattr(handle, MARK, &mut [0u8; 1][..]).is_ok()
}
