//! Whether the two stores are what they are said to be.

use std::path::{Path, PathBuf};

use crate::fs::escape::shell_word;
use crate::podman::checks::check_not_interrupted;
use crate::podman::store::Store;
use crate::store_move::MoveError;
use crate::store_move::place::{Source, stat_of};
use crate::store_move::user::RootlessUser;

/// How another store of root's is chosen.
pub(super) const OTHER_PLACE: &str = "Choose a directory below directories of root's with --storage DIR, which is graphroot in \
                                      /etc/containers/storage.conf";

/// The store of a user.
pub(super) fn users(target: &Path, user: &RootlessUser) -> Result<Source, MoveError> {
    if target.symlink_metadata().is_err() {
        let why = format!("is not there. {}", where_it_is(user));
        return Err(MoveError::in_the_way(target, why));
    }
    let from = Source::at(target)?;
    let uid = stat_of(&from.path)?.uid;
    if uid != user.root.0 {
        let why = format!(
            "belongs to uid {uid}, but {} is uid {}. {}",
            user.name,
            user.root.0,
            where_it_is(user)
        );
        return Err(MoveError::in_the_way(from.path, why));
    }
    if !Store::at(&from.path).is_store() {
        let why = format!(
            "is not a store of Podman's: it has no layers. {}",
            where_it_is(user)
        );
        return Err(MoveError::in_the_way(from.path, why));
    }
    Ok(from)
}

fn where_it_is(user: &RootlessUser) -> String {
    format!(
        "`podman info -f '{{{{.Store.GraphRoot}}}}'`, run as {}, prints where the store is; name it with --target",
        user.name
    )
}

/// The store of root's.
pub(super) fn roots(storage: &Path) -> Result<PathBuf, MoveError> {
    std::fs::canonicalize(storage).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let why = format!(
                "is not there, and the store goes there. `install -d -m 700 {}` makes it",
                shell_word(storage)
            );
            MoveError::in_the_way(storage, why)
        }
        _ => MoveError::io(storage)(error),
    })
}

/// All is renamed: nothing is copied.
pub(super) fn check(from: &Source, to: &Path) -> Result<(), MoveError> {
    let one = &from.path;
    if one.starts_with(to) || to.starts_with(one) {
        let why = "is in the other store, or is the same. Name the right one with --storage";
        return Err(MoveError::in_the_way(to, why));
    }
    let (here, there) = (stat_of(one)?, stat_of(to)?);
    if (here.dev, here.mount_id) == (there.dev, there.mount_id) {
        return Ok(());
    }
    let why = format!(
        "is on another filesystem, or another mount, than {}. The store is renamed, not copied. {OTHER_PLACE}, on that \
         filesystem",
        shell_word(one)
    );
    Err(MoveError::in_the_way(to, why))
}

/// Refuses what root's store has, unless it is of a Podman that was never used. Gives the names that Podman made.
pub(super) fn unused(to: &Path) -> Result<Vec<Vec<u8>>, MoveError> {
    let store = Store::at(to);
    check_not_interrupted(&store)?;
    let holds = store.holds()?;
    if holds.is_unused() {
        return Ok(store.names()?.ours);
    }
    let why = format!(
        "holds {holds} already. Two stores cannot be merged: `podman save` what you need of it, and move what is in the \
         directory away"
    );
    Err(MoveError::in_the_way(to, why))
}

/// The first name of this kind in root's store that is free.
pub(super) fn free_name(to: &Path, name: &str) -> String {
    let names = (1..).map(|n| match n {
        1 => name.to_string(),
        n => format!("{name}-{n}"),
    });
    let mut free = names.filter(|name| to.join(name).symlink_metadata().is_err());
    free.next().unwrap_or_default()
}
