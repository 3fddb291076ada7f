//! The last steps of a migration: after them, the daemon may start.

use super::Survey;
use crate::docker::DockerError;
use crate::docker::steps::{CONTAINERS, StepList};
use crate::engine::Rule;
use crate::idmap::Direction;

/// Adds them. `data_root_rule`: the owner of the data-root itself. Gives the name that the docker root of before has then,
/// where it is kept.
pub(super) fn add_last_steps(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
    data_root_rule: Rule,
) -> Result<Option<String>, DockerError> {
    let (locations, request) = (&survey.locations, survey.request);
    steps.set_data_root_owner(data_root_rule)?;
    let containers = locations.source_dir().join(CONTAINERS);
    steps.unpark_containers(&containers, &locations.target())?;
    if locations.by_mount {
        match request.options.direction {
            Direction::Into if request.units => steps.make_mount_unit(&locations.range_dir)?,
            Direction::Into => {}
            Direction::OutOf => steps.remove_mount_unit(&locations.range_dir)?,
        }
    }
    if request.options.idmapped {
        steps.mount(&locations.range_dir)?;
    }
    if let Some((file, userns_remap)) = request.new_daemon_json() {
        steps.write_daemon_json(file, userns_remap)?;
    }
    remove_source(steps, survey)
}

/// Removes what is left of the docker root of before. This is last: until the daemon is told where its data is, the one
/// of before must not start without it.
fn remove_source(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
) -> Result<Option<String>, DockerError> {
    let locations = &survey.locations;
    let source = locations.source();
    let mut kept = None;
    match survey.request.options.direction {
        Direction::Into if source.is_empty() => steps.remove_guard(&source),
        Direction::Into => steps.remove_dir(&source)?,
        Direction::OutOf => {
            steps.remove_guard(&source);
            let known = &survey.request.known_roots;
            kept = steps.leave_root(&source, &locations.range_dir, known)?;
        }
    }
    if let Some(root) = &locations.idmapped {
        // What is kept is all that was beside the mount point.
        if kept.is_none() {
            steps.remove_idmapped_holder(root)?;
        }
        steps.remove_mount_point(&locations.range_dir);
    }
    Ok(kept)
}
