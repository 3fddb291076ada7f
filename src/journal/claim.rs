//! One process at a time on a journal.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, FsWord};
use rustix::io::Errno;

/// There such a lock keeps its own process from reading through another handle (`flock(2)`): `cifs`, `smb2`.
const SMB: [FsWord; 2] = [0xFF53_4D42, 0xFE53_4D42];

/// Takes a journal for whoever has this file open, until the last handle of it is closed; false where another
/// has it. Trees that are gone hold nobody off, and not all who touch a journal touch a tree.
///
/// A filesystem that knows no such locks (`flock(2)`: some network filesystems) holds nobody off either.
pub fn claim(journal: &File) -> io::Result<bool> {
    if SMB.contains(&rustix::fs::fstatfs(journal)?.f_type) {
        return Ok(true);
    }
    match rustix::fs::flock(journal, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
