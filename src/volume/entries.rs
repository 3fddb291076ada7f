//! Every entry below a directory that the calling process could not use.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Dir, StatxFlags};
use rustix::io::Errno;

use super::probe::{Answer, ProbeFailure};
use super::user::OVERFLOW;
use crate::fs::dir::open_dir;
use crate::journal::Name;
use crate::ownership::FileType;

/// Asks the kernel about each entry, down to this depth, or all the way. Mounts below are entered: a
/// bind mount of Docker's brings them along.
///
/// An entry that belongs to the user itself and only lacks write permission counts as usable:
/// programs keep read-only files of their own (a broker's cookie, the objects of git), and may
/// change them.
///
/// # Errors
/// Something could not be looked at for a reason that is not the user's.
pub fn look_below(
    top: BorrowedFd<'_>,
    uid: u32,
    write: bool,
    depth: Option<usize>,
    say: &mut impl FnMut(Answer) -> io::Result<()>,
) -> Result<(), ProbeFailure> {
    let mut looked = 0;
    // A directory that is open stays so until all below it is seen: no name leads through another.
    let open = |dir: BorrowedFd<'_>, name: &[u8]| open_dir(dir, name).and_then(Dir::new::<OwnedFd>);
    let mut levels = vec![open(top, b".").map_err(ProbeFailure::Handle)?];
    let mut names: Vec<Vec<u8>> = Vec::new();
    while let Some(here) = levels.last_mut() {
        let Some(entry) = here.next() else {
            levels.pop();
            names.pop();
            continue;
        };
        let entry = entry.map_err(|errno| failed(&names, errno))?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let dir = here.fd().map_err(|errno| failed(&names, errno))?;
        let Some(found) = look(dir, name).map_err(|errno| failed(&names, errno))? else {
            continue;
        };
        looked += 1;
        let lacks = lacks(dir, name, &found, uid, write);
        let is_dir = found.kind == Some(FileType::Directory);
        let is_closed = lacks.contains(['r', 'x']);
        let inner = is_dir && !is_closed && depth.is_none_or(|depth| names.len() + 1 < depth);
        names.push(name.to_vec());
        if !lacks.is_empty() {
            let path = Name(names.join(&b'/'));
            say(Answer::Unusable { path, lacks }).map_err(ProbeFailure::Answer)?;
        }
        let opened = match inner {
            true => open(dir, name),
            false => Err(Errno::NOENT),
        };
        match opened {
            Ok(inner) => levels.push(inner),
            // Gone since.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => drop(names.pop()),
            Err(errno) => return Err(failed(&names, errno)),
        }
    }
    say(Answer::Looked(looked)).map_err(ProbeFailure::Answer)
}

fn failed(names: &[Vec<u8>], errno: Errno) -> ProbeFailure {
    let path = String::from_utf8_lossy(&names.join(&b'/')).into_owned();
    ProbeFailure::Entry { path, errno }
}

/// What is known of an entry.
struct EntryStat {
    /// `None` where the user may not know even that.
    kind: Option<FileType>,
    uid: u32,
}

fn look(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<EntryStat>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::TYPE | StatxFlags::UID;
    match rustix::fs::statx(dir, name, flags, wanted) {
        Ok(found) => Ok(Some(EntryStat {
            kind: Some(FileType::from_st_mode(found.stx_mode.into())),
            uid: found.stx_uid,
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::ACCESS) => Ok(Some(EntryStat {
            kind: None,
            uid: OVERFLOW,
        })),
        Err(errno) => Err(errno),
    }
}

/// What is missing of `r`, `w` and `x`.
fn lacks(dir: BorrowedFd<'_>, name: &[u8], found: &EntryStat, uid: u32, write: bool) -> String {
    if found.kind == Some(FileType::Symlink) {
        return String::new();
    }
    // Whose owner is none of the namespace's looks as if it were nobody's.
    let is_own = found.uid == uid && uid != OVERFLOW;
    let wanted = [
        (true, Access::READ_OK, 'r'),
        (write && !is_own, Access::WRITE_OK, 'w'),
        (
            found.kind == Some(FileType::Directory),
            Access::EXEC_OK,
            'x',
        ),
    ];
    let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    let may = |access| rustix::fs::accessat(dir, name, access, flags).is_ok();
    wanted
        .into_iter()
        .filter(|&(is_wanted, access, _)| is_wanted && !may(access))
        .map(|(_, _, letter)| letter)
        .collect()
}
