//! What is seen through the mount of an idmapped root becomes what is on disk: a root whose owners are changed.

use std::path::Path;

use super::{MigrateRequest, Migration};
use crate::docker::DockerError;
use crate::docker::data_root::names;
use crate::docker::idmapped::layout::MakePermanent;
use crate::docker::idmapped::{IdmappedRoot, place};
use crate::docker::inventory::Inventory;
use crate::docker::layout::Layout;
use crate::docker::path_owner::is_daemon_name;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::remap::Remap;
use crate::docker::steps::{CONTAINERS, MOUNT_POINT, StepList};
use crate::engine::Plan;
use crate::idmap::Direction;
use crate::journal::Step;
use crate::journal::step::StepPath;

/// Plans it.
///
/// # Errors
/// What is in the way. Nothing was changed.
pub(super) fn prepare(
    request: &MigrateRequest,
    remap: &Remap,
    root: &IdmappedRoot,
) -> Result<Migration, DockerError> {
    root.check_mounted()?;
    check_options(request, remap, root)?;
    check_is_docker_s(root)?;
    let (top, inner) = (&root.top, &root.range[..]);
    let moved = PathRewriter::new(&root.point(), &root.point(), Vec::new())?;
    let inventory = Inventory::of_mounts(&moved)?;
    inventory.check()?;
    let [holder, content] = place(inner);
    let place = [&holder[..], &content[..]];

    let mut steps = StepList::new(top, 1, None, inner)?;
    steps.keep_mtime(&place[..1])?;
    steps.keep_mtime(&place)?;
    steps.park_containers(&place)?;
    steps.unmount(inner);
    steps.early.push(Step::RemoveMountPoint {
        at: StepPath::new(0, [inner]),
        made: MOUNT_POINT,
    });
    steps.rename(&place, &[inner])?;
    steps.unpark_containers(&root.content().join(CONTAINERS), &[inner])?;
    steps.remove_mount_unit(inner)?;
    if let Some((file, userns_remap)) = request.new_daemon_json() {
        steps.write_daemon_json(file, userns_remap)?;
    }
    steps.remove_idmapped_holder(root)?;
    let policy = MakePermanent {
        place: [holder, content],
        layout: Layout::plain(Direction::Into, remap.root),
        since: root.since(None)?,
    };
    let shift = request.shift_request(remap, vec![top.to_path_buf()]);
    let plan = Plan::new(shift, Box::new(policy), steps.finish());
    Migration::of_plan(plan, remap, (top, root), inventory)
}

/// Refuses what has no meaning here, and ranges that are others now.
fn check_options(
    request: &MigrateRequest,
    remap: &Remap,
    root: &IdmappedRoot,
) -> Result<(), DockerError> {
    let point = root.point();
    if remap.map != root.map {
        let why = format!(
            "is mounted with other ranges ({}) than {} has now ({}). `idshift docker revert`, then migrate",
            root.map, remap.user, remap.map
        );
        return Err(DockerError::in_the_way(point, why));
    }
    let given = [
        ("--copy", request.options.copy),
        ("--bind-mounts", request.options.bind_mounts),
        ("--set-userns-host", request.options.set_userns_host),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(with(option, &point)),
        None => Ok(()),
    }
}

/// Refuses what somebody keeps among the daemon's directories: whose it is, containers or the host, is not known.
fn check_is_docker_s(root: &IdmappedRoot) -> Result<(), DockerError> {
    let content = root.content();
    let all = names(&content)?;
    match all.iter().find(|name| !is_daemon_name(name.as_bytes())) {
        Some(name) => Err(DockerError::in_the_way(
            content.join(name),
            "does not belong to the daemon, and idshift does not know whether its owners are ids of \
            containers. Move it out of the data-root, and run this again",
        )),
        None => Ok(()),
    }
}

fn with(option: &str, point: &Path) -> DockerError {
    let why = format!(
        "is remapped by a mount already, and only its owners on disk have to change: run this again without \
        {option}"
    );
    DockerError::in_the_way(point, why)
}
