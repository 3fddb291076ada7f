//! Whether a filesystem keeps the owners it is given, and the inode that is given one.

use rustix::io::Errno;
use thiserror::Error;

use crate::fs::apply::ApplyError;
use crate::fs::{Identity, PinnedFile};
use crate::ownership::Ownership;

/// What is wrong after a chown that the filesystem accepted.
#[derive(Debug, Error)]
pub(super) enum ChownNotKept {
    /// The result cannot be read.
    #[error("statx: {0}")]
    Stat(Errno),
    /// The name means another inode since.
    #[error(
        "became another inode when it was changed: its filesystem copies a file to change it, which cannot \
        be undone"
    )]
    Copied,
    /// Nothing.
    #[error(
        "was given to {}:{}, but still belongs to {}:{}: its filesystem accepts a chown and ignores it. A \
        mount option may make it keep owners (ntfs-3g: `permissions`)",
        wanted.0, wanted.1, owner.0, owner.1
    )]
    Ignored {
        /// What it was to become.
        wanted: (u32, u32),
        /// What it is.
        owner: (u32, u32),
    },
}

/// Why an inode was not changed.
#[derive(Debug, Error)]
pub(super) enum ChangeError {
    /// The kernel refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Its filesystem did.
    #[error(transparent)]
    NotKept(#[from] ChownNotKept),
}

/// Some filesystems accept a chown and ignore it (ntfs-3g without `permissions`), some make another
/// inode of what changes (overlays: known ones are refused before). So the first change on a
/// filesystem is read back.
#[derive(Default)]
pub(super) struct ChownCheck {
    /// The device on which a change was read back.
    device: Option<u64>,
}

impl ChownCheck {
    /// Checks an inode that was changed and was `identity` before.
    ///
    /// # Errors
    /// It has not changed, or become another one.
    pub(super) fn check(
        &mut self,
        (device, identity): (u64, Identity),
        pin: &PinnedFile,
        before: &Ownership,
        after: &Ownership,
    ) -> Result<(), ChownNotKept> {
        let wanted = (after.uid, after.gid);
        if self.device == Some(device) || (before.uid, before.gid) == wanted {
            return Ok(());
        }
        let now = pin.stat().map_err(ChownNotKept::Stat)?;
        if now.identity != identity {
            return Err(ChownNotKept::Copied);
        }
        if (now.uid, now.gid) != wanted {
            let owner = (now.uid, now.gid);
            return Err(ChownNotKept::Ignored { wanted, owner });
        }
        self.device = Some(device);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{Mode, OwnershipXattrs};

    #[test]
    fn the_first_change_is_checked_on_the_same_inode() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pin = PinnedFile::path(file.path()).unwrap();
        let stat = pin.stat().unwrap();
        let owned = |uid| {
            Ownership::new(
                uid,
                stat.gid,
                Mode::from_st_mode(0o600),
                OwnershipXattrs::default(),
            )
        };
        let (now, other) = (owned(stat.uid), owned(stat.uid + 1));
        let (it, mut another) = (stat.identity, stat.identity);
        another.born += 1;
        let check = |kept: &mut ChownCheck, identity, before, after| {
            kept.check((stat.dev, identity), &pin, before, after)
        };
        let mut kept = ChownCheck::default();
        assert!(check(&mut kept, it, &now, &other).is_err(), "not changed");
        assert!(check(&mut kept, another, &other, &now).is_err(), "copied");
        check(&mut kept, it, &other, &now).unwrap();
        // From here on it is believed.
        check(&mut kept, it, &now, &other).unwrap();
    }
}
