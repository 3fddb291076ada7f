//! What must be so before a docker root is given another place.

use std::path::Path;

use super::metadata::ContainerWithFiles;
use crate::docker::data_root::{DockerRoot, Holds, MOVING, is_remapped_name, names, plain_names};
use crate::docker::image_store::{self, ContainerdStore};
use crate::docker::path_owner::is_daemon_name;
use crate::docker::{DockerError, Reason};
use crate::fs::Root;
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_not_in_use;
use crate::store_move::place::Target;
use crate::store_move::place_checks::Labels;

/// Storage drivers whose layers are the same for a rootless daemon, but for owners and attributes.
pub const DRIVERS: [&str; 2] = ["overlay2", "vfs"];

/// What messages call a data-root.
pub(super) const WORDS: Labels = Labels {
    store: "data-root",
    engine: "daemon",
    option: "--to",
    below: "docker",
    setting: "\"data-root\"",
    file: ".config/docker/daemon.json",
};

pub(super) fn check_content(root: &DockerRoot) -> Result<(), DockerError> {
    let all = names(&root.path)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(&root.path, Reason::Interrupted));
    }
    if !image_store::is_unused(root)? {
        return Ok(());
    }
    let remapped = all.iter().find(|name| is_remapped_name(name));
    Err(DockerError::in_the_way(
        &root.path,
        match remapped {
            Some(name) => format!(
                "has no images, containers or volumes of a plain daemon; {name} in it belongs to a remapped daemon. First \
                 `idshift docker revert`, which makes it plain, then `idshift docker migrate --rootless USER`"
            ),
            None => "has no images, containers or volumes. Is it the right one?".into(),
        },
    ))
}

pub(super) fn check_drivers(root: &DockerRoot) -> Result<(), DockerError> {
    root.check_drivers()?;
    for driver in root.drivers()? {
        let is_used = !root.graph_driver_holds(&driver)?.is_unused();
        if is_used && !DRIVERS.contains(&&driver[..]) {
            return Err(DockerError::in_the_way(
                root.path.join(&driver),
                format!(
                    "layers of the storage driver {driver} cannot be given to a rootless daemon, only those of {}. \
                     `docker save` the images, and `docker load` them there",
                    DRIVERS.join(" and ")
                ),
            ));
        }
    }
    Ok(())
}

/// Of a plain daemon with images in containerd.
pub(super) const CONVERT: &str = "First `idshift docker migrate`, which makes overlay2 layers of them, and `idshift docker \
                                  revert`, which makes that a plain data-root; then `idshift docker migrate --rootless USER`";

/// Images in containerd belong to another program's directories.
pub(super) fn check_store(
    root: &DockerRoot,
    all: &[ContainerWithFiles],
    remedy: &str,
) -> Result<(), DockerError> {
    let containers = all.iter().map(|(container, _)| container);
    let store = ContainerdStore::of(root, &root.path, containers)?;
    if !store.is_there() {
        return Ok(());
    }
    Err(DockerError::InContainerd {
        path: root.path.clone(),
        what: store.what(),
        remedy: remedy.into(),
    })
}

/// Refuses what is in the new place, unless it is of a daemon that was never used. Gives whether anything is there.
pub(super) fn check_unused(to: &Target) -> Result<bool, DockerError> {
    if to.there.is_none() {
        return Ok(false);
    }
    let root = DockerRoot::at(to.path());
    let all = names(&root.path)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(&root.path, Reason::Interrupted));
    }
    if let Some(name) = all.iter().find(|name| !is_daemon_name(name.as_bytes())) {
        let why = "does not belong to a daemon, but the data-root goes there. Move it away, or choose another directory with \
                   --to";
        return Err(DockerError::in_the_way(root.path.join(name), why));
    }
    let holds = root.holds()?;
    match holds.is_unused() && !image_store::has_images(&root)? {
        true => Ok(!all.is_empty()),
        false => Err(DockerError::in_the_way(&root.path, merged(&holds))),
    }
}

fn merged(holds: &Holds) -> String {
    format!(
        "holds {holds} already. Two data-roots cannot be merged: save what you need of it with `docker save`, and move the \
         directory away"
    )
}

/// The daemon of the new place, while it runs.
pub(super) fn other_daemon(to: &Target) -> Option<TransientBlocker> {
    to.there?;
    let root = Root::open(&to.path()).ok()?;
    check_not_in_use(&[root], true).err()
}

/// Refuses what is in the plain data-root, unless it is of a daemon that was never used. Gives the names that a daemon made.
pub(super) fn check_unused_plain(top: &Path) -> Result<Vec<String>, DockerError> {
    let root = DockerRoot::at(top);
    let (plain, others) = plain_names(top)?;
    if others.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(top, Reason::Interrupted));
    }
    let holds = root.holds()?;
    if !holds.is_unused() || image_store::has_images(&root)? {
        return Err(DockerError::in_the_way(top, merged(&holds)));
    }
    let is_daemons = |name: &String| is_daemon_name(name.as_bytes());
    Ok(plain.into_iter().filter(is_daemons).collect())
}
