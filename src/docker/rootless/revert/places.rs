//! Whether the two data-roots are what they are said to be.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::rootless::recognise;
use crate::fs::escape::shell_word;
use crate::store_move::place::{Source, stat_of};
use crate::store_move::user::RootlessUser;

pub(super) fn check_places(
    user: &RootlessUser,
    from: &Source,
    to: &Path,
) -> Result<(), DockerError> {
    let one = &from.path;
    if one.starts_with(to) || to.starts_with(one) {
        let why = "is in the other data-root, or is the same. Name the right one with --from";
        return Err(DockerError::in_the_way(to, why));
    }
    recognise::check_is_none(to)?;
    match recognise::owner(one) {
        Some(uid) if uid == user.root.0 => Ok(()),
        Some(uid) => Err(DockerError::in_the_way(
            one,
            format!(
                "belongs to uid {uid}, but {} is uid {}. Name the user to whom it belongs: --rootless {uid}",
                user.name, user.root.0
            ),
        )),
        None => Err(DockerError::in_the_way(
            one,
            format!(
                "is not the data-root of a rootless daemon. {}",
                where_it_is(user)
            ),
        )),
    }
}

pub(super) fn check_is_there(path: &Path, user: &RootlessUser) -> Result<(), DockerError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(_) => {
            let why = format!("does not exist. {}", where_it_is(user));
            Err(DockerError::in_the_way(path, why))
        }
    }
}

/// How a rootless data-root is found.
fn where_it_is(user: &RootlessUser) -> String {
    format!(
        "`docker info -f '{{{{.DockerRootDir}}}}'`, run as {}, prints where it is; name that with --from DIR",
        user.name
    )
}

pub(super) fn check_same_filesystem(from: &Source, to: &Path) -> Result<(), DockerError> {
    let (here, there) = (stat_of(&from.path)?, stat_of(to)?);
    if (here.dev, here.mount_id) == (there.dev, there.mount_id) {
        return Ok(());
    }
    let why = format!(
        "is on another filesystem, or another mount, than {}. The data is renamed, not copied. Choose a plain data-root on that \
         filesystem with --data-root DIR, and set it as \"data-root\" in /etc/docker/daemon.json",
        shell_word(&from.path)
    );
    Err(DockerError::in_the_way(to, why))
}
