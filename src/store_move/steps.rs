//! What the plans of both engines rename and make.
//!
//! Whatever way a store goes, everything is renamed into a directory that only root enters, the holder. There the owners
//! change, and from there everything gets its place: so nobody comes to a file of root's that would run with root's rights
//! (set-id bits), and no engine starts on half of its data. The first root of the steps is where the store is, the second one
//! where it is to be.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::MoveError;
use super::names::{ASIDE, MOVING};
use super::place::{Source, Target};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::{Identity, PinnedFile, Stat, attributes};
use crate::journal::step::{NewDirectory, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::{FileType, Mode, Ownership, OwnershipXattrs};

/// What holds, in the new place, what an unused engine had made there.
pub const UNUSED: &str = "unused";

/// A directory that is root's alone.
pub const CLOSED: NewDirectory = owned((0, 0), 0o700);

/// A guard: everybody can read why the engine does not start.
pub const GUARD_OWNER: NewDirectory = owned((0, 0), 0o644);

/// What is made with this owner and group, and this mode.
pub const fn owned((uid, gid): (u32, u32), mode: u32) -> NewDirectory {
    NewDirectory {
        uid,
        gid,
        mode: Mode::from_st_mode(mode),
    }
}

/// A place in the holder, or the holder itself. `root`: the root of the steps in which it is.
pub fn holder(root: usize, names: &[&[u8]]) -> StepPath {
    let holder = format!("{MOVING}rootless");
    let all = [holder.as_bytes()].into_iter().chain(names.iter().copied());
    StepPath::new(root, all)
}

/// Makes the holder.
pub fn make_holder(root: usize) -> Step {
    Step::MakeDir {
        at: holder(root, &[]),
        made: CLOSED,
    }
}

/// A name of the store that is renamed into the holder, with its inode.
pub struct StagedEntry {
    /// The name, in both.
    pub name: Vec<u8>,
    /// Its inode.
    pub identity: Identity,
}

/// Renames names of the store into the holder.
///
/// # Errors
/// One of them cannot be renamed.
pub fn hold<N: AsRef<[u8]>>(
    root: usize,
    from: &Source,
    names: impl IntoIterator<Item = N>,
) -> Result<(Vec<Step>, Vec<StagedEntry>), MoveError> {
    let (mut steps, mut held) = (Vec::new(), Vec::new());
    for name in names {
        let name = name.as_ref();
        let identity = renameable(&from.path.join(OsStr::from_bytes(name)))?.identity;
        steps.push(Step::Rename {
            from: from.step(&[name]),
            to: holder(root, &[name]),
            identity,
        });
        held.push(StagedEntry {
            name: name.to_vec(),
            identity,
        });
    }
    Ok((steps, held))
}

/// To a user: what an unused engine had made in the new place goes into the holder, which takes that place.
///
/// # Errors
/// It cannot be renamed.
pub fn hold_unused(to: &Target) -> Result<Option<Step>, MoveError> {
    if to.there.is_none() {
        return Ok(None);
    }
    let aside = format!("{ASIDE}{UNUSED}");
    Ok(Some(Step::Rename {
        from: to.top(),
        to: holder(0, &[aside.as_bytes()]),
        identity: renameable(&to.path())?.identity,
    }))
}

/// To a user: the directories that are missing above the new place, as the engine makes them.
pub fn make_parents(to: &Target, user: (u32, u32), mode: u32) -> impl Iterator<Item = Step> {
    (1..to.names.len()).map(move |n| Step::MakeDir {
        at: to.step(n),
        made: owned(user, mode),
    })
}

/// To a user: the holder gets the new place, and is the user's. `entry`: what is in it, to know it by.
pub fn hand_over(to: &Target, entry: StagedEntry, user: (u32, u32), mode: u32) -> Step {
    Step::HandOver {
        from: holder(0, &[]),
        to: to.top(),
        entry: Name(entry.name),
        identity: entry.identity,
        closed: CLOSED,
        open: owned(user, mode),
    }
}

/// From a user: what an unused engine of root's made goes into `aside`, in its store.
///
/// # Errors
/// Something of it cannot be renamed.
pub fn set_aside<N: AsRef<[u8]>>(
    to: &Path,
    there: &[N],
    aside: &str,
) -> Result<Vec<Step>, MoveError> {
    let mut steps = Vec::new();
    for name in there {
        if steps.is_empty() {
            steps.push(Step::MakeDir {
                at: StepPath::new(1, [aside]),
                made: CLOSED,
            });
        }
        let name = name.as_ref();
        steps.push(Step::Rename {
            from: StepPath::new(1, [name]),
            to: StepPath::new(1, [aside.as_bytes(), name]),
            identity: renameable(&to.join(OsStr::from_bytes(name)))?.identity,
        });
    }
    Ok(steps)
}

/// From a user: everything gets its place in root's store, `last` last, which takes the place of the guard.
pub fn place_all(held: Vec<StagedEntry>, last: &str, guard: &str) -> Vec<Step> {
    let (lasts, others): (Vec<_>, Vec<_>) =
        (held.into_iter()).partition(|it| it.name == last.as_bytes());
    let mut steps: Vec<Step> = (others.into_iter())
        .map(|it| Step::Rename {
            from: holder(1, &[&it.name]),
            to: StepPath::new(1, [&it.name]),
            identity: it.identity,
        })
        .collect();
    steps.push(match lasts.into_iter().next() {
        Some(it) => Step::Unblock {
            from: holder(1, &[&it.name]),
            to: StepPath::new(1, [last]),
            identity: it.identity,
            content: guard.to_string(),
        },
        None => Step::Remove {
            at: StepPath::new(1, [last]),
            content: guard.to_string(),
            made: GUARD_OWNER,
        },
    });
    steps.push(Step::RemoveDir {
        at: holder(1, &[]),
        made: CLOSED,
    });
    steps
}

/// What is at a path, if it can be renamed.
///
/// # Errors
/// It cannot, or is not there.
pub fn renameable(path: &Path) -> Result<Stat, MoveError> {
    let pin = PinnedFile::path(path);
    let stat = pin.and_then(|pin| pin.stat());
    let stat = stat.map_err(MoveError::errno(path))?;
    if stat.mount_root {
        let why = format!(
            "is a mount point, which cannot be renamed. `umount {}`, if its content is there without it, too; or else move its \
             content into this filesystem first",
            shell_word(path)
        );
        return Err(MoveError::in_the_way(path, why));
    }
    if stat.file_type == FileType::Symlink {
        let target = std::fs::read_link(path).unwrap_or_default();
        let why = format!(
            "is a symlink to {}, which idshift does not follow. Put what it leads to in its place",
            escaped(&target)
        );
        return Err(MoveError::in_the_way(path, why));
    }
    Ok(stat)
}

/// A user's directory, the first root of the steps, becomes one that only root enters.
///
/// # Errors
/// It cannot be read.
pub fn close_step(from: &Path) -> Result<Step, MoveError> {
    let (identity, before) = ownership_of(from)?;
    let closed = Mode::from_st_mode(0o700);
    Ok(Step::SetOwnership {
        at: StepPath::new(0, [""; 0]),
        identity,
        before,
        after: Ownership::new(0, 0, closed, OwnershipXattrs::default()),
    })
}

/// A directory of root's, the second root of the steps, has no other permissions than these; `None`: it has none already.
///
/// # Errors
/// It cannot be read, or has an ACL.
pub fn restrict_step(to: &Path, allowed: u32) -> Result<Option<Step>, MoveError> {
    let (identity, before) = ownership_of(to)?;
    if before.xattrs.is_some() {
        let why = "has an ACL, and root's engine makes none there. Remove it with `setfacl -b`";
        return Err(MoveError::in_the_way(to, why));
    }
    let entered = Mode::from_st_mode(u32::from(before.mode.bits()) & allowed);
    let after = Ownership::new(0, 0, entered, OwnershipXattrs::default());
    let at = StepPath::new(1, [""; 0]);
    Ok((before != after).then_some(Step::SetOwnership {
        at,
        identity,
        before,
        after,
    }))
}

/// A directory, and whose it is.
fn ownership_of(path: &Path) -> Result<(Identity, Ownership), MoveError> {
    let pin = PinnedFile::path(path).map_err(MoveError::errno(path))?;
    let stat = pin.stat().map_err(MoveError::errno(path))?;
    let before = attributes::read(&pin, &stat)
        .map_err(|error| MoveError::in_the_way(path, error.to_string()))?;
    Ok((stat.identity, before))
}
