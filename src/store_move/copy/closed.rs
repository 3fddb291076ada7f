//! Whether nobody but root can get to what is copied.
//!
//! `cp` works by paths: somebody who can write in a volume could make it copy any directory of the host. Users of the
//! directory are checked before; this keeps everybody else out.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::remove_tree::names;
use crate::fs::{PinnedFile, Root, Stat, attributes};
use crate::ownership::{Ownership, access};
use crate::store_move::MoveError;

/// So many levels may be open to others, who can change nothing there: the store of Podman, `overlay` and `overlay/l`.
const OPEN_LEVELS: usize = 3;

/// Refuses a directory of which others than root can get to these names, or change them.
///
/// # Errors
/// They can, or it cannot be read.
pub fn check_is_closed(source: &Root, names: &[String]) -> Result<(), MoveError> {
    let path = &source.path;
    let stat = source.pin.stat().map_err(MoveError::errno(path))?;
    let found = owner_of(&source.pin, &stat).map_err(MoveError::io(path))?;
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let are_closed = || are_closed(source.pin.as_fd(), names, 1).map_err(MoveError::io(path));
    if is_closed(&found) || is_only_roots(&found) && are_closed()? {
        return Ok(());
    }
    let (with_acl, remove) = match found.acl() {
        Some(_) => (
            " with an ACL",
            format!("setfacl -b {} && ", shell_word(path)),
        ),
        None => ("", String::new()),
    };
    Err(MoveError::in_the_way(
        path,
        format!(
            "can be entered by others than root (it is {}:{} {:04o}{with_acl}), who could replace what is copied. \
            Close it with `{remove}chown root:root {path} && chmod 0710 {path}`",
            found.uid,
            found.gid,
            found.mode.bits(),
            path = shell_word(path),
        ),
    ))
}

fn owner_of(pin: &PinnedFile, stat: &Stat) -> io::Result<Ownership> {
    attributes::read(pin, stat).map_err(io::Error::other)
}

/// Nobody but root enters it.
fn is_closed(found: &Ownership) -> bool {
    const SEARCH: u8 = 1;
    access::only_root_may(found, SEARCH)
}

/// Nobody but root changes what has which name in it. With an ACL, the bits of the group are the most that an entry of it
/// gives.
fn is_only_roots(found: &Ownership) -> bool {
    found.uid == 0 && found.mode.bits() & 0o022 == 0
}

/// Whether this is so of all directories among these names.
fn are_closed(dir: BorrowedFd<'_>, entries: Vec<Vec<u8>>, level: usize) -> io::Result<bool> {
    for name in entries {
        let pin = match PinnedFile::at(dir, &CString::new(name.as_slice())?) {
            Err(Errno::NOENT) => continue,
            pin => pin?,
        };
        let stat = pin.stat()?;
        if !stat.is_dir() {
            continue;
        }
        let found = owner_of(&pin, &stat)?;
        if is_closed(&found) {
            continue;
        }
        if !is_only_roots(&found) || level == OPEN_LEVELS {
            return Ok(false);
        }
        let below = open_dir(dir, &*name)?;
        if !are_closed(below.as_fd(), names(below.as_fd())?, level + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn what_others_could_change_is_not_closed() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let top = fs::canonicalize(place.path()).unwrap().join("store");
        for dir in ["overlay/l", "overlay/layer/diff", "volumes/v/_data/deep"] {
            fs::create_dir_all(top.join(dir)).unwrap();
        }
        symlink("../layer/diff", top.join("overlay/l/A")).unwrap();
        let mode = |dir: &str, bits: u32| {
            fs::set_permissions(top.join(dir), Permissions::from_mode(bits)).unwrap();
        };
        let is_closed = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            check_is_closed(&Root::open(&top).unwrap(), &names).is_ok()
        };
        for dir in ["", "overlay", "overlay/l", "volumes/v", "volumes/v/_data"] {
            mode(dir, 0o755);
        }
        mode("overlay/layer", 0o700);
        mode("volumes", 0o700);
        // Only root makes directories that are root's.
        if fs::metadata(&top).is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) != 0) {
            return;
        }
        assert!(is_closed(&["overlay", "volumes"]));
        mode("volumes", 0o711);
        assert!(!is_closed(&["overlay", "volumes"]));
        assert!(is_closed(&["overlay"]), "only these names are copied");
        mode("overlay/layer", 0o755);
        mode("overlay/layer/diff", 0o777);
        assert!(!is_closed(&["overlay"]));
        mode("overlay/layer", 0o700);
        mode("overlay/l", 0o777);
        assert!(!is_closed(&["overlay"]));
        mode("overlay", 0o710);
        assert!(is_closed(&["overlay"]));
        mode("", 0o777);
        assert!(!is_closed(&["overlay"]));
        mode("", 0o710);
        assert!(is_closed(&["overlay", "volumes"]));
        let acl = |entry: &str| {
            let run = Command::new("setfacl").args([entry]).arg(&top).status();
            assert!(run.unwrap().success(), "{entry}");
        };
        acl("-mu:65534:--x");
        assert!(!is_closed(&["overlay", "volumes"]));
        acl("-b");
        assert!(is_closed(&["overlay", "volumes"]));
    }
}
