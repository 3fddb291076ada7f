//! What refuses to move a root to another range.

use std::path::Path;

use super::map::bad_maps;
use crate::docker::data_root::{DockerRoot, MOVING, is_remapped_name, names};
use crate::docker::reason::Instead;
use crate::docker::{DockerError, Reason, image_store};
use crate::host::range_users::{self, Inside, SharedRange};
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
    let names = strangers(&users.accounts, owners);
    match names.is_empty() {
        true => Ok(users.shared_ranges),
        false => Err(bad_maps(format!(
            "host accounts are inside {map}, and containers' files would belong to them: {}",
            names.join(", ")
        ))),
    }
}

/// Whom files of containers would belong to. The owner of the range may be the container's root, as by a migration.
fn strangers(inside: &[Inside], owners: &[String]) -> Vec<String> {
    let is_stranger = |it: &&Inside| it.container != 0 || !owners.contains(&it.name);
    let strangers = inside.iter().filter(is_stranger);
    strangers
        .map(|it| format!("{} ({} {})", it.name, it.ids, it.id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As with `jenkins:1005:1` before other lines; a recipe with `dockremap:1000:1` would give all of a container's
    /// root to somebody else.
    #[test]
    fn only_the_owner_of_a_range_is_the_root_of_containers() {
        let inside = |ids: &'static str, name: &str, container: u32| Inside {
            ids,
            id: 1005,
            name: name.into(),
            container,
        };
        let owners = ["jenkins".to_string(), "1005".into()];
        let all = [
            inside("uid", "jenkins", 0),
            inside("gid", "jenkins", 0),
            inside("uid", "ann", 0),
            inside("gid", "jenkins", 7),
        ];
        assert_eq!(
            strangers(&all, &owners),
            ["ann (uid 1005)", "jenkins (gid 1005)"]
        );
    }
}
