//! Where a store is, and whether it can go to the other place.

use std::path::Path;

use nix::unistd::{Uid, User};

use super::PodmanError;
use super::store::Store;
use crate::docker::data_root::is_daemon_root;
use crate::docker::rootless::place::{Source, Target, stat_of};
use crate::docker::rootless::user::RootlessUser;
use crate::fs::escape::shell_word;

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
