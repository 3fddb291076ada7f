//! What refuses to move a root to another range.

use std::path::Path;

use super::map::bad_maps;
use crate::docker::data_root::{DockerRoot, MOVING, is_remapped_name, names};
use crate::docker::reason::Instead;
use crate::docker::{DockerError, Reason, image_store};
use crate::host::range_users::{self, SharedRange};
use crate::idmap::IdMap;

/// Refuses where there is nothing to move, or a run has not ended.
pub(super) fn check_is_there(data_root: &Path, root: &Path) -> Result<(), DockerError> {
    let all = names(data_root)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(data_root, Reason::Interrupted));
    }
    if root.is_symlink() {
        let why = "is a symlink, which idshift does not follow. Move the directory itself here, without \
        renaming anything in it";
        return Err(DockerError::in_the_way(root, why));
    }
    let docker_root = DockerRoot::at(root);
    if root.is_dir() && !image_store::is_unused(&docker_root)? {
        return Ok(());
    }
    let others: Vec<String> = all
        .into_iter()
        .filter(|name| is_remapped_name(name))
        .collect();
    let instead = match others.is_empty() {
        true => Instead::NoRoot,
        false => Instead::OtherRanges(others),
    };
    Err(DockerError::in_the_way(
        root,
        Reason::NoContentToMove(instead),
    ))
}

/// Refuses a range that accounts of this host are in. Gives the lines that give ids of it to others than its owners.
pub(super) fn check_range_is_free(
    map: &IdMap,
    owners: &[String],
) -> Result<Vec<SharedRange>, DockerError> {
    let users = range_users::of_map(map, owners);
    let inside = users.accounts.iter().filter(|it| it.container != 0);
    let names: Vec<String> = inside
        .map(|it| format!("{} ({} {})", it.name, it.ids, it.id))
        .collect();
    match names.is_empty() {
        true => Ok(users.shared_ranges),
        false => Err(bad_maps(format!(
            "host accounts are inside {map}, and containers' files would belong to them: {}",
            names.join(", ")
        ))),
    }
}
