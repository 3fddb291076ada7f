//! Whether a store can go to its new place.

use std::ffi::CString;

use nix::unistd::{Gid, getgrouplist};

use super::MoveError;
use super::place::{Source, Target, stat_of};
use super::user::RootlessUser;
use crate::fs::escape::shell_word;
use crate::fs::{PinnedFile, attributes};
use crate::ownership::{Ownership, access};

/// What messages call an engine's store, and how another place is chosen.
pub struct Labels {
    /// The store: `data-root`.
    pub store: &'static str,
    /// What uses it: `daemon`.
    pub engine: &'static str,
    /// The option that names another place.
    pub option: &'static str,
    /// A name for a directory in a mount point.
    pub below: &'static str,
    /// The setting that tells the user's engine of it.
    pub setting: &'static str,
    /// The file in which that is, below the home.
    pub file: &'static str,
}

/// Refuses where one is in the other, or where the new place is somebody else's.
///
/// # Errors
/// Says which.
pub fn check_places(
    user: &RootlessUser,
    (from, to): (&Source, &Target),
    words: &Labels,
) -> Result<(), MoveError> {
    let (one, other) = (&from.path, to.path());
    let Labels { store, option, .. } = words;
    if one.starts_with(&other) || other.starts_with(one) {
        let why = format!(
            "is in the other {store}, or is the same. Choose another directory with {option}"
        );
        return Err(MoveError::in_the_way(other, why));
    }
    let owner = to.there.map_or(user.root.0, |stat| stat.uid);
    if ![0, user.root.0].contains(&owner) {
        let why = format!(
            "belongs to uid {owner}, but {name} is uid {uid}. Choose a directory of {name} with {option}",
            name = user.name,
            uid = user.root.0
        );
        return Err(MoveError::in_the_way(other, why));
    }
    Ok(())
}

/// Refuses a new place into which the store cannot go, or where its user cannot reach it. `is_copied`: a copy is made, where it
/// can be renamed to its place.
///
/// # Errors
/// Says why, and where else it can go.
pub fn check_target(
    user: &RootlessUser,
    (from, to): (&Source, &Target),
    is_copied: bool,
    words: &Labels,
) -> Result<(), MoveError> {
    match is_copied {
        true => check_is_no_mount_point(to, words)?,
        false => check_same_filesystem(user, (from, to), words)?,
    }
    check_is_reached(user, to, words)
}

/// All is renamed, also what was copied before.
///
/// # Errors
/// It cannot be.
fn check_same_filesystem(
    user: &RootlessUser,
    (from, to): (&Source, &Target),
    words: &Labels,
) -> Result<(), MoveError> {
    let (here, there) = (stat_of(&from.path)?, stat_of(&to.anchor)?);
    let is_mount_point = to.there.is_some_and(|stat| stat.mount_root);
    if (here.dev, here.mount_id) == (there.dev, there.mount_id) && !is_mount_point {
        return Ok(());
    }
    check_is_no_mount_point(to, words)?;
    let (user, from, to) = (&user.name, &from.path, to.path());
    let Labels {
        store,
        option,
        setting,
        file,
        ..
    } = words;
    if here.dev == there.dev && here.mount_root {
        let why = format!(
            "is a mount point, and its content cannot be renamed to {}. An engine that was killed leaves such a mount: run \
             `umount {}`, if the content is there without it, too. Or add --copy, which copies the {store}",
            shell_word(&to),
            shell_word(from)
        );
        return Err(MoveError::in_the_way(from, why));
    }
    let why = format!(
        "is on another filesystem, or another mount, than {}. Without --copy, the {store} is renamed. Add --copy, which copies \
         it. Or choose a directory on that filesystem that {user} can reach, with {option} DIR, and set it as {setting} in \
         ~{user}/{file}",
        shell_word(from)
    );
    Err(MoveError::in_the_way(to, why))
}

/// The directory that is given to the user takes the place of what is there.
///
/// # Errors
/// Nothing can.
fn check_is_no_mount_point(to: &Target, words: &Labels) -> Result<(), MoveError> {
    if !to.there.is_some_and(|stat| stat.mount_root) {
        return Ok(());
    }
    let path = to.path();
    let why = format!(
        "is a mount point, and nothing can take its place. Choose a directory in it with {} {}, and set it as {} in the user's \
         ~/{}",
        words.option,
        shell_word(&path.join(words.below)),
        words.setting,
        words.file
    );
    Err(MoveError::in_the_way(path, why))
}

/// Refuses a place that the user cannot reach.
///
/// # Errors
/// Names the directory that is in the way.
fn check_is_reached(user: &RootlessUser, to: &Target, words: &Labels) -> Result<(), MoveError> {
    let gid = Gid::from_raw(user.root.1);
    let groups = CString::new(user.name.as_bytes()).ok();
    let groups = groups.and_then(|name| getgrouplist(&name, gid).ok());
    let mut gids: Vec<u32> = groups.into_iter().flatten().map(Gid::as_raw).collect();
    gids.push(user.root.1);
    for dir in to.anchor.ancestors() {
        let pin = PinnedFile::path(dir).map_err(MoveError::errno(dir))?;
        let stat = pin.stat().map_err(MoveError::errno(dir))?;
        // What cannot be read is not known to be closed.
        let ownership = attributes::read(&pin, &stat).ok();
        let is_closed = |it: &Ownership| !access::may(it, user.root.0, &gids, SEARCH);
        if ownership.as_ref().is_some_and(is_closed) {
            let why = format!(
                "cannot be searched by {name}, whose {} would not reach {}. `chmod o+x {}` allows it. Or choose a directory that \
                 {name} can reach, with {}",
                words.engine,
                shell_word(&to.path()),
                shell_word(dir),
                words.option,
                name = user.name
            );
            return Err(MoveError::in_the_way(dir, why));
        }
    }
    Ok(())
}

/// The permission to go through a directory.
const SEARCH: u8 = 1;
