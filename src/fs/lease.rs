//! Whether anybody has a file open for writing, and keeping it so that nobody does.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

use super::PinnedFile;
use crate::sys;

/// A lease on a regular file (`fcntl_locking(2)`, `F_SETLEASE`). The kernel grants it only when nobody has the file open for
/// writing or mapped so, wherever the handle is: in another namespace, or on its way through a socket. Whoever opens
/// the file for writing, or truncates it, waits until the lease is dropped.
#[derive(Debug)]
pub struct ReadLease {
    _file: OwnedFd,
}

/// Why there is no lease.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// Somebody may write to it.
    #[error("is open for writing: `fuser -v` on it lists the processes")]
    Written,
    /// The filesystem has no leases, or another error.
    #[error("cannot tell whether it is open for writing: {0}")]
    Unknown(Errno),
}

impl ReadLease {
    /// Takes it. Its atime stays.
    ///
    /// # Errors
    /// Somebody has the file open for writing, or that cannot be told.
    pub fn take(pin: &PinnedFile) -> Result<ReadLease, LeaseError> {
        // Not blocking: another one's lease is not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = flags | OFlags::NOATIME;
        let open = |path: &std::ffi::CStr| rustix::fs::open(path, flags, Mode::empty());
        let file = pin.with_proc_path(open);
        let leased = file.and_then(|file| {
            sys::take_read_lease(file.as_fd())?;
            Ok(file)
        });
        match leased {
            Ok(file) => Ok(ReadLease { _file: file }),
            Err(Errno::AGAIN) => Err(LeaseError::Written),
            Err(errno) => Err(LeaseError::Unknown(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    #[test]
    fn a_file_that_is_open_or_mapped_for_writing_has_no_lease() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let pin = PinnedFile::path(&path).unwrap();
        assert!(matches!(ReadLease::take(&pin), Err(LeaseError::Written)));
        drop(writer);
        let reader = File::open(&path).unwrap();
        let lease = ReadLease::take(&pin).unwrap();
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), nix::libc::O_NONBLOCK);
        let refused = options.open(&path).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::EWOULDBLOCK));
        drop((lease, reader));
        assert!(options.open(&path).is_ok());
    }
}
