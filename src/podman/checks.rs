//! What must be so of a store's content before it is given another place.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::containers_conf::TAKE_OUT;
use super::database::{Database, DatabaseError};
use super::networks;
use super::paths::Directories;
use super::store::{BOLT, DRIVER, SQLITE, Store};
use crate::fs::escape::shell_word;
use crate::store_move::MoveError;
use crate::store_move::names::MOVING;
use crate::store_move::place::Target;

/// Refuses a store that is empty, half moved, or of another driver.
pub(super) fn check_content(store: &Store) -> Result<(), MoveError> {
    check_not_interrupted(store)?;
    if store.holds()?.is_unused() {
        let why = "has no images, containers, volumes or secrets. Is it the right one?";
        return Err(MoveError::in_the_way(&store.path, why));
    }
    for driver in store.drivers()? {
        if driver != DRIVER {
            let why = format!(
                "layers of the storage driver {driver} cannot be moved, only those of {DRIVER}. `podman save` \
                 the images, and `podman load` them there"
            );
            return Err(MoveError::in_the_way(
                store.path.join(format!("{driver}-layers")),
                why,
            ));
        }
    }
    if !store.path.join(DRIVER).is_dir() {
        let why = "is not there: the store has no layers of this storage driver";
        return Err(MoveError::in_the_way(store.path.join(DRIVER), why));
    }
    for layer in super::store::names(&store.path.join(DRIVER))? {
        let layer = store
            .path
            .join(DRIVER)
            .join(std::ffi::OsStr::from_bytes(&layer));
        if layer.join("composefs-data").symlink_metadata().is_ok() {
            let why = "is a layer of composefs, which idshift does not move. `podman save` its image, `podman rmi` it, and `podman load` it \
                       there";
            return Err(MoveError::in_the_way(layer, why));
        }
    }
    let flag = format!("{DRIVER}/.has-mount-program");
    let has_program = store.file(&flag)?;
    if has_program.is_some_and(|(bytes, _)| bytes.trim_ascii() == b"true") {
        let why = "says that fuse-overlayfs wrote these layers, whose attributes idshift does not know. `podman save` the images, and \
                   `podman load` them there";
        return Err(MoveError::in_the_way(store.path.join(flag), why));
    }
    Ok(())
}

pub(super) fn check_not_interrupted(store: &Store) -> Result<(), MoveError> {
    let others = store.names()?.others;
    match others
        .iter()
        .any(|name| name.starts_with(MOVING.as_bytes()))
    {
        true => Err(MoveError::in_the_way(
            &store.path,
            "a move was interrupted here. `idshift journal list` shows its journal: `idshift resume JOURNAL` finishes it, `idshift \
             rollback JOURNAL` undoes it. Do not start Podman before one of them has",
        )),
        false => Ok(()),
    }
}

/// Refuses a user namespace of its own, of a container or of a layer: its owners on disk are ids of this host, which mean
/// others to a user's Podman.
pub(super) fn check_maps(store: &Store) -> Result<(), MoveError> {
    let containers = store.listed(DRIVER, "containers")?;
    let with_map: Vec<&str> = (containers.iter().filter(|it| it.has_map()))
        .map(|it| it.name())
        .collect();
    let path = || store.path.join(format!("{DRIVER}-containers"));
    if let Some(first) = with_map.first() {
        let why = format!(
            "the container {first}{} has a user namespace of its own (--userns, --uidmap), whose ids the other Podman does not have. \
             `podman rm {}` removes such containers; create them again there",
            crate::podman::and_more(with_map.len()),
            with_map.join(" ")
        );
        return Err(MoveError::in_the_way(path(), why));
    }
    let layers = store.listed(DRIVER, "layers")?;
    if let Some(layer) = layers.iter().find(|layer| layer.has_map()) {
        let why = format!(
            "was made for a user namespace (--userns, --uidmap), whose ids the other Podman does not have. `podman rmi` of its \
             image removes it: `grep -l {} {}` finds what names it",
            layer.id,
            shell_word(&store.path.join(format!("{DRIVER}-images/images.json")))
        );
        return Err(MoveError::in_the_way(
            store.path.join(DRIVER).join(&layer.id),
            why,
        ));
    }
    Ok(())
}

/// The database, and its bytes; `None`: the store has none, as Podman made no container or volume. `owner`: whose Podman it is, and
/// how its database is read.
pub(super) fn read_database(
    store: &Store,
    (owner, read): (&str, Read),
) -> Result<Option<(Database, Vec<u8>)>, MoveError> {
    if store.path.join(BOLT).symlink_metadata().is_ok() {
        let why = format!(
            "is a BoltDB database, which idshift does not rewrite. Podman 5.8 and later convert it: `podman system migrate \
             --migrate-db`, run as {owner}. Older ones cannot: there, move what you need with `podman save` and `podman volume \
             export`, or update Podman first"
        );
        return Err(MoveError::in_the_way(store.path.join(BOLT), why));
    }
    for more in ["-journal", "-wal"] {
        let path = store.path.join(format!("{SQLITE}{more}"));
        if path.symlink_metadata().is_ok() {
            let why = format!(
                "belongs to a change of the database that was cut short. `podman ps -a`, run as {owner}, ends it"
            );
            return Err(MoveError::in_the_way(path, why));
        }
    }
    let Some((bytes, _)) = store.file(SQLITE)? else {
        return check_needs_no_database(store).map(|()| None);
    };
    let path = store.path.join(SQLITE);
    let database = read(&bytes);
    let database = database.map_err(|error| MoveError::in_the_way(path, error.to_string()))?;
    Ok(Some((database, bytes)))
}

/// Refuses what Podman lists in a database, where there is none: it is elsewhere, and would not go along.
fn check_needs_no_database(store: &Store) -> Result<(), MoveError> {
    let elsewhere = store.path.join("libpod").join(SQLITE);
    let volumes = store.path.join("volumes");
    let found = if elsewhere.symlink_metadata().is_ok() {
        Some(elsewhere)
    } else if !super::store::names(&volumes)?.is_empty() {
        Some(volumes)
    } else {
        // Buildah lists its own in the store alone. `podman commit` leaves that file, too, but beside Podman's.
        let dir = |id: &str| store.path.join(format!("{DRIVER}-containers/{id}"));
        let has = |id: &str, name: &str| dir(id).join("userdata").join(name).exists();
        let is_buildahs = |id: &str| has(id, "buildah.json") && !has(id, "artifacts");
        let containers = store.listed(DRIVER, "containers")?;
        let mut others = containers.iter().filter(|it| !is_buildahs(&it.id));
        others.next().map(|it| dir(&it.id))
    };
    let Some(path) = found else {
        return Ok(());
    };
    let why = format!(
        "is of a Podman whose database is not in the store: there is no {SQLITE} in {}. static_dir in containers.conf says where \
         else it is, and idshift moves what is in the store only. {TAKE_OUT}",
        shell_word(&store.path)
    );
    Err(MoveError::in_the_way(path, why))
}

/// A way to read a database.
pub(super) type Read = fn(&[u8]) -> Result<Database, DatabaseError>;

/// Refuses a database of another store, or one whose directories are elsewhere.
pub(super) fn check_directories(store: &Store, directories: &Directories) -> Result<(), MoveError> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = store.path.join(SQLITE);
    if real(&directories.graph_root) != store.path {
        let why = format!(
            "is the database of the store {}. Name that one with --storage",
            shell_word(&directories.graph_root)
        );
        return Err(MoveError::in_the_way(path, why));
    }
    let wanted = [
        ("static_dir", &directories.static_dir),
        ("volume_path", &directories.volume_dir),
    ];
    for (option, dir) in wanted {
        if !dir.starts_with(&directories.graph_root) {
            let why = format!(
                "names {} ({option} in containers.conf), outside of the store, and idshift moves what is in the store only",
                shell_word(dir)
            );
            return Err(MoveError::in_the_way(path, why));
        }
    }
    Ok(())
}

/// Refuses what is in the new place, unless it is of a Podman that was never used. Gives whether anything is there.
pub(super) fn check_unused(to: &Target) -> Result<bool, MoveError> {
    if to.there.is_none() {
        return Ok(false);
    }
    let store = Store::at(to.path());
    check_not_interrupted(&store)?;
    let names = store.names()?;
    if let Some(name) = names.others.first() {
        let why = "is not Podman's, but the store goes there. Move it away, or choose another directory with --target";
        let name = std::ffi::OsStr::new(std::str::from_utf8(name).unwrap_or_default());
        return Err(MoveError::in_the_way(store.path.join(name), why));
    }
    for (dir, what) in [(networks::USERS, "networks"), ("artifacts", "artifacts")] {
        let path = store.path.join(dir);
        // A lock is what an unused Podman makes there.
        if super::store::names(&path)?
            .iter()
            .any(|name| !name.ends_with(b".lock"))
        {
            let why = format!(
                "holds {what} of {}. Two stores cannot be merged: move the directory away, and make them again afterwards",
                shell_word(&store.path)
            );
            return Err(MoveError::in_the_way(path, why));
        }
    }
    let holds = store.holds()?;
    match holds.is_unused() {
        true => Ok(!names.ours.is_empty()),
        false => Err(MoveError::in_the_way(
            &store.path,
            format!(
                "holds {holds} already. Two stores cannot be merged: `podman save` what you need of it, and move the directory \
                 away"
            ),
        )),
    }
}
