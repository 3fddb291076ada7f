//! Whether a filesystem keeps the owners it is given.

use crate::fs::Pin;
use crate::ownership::Ownership;

/// Some filesystems say yes to a chown and forget it (ntfs-3g without `permissions`, vfat with `quiet`). So
/// the first change on a filesystem is looked at again.
#[derive(Default)]
pub(super) struct Kept {
    /// The device of which that has been seen.
    device: Option<u64>,
}

impl Kept {
    /// An inode was changed on a device.
    ///
    /// # Errors
    /// It has not changed, in words.
    pub(super) fn check(
        &mut self,
        device: u64,
        pin: &Pin,
        before: &Ownership,
        after: &Ownership,
    ) -> Result<(), String> {
        let wanted = (after.uid, after.gid);
        if self.device == Some(device) || (before.uid, before.gid) == wanted {
            return Ok(());
        }
        let now = pin.stat().map_err(|errno| format!("statx: {errno}"))?;
        if (now.uid, now.gid) == wanted {
            self.device = Some(device);
            return Ok(());
        }
        Err(format!(
            "was given to {}:{}, and still belongs to {}:{}: its filesystem takes a chown and does nothing. \
             Mount options may let it keep owners (ntfs-3g: `permissions`)",
            wanted.0, wanted.1, now.uid, now.gid
        ))
    }
}
