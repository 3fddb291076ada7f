//! What must be so before a store is given another place.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::PodmanError;
use super::database::{ContainerRow, Database, DatabaseError};
use super::networks;
use super::paths::Directories;
use super::store::{BOLT, DRIVER, SQLITE, Store};
use crate::docker::data_root::{MOVING, is_daemon_root};
use crate::docker::rootless::place::{Source, Target, stat_of};
use crate::docker::rootless::user::RootlessUser;
use crate::fs::Root;
use crate::fs::escape::shell_word;
use crate::fs::mountinfo;
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_not_in_use;

/// The store at this path; a symlink to it is followed.
pub(super) fn source(storage: &Path) -> Result<Source, PodmanError> {
    let real = std::fs::canonicalize(storage).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            PodmanError::in_the_way(storage, format!("is not there. {NAME_STORE}"))
        }
        _ => PodmanError::io(storage)(error),
    })?;
    Ok(Source::at(&real)?)
}

const NAME_STORE: &str = "`podman info -f '{{.Store.GraphRoot}}'`, run as root, prints where the store is; name it with --storage";

/// Refuses what is no store of root's Podman.
pub(super) fn check_is_rootful(from: &Source) -> Result<(), PodmanError> {
    let path = &from.path;
    let word = shell_word(path);
    if is_daemon_root(path) {
        let why = format!(
            "is Docker's data-root: `idshift docker migrate --rootless USER --data-root {word}` migrates it"
        );
        return Err(PodmanError::in_the_way(path, why));
    }
    let uid = stat_of(path)?.uid;
    if uid != 0 {
        let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let user = account.map_or(uid.to_string(), |it| it.name);
        let why = format!(
            "belongs to {user}: it is a store of that user's rootless Podman already. `podman save` and `podman volume export`, \
             run as {user}, take out what another Podman is to have"
        );
        return Err(PodmanError::in_the_way(path, why));
    }
    if !Store::at(path).is_store() {
        let why = format!("is not a store of Podman's: it has no layers. {NAME_STORE}");
        return Err(PodmanError::in_the_way(path, why));
    }
    Ok(())
}

/// Refuses where one of the two places is not what it is said to be.
pub(super) fn check_places(
    user: &RootlessUser,
    from: &Source,
    to: &Target,
) -> Result<(), PodmanError> {
    let (one, other) = (&from.path, to.path());
    if one.starts_with(&other) || other.starts_with(one) {
        let why = "is in the other store, or is the same. Choose another directory with --target";
        return Err(PodmanError::in_the_way(other, why));
    }
    let owner = to.there.map_or(user.root.0, |stat| stat.uid);
    if ![0, user.root.0].contains(&owner) {
        let why = format!(
            "belongs to uid {owner}, but {name} is uid {uid}. Choose a directory of {name} with --target",
            name = user.name,
            uid = user.root.0
        );
        return Err(PodmanError::in_the_way(other, why));
    }
    Ok(())
}

/// All is renamed, also what was copied before.
pub(super) fn check_same_filesystem(
    from: &Source,
    to: &Target,
    user: &RootlessUser,
) -> Result<(), PodmanError> {
    let (here, there) = (stat_of(&from.path)?, stat_of(&to.anchor)?);
    let is_mount_point = to.there.is_some_and(|stat| stat.mount_root);
    if (here.dev, here.mount_id) == (there.dev, there.mount_id) && !is_mount_point {
        return Ok(());
    }
    check_is_no_mount_point(to)?;
    let (name, from, to) = (&user.name, &from.path, to.path());
    if here.mount_root {
        let why = format!(
            "is a mount point, and what is in it cannot be renamed to {}. Add --copy, which copies the store",
            shell_word(&to)
        );
        return Err(PodmanError::in_the_way(from, why));
    }
    let why = format!(
        "is on another filesystem, or another mount, than {}. Without --copy, the store is renamed. Add --copy, which copies it. \
         Or choose a directory on that filesystem that {name} can reach, with --target DIR, and set it as graphroot in \
         ~{name}/.config/containers/storage.conf",
        shell_word(from)
    );
    Err(PodmanError::in_the_way(to, why))
}

/// The directory that is given to the user takes the place of what is there.
pub(super) fn check_is_no_mount_point(to: &Target) -> Result<(), PodmanError> {
    if !to.there.is_some_and(|stat| stat.mount_root) {
        return Ok(());
    }
    let path = to.path();
    let below = path.join("storage");
    let why = format!(
        "is a mount point, and nothing can take its place. Choose a directory in it with --target {}, and set it as graphroot in \
         the user's storage.conf",
        shell_word(&below)
    );
    Err(PodmanError::in_the_way(path, why))
}

/// Refuses a store that is empty, half moved, or of another driver.
pub(super) fn check_content(store: &Store) -> Result<(), PodmanError> {
    check_not_interrupted(store)?;
    if store.holds()?.is_unused() {
        let why = "has no images, containers, volumes or secrets. Is it the right one?";
        return Err(PodmanError::in_the_way(&store.path, why));
    }
    for driver in store.drivers()? {
        if driver != DRIVER {
            let why = format!(
                "layers of the storage driver {driver} cannot be moved, only those of {DRIVER}. `podman save` \
                 the images, and `podman load` them there"
            );
            return Err(PodmanError::in_the_way(
                store.path.join(format!("{driver}-layers")),
                why,
            ));
        }
    }
    if !store.path.join(DRIVER).is_dir() {
        let why = "is not there: the store has no layers of this storage driver";
        return Err(PodmanError::in_the_way(store.path.join(DRIVER), why));
    }
    for layer in super::store::names(&store.path.join(DRIVER))? {
        let layer = store
            .path
            .join(DRIVER)
            .join(std::ffi::OsStr::from_bytes(&layer));
        if layer.join("composefs-data").symlink_metadata().is_ok() {
            let why = "is a layer of composefs, which idshift does not move. `podman save` its image, `podman rmi` it, and `podman load` it \
                       there";
            return Err(PodmanError::in_the_way(layer, why));
        }
    }
    let flag = format!("{DRIVER}/.has-mount-program");
    let has_program = store.file(&flag)?;
    if has_program.is_some_and(|(bytes, _)| bytes.trim_ascii() == b"true") {
        let why = "says that fuse-overlayfs wrote these layers, whose attributes idshift does not know. `podman save` the images, and \
                   `podman load` them there";
        return Err(PodmanError::in_the_way(store.path.join(flag), why));
    }
    Ok(())
}

pub(super) fn check_not_interrupted(store: &Store) -> Result<(), PodmanError> {
    let others = store.names()?.others;
    match others
        .iter()
        .any(|name| name.starts_with(MOVING.as_bytes()))
    {
        true => Err(PodmanError::in_the_way(
            &store.path,
            "a move was interrupted here. `idshift journal list` shows its journal: `idshift resume JOURNAL` finishes it, `idshift \
             rollback JOURNAL` undoes it. Do not start Podman before one of them has",
        )),
        false => Ok(()),
    }
}

/// Refuses a user namespace of its own, of a container or of a layer: its owners on disk are ids of this host, which mean
/// others to a user's Podman.
pub(super) fn check_maps(store: &Store) -> Result<(), PodmanError> {
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
        return Err(PodmanError::in_the_way(path(), why));
    }
    let layers = store.listed(DRIVER, "layers")?;
    if let Some(layer) = layers.iter().find(|layer| layer.has_map()) {
        let why = format!(
            "was made for a user namespace (--userns, --uidmap), whose ids the other Podman does not have. `podman rmi` of its \
             image removes it: `grep -l {} {}` finds what names it",
            layer.id,
            shell_word(&store.path.join(format!("{DRIVER}-images/images.json")))
        );
        return Err(PodmanError::in_the_way(
            store.path.join(DRIVER).join(&layer.id),
            why,
        ));
    }
    Ok(())
}

/// The database, and its bytes; `None`: the store has none, as no container was ever made. `owner`: whose Podman it is, and
/// how its database is read.
pub(super) fn read_database(
    store: &Store,
    (owner, read): (&str, Read),
) -> Result<Option<(Database, Vec<u8>)>, PodmanError> {
    if store.path.join(BOLT).symlink_metadata().is_ok() {
        let why = format!(
            "is a BoltDB database, which idshift does not rewrite. Podman 5.8 and later convert it: `podman system migrate \
             --migrate-db`, run as {owner}. Older ones cannot: there, move what you need with `podman save` and `podman volume \
             export`, or update Podman first"
        );
        return Err(PodmanError::in_the_way(store.path.join(BOLT), why));
    }
    for more in ["-journal", "-wal"] {
        let path = store.path.join(format!("{SQLITE}{more}"));
        if path.symlink_metadata().is_ok() {
            let why = format!(
                "belongs to a change of the database that was cut short. `podman ps -a`, run as {owner}, ends it"
            );
            return Err(PodmanError::in_the_way(path, why));
        }
    }
    let Some((bytes, _)) = store.file(SQLITE)? else {
        return Ok(None);
    };
    let path = store.path.join(SQLITE);
    let database = read(&bytes);
    let database = database.map_err(|error| PodmanError::in_the_way(path, error.to_string()))?;
    Ok(Some((database, bytes)))
}

/// A way to read a database.
pub(super) type Read = fn(&[u8]) -> Result<Database, DatabaseError>;

/// Refuses a database of another store, or one whose directories are elsewhere.
pub(super) fn check_directories(
    store: &Store,
    directories: &Directories,
) -> Result<(), PodmanError> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = store.path.join(SQLITE);
    if real(&directories.graph_root) != store.path {
        let why = format!(
            "is the database of the store {}. Name that one with --storage",
            shell_word(&directories.graph_root)
        );
        return Err(PodmanError::in_the_way(path, why));
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
            return Err(PodmanError::in_the_way(path, why));
        }
    }
    Ok(())
}

/// Refuses what is in the new place, unless it is of a Podman that was never used. Gives whether anything is there.
pub(super) fn check_unused(to: &Target) -> Result<bool, PodmanError> {
    if to.there.is_none() {
        return Ok(false);
    }
    let store = Store::at(to.path());
    check_not_interrupted(&store)?;
    let names = store.names()?;
    if let Some(name) = names.others.first() {
        let why = "is not Podman's, but the store goes there. Move it away, or choose another directory with --target";
        let name = std::ffi::OsStr::new(std::str::from_utf8(name).unwrap_or_default());
        return Err(PodmanError::in_the_way(store.path.join(name), why));
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
            return Err(PodmanError::in_the_way(path, why));
        }
    }
    let holds = store.holds()?;
    match holds.is_unused() {
        true => Ok(!names.ours.is_empty()),
        false => Err(PodmanError::in_the_way(
            &store.path,
            format!(
                "holds {holds} already. Two stores cannot be merged: `podman save` what you need of it, and move the directory \
                 away"
            ),
        )),
    }
}

/// What keeps the store from being moved now: the Podman of the new place.
pub(super) fn blockers(to: &Target, user: &RootlessUser) -> Vec<TransientBlocker> {
    let other = to.there.and_then(|_| Root::open(&to.path()).ok());
    let other = other.and_then(|root| check_not_in_use(&[root], true).err());
    let used = used_since_boot(user).map(|(path, reason)| TransientBlocker::Store { path, reason });
    other.into_iter().chain(used).collect()
}

/// Containers that run, or what else Podman has mounted in the store: as long as it is there, not all of the store can be seen.
pub(super) fn mounted(from: &Source, containers: &[ContainerRow]) -> Option<TransientBlocker> {
    let active = containers.iter().filter(|it| it.is_active());
    let active: Vec<&str> = active.map(|it| it.name.as_str()).collect();
    if let Some(first) = active.first() {
        let reason = format!(
            "the container {first}{more} runs, or was not cleaned up. `podman stop {names}`, run as root, and `podman container \
             cleanup {names}` end that",
            more = super::and_more(active.len()),
            names = active.join(" ")
        );
        let path = from.path.clone();
        return Some(TransientBlocker::Store { path, reason });
    }
    let point = mountinfo::first_below(&from.path)?;
    let reason = format!(
        "is mounted on. `podman umount --all` and `podman volume unmount VOLUME`, run as root, end what Podman has mounted; what \
         else there is, `umount {}` does",
        shell_word(&point)
    );
    Some(TransientBlocker::Store {
        path: point,
        reason,
    })
}

/// A Podman that was used since the boot does not set up containers that come later: their locks and directories in `/run`
/// are made for all at its first start.
fn used_since_boot(user: &RootlessUser) -> Option<(PathBuf, String)> {
    let directories = Directories::rootless(Path::new("/"), user.root.0);
    let locks = PathBuf::from(format!("/dev/shm/libpod_rootless_lock_{}", user.root.0));
    let (found, files) = made_since_boot(&directories, &locks)?;
    let reason = format!(
        "the Podman of {name} was used since the boot, and would not start containers that come later. Run as {name}: `podman \
         system migrate && rm -f {files}`",
        name = user.name
    );
    Some((found, reason))
}

/// The same of root's, which has no containers.
pub(super) fn used_by_root_since_boot() -> Option<(PathBuf, String)> {
    let directories = Directories::rootful(Path::new("/"));
    let (found, files) = made_since_boot(&directories, Path::new("/dev/shm/libpod_lock"))?;
    let reason = format!(
        "the Podman of root was used since the boot, and would give locks of volumes that come later to others. It has no \
         containers: `rm -f {files}` lets it begin anew"
    );
    Some((found, reason))
}

/// What is there of the two that Podman makes at its first start, and both for a command line.
fn made_since_boot(directories: &Directories, locks: &Path) -> Option<(PathBuf, String)> {
    let alive = directories.tmp_dir.join("alive");
    let mut of_boot = [alive.as_path(), locks].into_iter();
    let found = of_boot.find(|path| path.symlink_metadata().is_ok())?;
    let files = format!("{} {}", shell_word(&alive), shell_word(locks));
    Some((found.to_path_buf(), files))
}
