//! What a conversion asks of the host beside a store that is whole. Dry run, audit and run ask the same.

use std::path::Path;

use super::leftover;
use super::plan::{Conversion, NAMESPACE};
use crate::docker::DockerError;
use crate::docker::daemon_start::image_options::ImageOptions;
use crate::fs::space::Amount;
use crate::store_move::copy::free_space::check_space_for_copy;

/// Whether the daemon that is started after a conversion looks for what it makes.
///
/// # Errors
/// It is told another driver than overlay2.
pub fn check_storage_driver(options: &ImageOptions) -> Result<(), DockerError> {
    let told = options.storage_driver.as_ref();
    let Some(told) = told.filter(|it| it.value != "overlay2") else {
        return Ok(());
    };
    let why = format!(
        "has {}, and what is in the containerd image store becomes layers of overlay2, which a remapped daemon would not \
         look for then. Remove `storage-driver` from it first",
        told.text
    );
    Err(DockerError::in_the_way(&told.place, why))
}

/// Whether a plain daemon that uses the containerd image store keeps images where they are looked for.
///
/// # Errors
/// It is told another namespace.
pub fn check_namespace(options: &ImageOptions) -> Result<(), DockerError> {
    let told = options.namespace.as_ref();
    let Some(told) = told.filter(|it| it.value != NAMESPACE) else {
        return Ok(());
    };
    let why = format!(
        "has {}, so the images are in that namespace of containerd, and only those in {NAMESPACE} are converted. With the \
         plain daemon, `docker save` the images that you need. Remove the option, restart Docker, `docker load` them, then \
         run this again",
        told.text
    );
    Err(DockerError::in_the_way(&told.place, why))
}

/// Whether there is room in the data-root for what is copied and unpacked; of the latter, `unpacked` is known. `range`:
/// the name of the remapped root.
///
/// # Errors
/// There is not.
pub fn check_space(
    conversion: &Conversion,
    (top, range): (&Path, &str),
    unpacked: Amount,
) -> Result<(), DockerError> {
    let copied = conversion.copied_size(top)?;
    let takes = Amount {
        bytes: copied.bytes.saturating_add(unpacked.bytes),
        inodes: copied.inodes + unpacked.inodes,
    };
    let help = "Make room for layers of the containerd image store that cannot be renamed";
    Ok(check_space_for_copy(
        (top, leftover::freed_space(top, range)),
        takes,
        help,
    )?)
}
