//! Giving an entry another place, and making sure that it is the one that is meant.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::StepError;
use super::perform::Performer;
use super::place::last;
use crate::fs::file_ops::{move_entry, stat_entry};
use crate::fs::{Identity, PinnedFile};
use crate::journal::step::StepPath;

impl Performer<'_> {
    /// Renames what has the place. It must be the inode that is meant, unless a daemon may have made another one
    /// meanwhile. What is gone is gone then.
    pub fn rename(
        &self,
        from: &StepPath,
        to: &StepPath,
        identity: Identity,
    ) -> Result<(), StepError> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let at = (from_dir.as_fd(), last(from));
        let (pin, found) = match pin_entry(at) {
            Err(error) if self.forgives && error.is_io(io::ErrorKind::NotFound) => return Ok(()),
            found => found?,
        };
        if found != identity && !self.forgives {
            return Err(StepError::OtherInode);
        }
        move_pinned(&pin, at, (to_dir.as_fd(), last(to)))
    }
}

/// Pins what has a name, and says which inode it is.
pub(super) fn pin_entry(
    (dir, name): (BorrowedFd<'_>, &[u8]),
) -> Result<(PinnedFile, Identity), StepError> {
    let name = CString::new(name).map_err(io::Error::from)?;
    let pin = PinnedFile::at(dir, &name)?;
    let identity = pin.stat()?.identity;
    Ok((pin, identity))
}

/// Renames what has a name, which is pinned. A name cannot be renamed by a handle: whoever may rename in that directory can
/// put another entry there meanwhile. That one is renamed back.
pub(super) fn move_pinned(
    pin: &PinnedFile,
    from: (BorrowedFd<'_>, &[u8]),
    to: (BorrowedFd<'_>, &[u8]),
) -> Result<(), StepError> {
    move_entry(from, to)?;
    let moved = stat_entry(to.0, to.1)?;
    if moved.is_some_and(|moved| pin.stat().is_ok_and(|it| it.identity == moved.identity)) {
        return Ok(());
    }
    let _ = move_entry(to, from);
    Err(StepError::OtherInode)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_entry_with_the_name_is_renamed_back() {
        let place = tempfile::tempdir().unwrap();
        for dir in ["from", "to"] {
            fs::create_dir(place.path().join(dir)).unwrap();
        }
        let at = |path: &str| place.path().join(path);
        fs::write(at("from/it"), "meant").unwrap();
        let (from, to) = (at("from"), at("to"));
        let (from, to) = (fs::File::open(from).unwrap(), fs::File::open(to).unwrap());
        let (old, new) = ((from.as_fd(), &b"it"[..]), (to.as_fd(), &b"there"[..]));
        let (pin, _) = pin_entry(old).unwrap();
        // Somebody puts another one there after it was looked at.
        fs::rename(at("from/it"), at("from/away")).unwrap();
        fs::write(at("from/it"), "another").unwrap();
        let error = move_pinned(&pin, old, new).unwrap_err();
        assert!(matches!(error, StepError::OtherInode), "{error}");
        assert_eq!(fs::read(at("from/it")).unwrap(), b"another");
        assert!(!at("to/there").exists());

        fs::rename(at("from/away"), at("from/it")).unwrap();
        move_pinned(&pin, old, new).unwrap();
        assert_eq!(fs::read(at("to/there")).unwrap(), b"meant");
    }
}
