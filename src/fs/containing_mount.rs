//! Whether what is seen through a mount has other owners than on disk (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`).

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags};

use super::mountinfo::{self, Mount};
use crate::sys;

/// Whether the mount of an open file is idmapped, given the mounts of this thread. One that is attached stays as it is.
///
/// # Errors
/// As of [`mount_of`].
pub fn is_idmapped(handle: impl AsFd, mounts: &[Mount]) -> io::Result<bool> {
    mount_of(handle, mounts).map(|found| match found {
        ContainingMount::Listed(mount) => mount.idmapped,
        ContainingMount::Unlisted { idmapped, .. } => idmapped,
    })
}

/// The mount of an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainingMount<'m> {
    /// It is in the table.
    Listed(&'m Mount),
    /// It is not: its mount point lies outside of the chroot of this process.
    Unlisted {
        /// Its number in other tables.
        id: i32,
        /// Whether it is idmapped.
        idmapped: bool,
        /// As in [`Mount`].
        device: String,
    },
}

/// The mount of an open file, given the mounts of this thread.
///
/// A process in a chroot does not see the mount that its own root lies on: of that, the kernel is asked (`statmount(2)`,
/// Linux 6.8), and process 1, which mostly has a wider view.
///
/// # Errors
/// None of the three tells.
pub fn mount_of(handle: impl AsFd, mounts: &[Mount]) -> io::Result<ContainingMount<'_>> {
    let id = mountinfo::id_of(&handle)?;
    if let Some(mount) = mounts.iter().find(|mount| mount.id == id) {
        return Ok(ContainingMount::Listed(mount));
    }
    let by_kernel = || unique_id(&handle).and_then(sys::mount_attributes);
    let by_first = || {
        let mounts = mounts_of_first_process()?;
        let mount = mounts.into_iter().find(|mount| mount.id == id)?;
        Some((mount.idmapped, mount.device))
    };
    let (idmapped, device) = by_kernel().or_else(by_first).ok_or_else(|| {
        let why = "its mount is not in /proc/self/mountinfo, as in a chroot, and the kernel has no statmount(2)";
        io::Error::new(io::ErrorKind::Unsupported, why)
    })?;
    Ok(ContainingMount::Unlisted {
        id,
        idmapped,
        device,
    })
}

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8).
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The number that no other mount has had or will have.
pub(super) fn unique_id(handle: impl AsFd) -> Option<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(handle, c"", flags, MNT_ID_UNIQUE).ok()?;
    let is_unique = found.stx_mask & MNT_ID_UNIQUE.bits() != 0;
    is_unique.then_some(found.stx_mnt_id)
}

/// Its mounts, where it has the namespace of this thread: their numbers mean the same then.
fn mounts_of_first_process() -> Option<Vec<Mount>> {
    let namespace = |of: &str| std::fs::read_link(Path::new("/proc").join(of).join("ns/mnt"));
    let same = namespace("1").ok()? == namespace("thread-self").ok()?;
    same.then(|| mountinfo::read(Path::new("/proc/1")).ok())?
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_mount_that_the_table_does_not_list_is_asked_for() {
        let file = File::open("/").unwrap();
        let all = mountinfo::of_this_thread().unwrap();
        assert!(!is_idmapped(&file, &all).unwrap());
        let Some(id) = unique_id(&file) else {
            eprintln!("skipped: this kernel has no unique mount ids");
            return;
        };
        assert_eq!(
            sys::mount_attributes(id).map(|(idmapped, _)| idmapped),
            Some(false)
        );
        assert_eq!(sys::mount_attributes(u64::MAX), None, "no such mount");
        assert!(!is_idmapped(&file, &[]).unwrap());
        let ContainingMount::Listed(mount) = mount_of(&file, &all).unwrap() else {
            panic!("{all:?}");
        };
        let (id, device) = (mount.id, mount.device.clone());
        let unlisted = ContainingMount::Unlisted {
            id,
            idmapped: false,
            device,
        };
        assert_eq!(mount_of(&file, &[]).unwrap(), unlisted);
    }
}
