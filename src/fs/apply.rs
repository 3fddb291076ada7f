//! Giving an inode another ownership.

use rustix::fs::{AtFlags, Gid, Mode as RawMode, Uid};
use rustix::io::Errno;
use thiserror::Error;

use super::{PinnedFile, attributes};
use crate::ownership::{FileType, Ownership, OwnershipXattrs};

/// The system call that failed to change an inode, and its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{call}: {errno}{}", help(.call, *.errno))]
pub struct ApplyError {
    /// The system call.
    pub call: &'static str,
    /// Its error.
    pub errno: Errno,
}

/// What helps, where the answer alone does not tell.
fn help(call: &str, errno: Errno) -> &'static str {
    match (call, errno) {
        ("fchownat", Errno::INVAL) => {
            ". Its new owner or group is not an id of this process's user namespace (/proc/self/uid_map, \
            gid_map): run idshift \
             on the host, outside of containers"
        }
        _ => "",
    }
}

/// Takes a pinned inode from the ownership it has `now` to the one it is `wanted` to have.
///
/// The order is given by the kernel: chown strips set-id bits and the capability of everything but
/// a directory (`chown(2)`), and an ACL rewrites the group bits of the mode, so owners come first,
/// then ACLs, then the mode, then the capability. Overlayfs's attributes come last. What is already
/// as wanted needs no call.
/// [`Change::apply_state`](crate::ownership::Change::apply_state) knows every state in between.
pub fn apply(
    pin: &PinnedFile,
    file_type: FileType,
    now: &Ownership,
    wanted: &Ownership,
) -> Result<(), ApplyError> {
    let none = OwnershipXattrs::default();
    let has = now.xattrs.as_deref().unwrap_or(&none);
    let wants = wanted.xattrs.as_deref().unwrap_or(&none);
    let strips = file_type != FileType::Directory;

    let chowned = (now.uid, now.gid) != (wanted.uid, wanted.gid);
    if chowned {
        chown(pin, wanted).map_err(failed("fchownat"))?;
    }
    let acl_written = has.acl != wants.acl;
    if acl_written {
        attributes::write_acl(pin, wants.acl.as_ref()).map_err(failed("setxattr (access ACL)"))?;
    }
    if has.default_acl != wants.default_acl {
        attributes::write_default_acl(pin, wants.default_acl.as_ref())
            .map_err(failed("setxattr (default ACL)"))?;
    }
    let mode_lost = strips && chowned && wanted.mode.has_setid();
    // A symlink has no mode of its own to set.
    let has_mode = file_type != FileType::Symlink;
    if has_mode && (mode_lost || acl_written || now.mode != wanted.mode) {
        chmod(pin, wanted).map_err(failed("chmod"))?;
    }
    let capability_lost = strips && chowned && wants.capability.is_some();
    if capability_lost || has.capability != wants.capability {
        attributes::write_capability(pin, wants.capability.as_ref())
            .map_err(failed("setxattr (capability)"))?;
    }
    if has.overlay != wants.overlay {
        attributes::move_overlay(pin, &has.overlay, &wants.overlay)
            .map_err(failed("setxattr (overlay)"))?;
    }
    Ok(())
}

pub(super) fn failed(call: &'static str) -> impl Fn(Errno) -> ApplyError {
    move |errno| ApplyError { call, errno }
}

fn chown(pin: &PinnedFile, wanted: &Ownership) -> rustix::io::Result<()> {
    let uid = Uid::from_raw(wanted.uid);
    let gid = Gid::from_raw(wanted.gid);
    rustix::fs::chownat(pin, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
}

fn chmod(pin: &PinnedFile, wanted: &Ownership) -> rustix::io::Result<()> {
    let mode = RawMode::from_raw_mode(wanted.mode.bits().into());
    pin.with_proc_path(|path| rustix::fs::chmod(path, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_the_own_namespace_lacks_is_told_as_that() {
        let told = failed("fchownat")(Errno::INVAL).to_string();
        assert!(
            told.contains("not an id of this process's user namespace"),
            "{told}"
        );
        let other = failed("fchownat")(Errno::PERM).to_string();
        assert!(!other.contains("namespace"), "{other}");
    }
}
