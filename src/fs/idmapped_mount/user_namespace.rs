//! A user namespace of which nothing but the map is used.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::error::{IdmappedMountError, errno, of_namespace};
use crate::idmap::{MountMap, Range};
use crate::sys;

/// As many lines as the kernel takes (`user_namespaces(7)`).
const MOST_RANGES: usize = 340;

/// Open; gone when it is dropped and no mount has it.
pub(super) struct UserNamespace(OwnedFd);

impl UserNamespace {
    /// Its inside ids are those on disk, its outside ids those that are seen.
    ///
    /// # Errors
    /// It cannot be made, or the map not be written.
    pub(super) fn with(map: &MountMap) -> Result<UserNamespace, IdmappedMountError> {
        let most = map.uids().len().max(map.gids().len());
        if most > MOST_RANGES {
            return Err(IdmappedMountError::Ranges(most));
        }
        let child = Child(sys::child_in_user_namespace().map_err(of_namespace)?);
        let proc = |name: &str| format!("/proc/{}/{name}", child.0);
        for (name, ranges) in [("uid_map", map.uids()), ("gid_map", map.gids())] {
            std::fs::write(proc(name), lines(ranges)).map_err(|error| of_map(&error))?;
        }
        let open = File::open(proc("ns/user"));
        let open =
            open.map_err(|error| IdmappedMountError::Call("open of ns/user", errno(&error)))?;
        Ok(UserNamespace(open.into()))
    }
}

impl AsFd for UserNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Killed and waited for when dropped. Until then its number is nobody else's.
struct Child(Pid);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        while waitpid(self.0, None) == Err(Errno::EINTR) {}
    }
}

/// Inside id, outside id, size: one write, which is all that the kernel takes.
fn lines(ranges: &[Range]) -> String {
    let line = |range: &Range| {
        let (on_disk, visible, size) = (range.container(), range.host(), range.size());
        format!("{on_disk} {visible} {size}\n")
    };
    ranges.iter().map(line).collect()
}

fn of_map(error: &io::Error) -> IdmappedMountError {
    match errno(error) {
        rustix::io::Errno::PERM => IdmappedMountError::Ids,
        errno => IdmappedMountError::Call("write of the user namespace's map", errno),
    }
}
