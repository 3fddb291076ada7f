//! Where a store is, and whether it can go to the other place.

use std::path::Path;

use nix::unistd::{Uid, User};

use super::store::Store;
use crate::docker::data_root::is_daemon_root;
use crate::fs::escape::shell_word;
use crate::store_move::MoveError;
use crate::store_move::place::{Source, stat_of};
use crate::store_move::place_checks::Labels;

/// The store at this path; a symlink to it is followed.
pub(super) fn source(storage: &Path) -> Result<Source, MoveError> {
    let real = std::fs::canonicalize(storage).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            MoveError::in_the_way(storage, format!("is not there. {NAME_STORE}"))
        }
        _ => MoveError::io(storage)(error),
    })?;
    Source::at(&real)
}

const NAME_STORE: &str = "`podman info -f '{{.Store.GraphRoot}}'`, run as root, prints where the store is; name it with --storage";

/// Refuses what is no store of root's Podman.
pub(super) fn check_is_rootful(from: &Source) -> Result<(), MoveError> {
    let path = &from.path;
    let word = shell_word(path);
    if is_daemon_root(path) {
        let why = format!(
            "is Docker's data-root: `idshift docker migrate --rootless USER --data-root {word}` migrates it"
        );
        return Err(MoveError::in_the_way(path, why));
    }
    let uid = stat_of(path)?.uid;
    if uid != 0 {
        let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let user = account.map_or(uid.to_string(), |it| it.name);
        let why = format!(
            "belongs to {user}: it is a store of that user's rootless Podman already. `podman save` and `podman volume export`, \
             run as {user}, take out what another Podman is to have"
        );
        return Err(MoveError::in_the_way(path, why));
    }
    if !Store::at(path).is_store() {
        let why = format!("is not a store of Podman's: it has no layers. {NAME_STORE}");
        return Err(MoveError::in_the_way(path, why));
    }
    Ok(())
}

/// What messages call a store.
pub(super) const WORDS: Labels = Labels {
    store: "store",
    engine: "Podman",
    option: "--target",
    below: "storage",
    setting: "graphroot",
    file: ".config/containers/storage.conf",
};
