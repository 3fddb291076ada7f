//! One process at a time on a journal.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, FsWord};
use rustix::io::Errno;

/// Filesystems on which a lock keeps its own process from reading through another handle
/// (`flock(2)`): `cifs`, `smb2`.
const SMB: [FsWord; 2] = [0xFF53_4D42, 0xFE53_4D42];

/// Locks a journal until the last handle of this file is closed; false if another process has it.
/// The lock of the trees is not enough: trees may be gone, and some commands use a journal without
/// its trees.
///
/// On a filesystem without such locks (`flock(2)`: some network filesystems), other processes are
/// not kept out.
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
