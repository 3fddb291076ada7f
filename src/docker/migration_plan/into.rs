//! Into the range: the plain docker root becomes the remapped one.

use super::{SetAsideNames, Survey, Trees};
use crate::docker::DockerError;
use crate::docker::conversion::leftover::staging_name;
use crate::docker::data_root::names;
use crate::docker::steps::{CONTAINERS, StepList};

/// Adds the steps that rename all of the plain root into the remapped one.
pub(super) fn rename_entries(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
    trees: &Trees,
) -> Result<SetAsideNames, DockerError> {
    let locations = &survey.locations;
    let (source, target) = (locations.source(), locations.target());
    let is_copy = !source.is_empty();
    if !is_copy {
        steps.park_containers(&source)?;
    }
    let unused_root = steps.set_unused_remapped_root_aside(&locations.range_dir)?;
    let mut entries = match is_copy {
        true => names(&locations.source_dir())?,
        false => survey.plain_names.clone(),
    };
    let drivers = use_conversion(steps, survey, trees, &mut entries)?;
    make_root(steps, survey, &mut entries)?;
    for name in entries.iter().filter(|name| *name != CONTAINERS) {
        let from = [&source[..], &[name]].concat();
        let to = [&target[..], &[name]].concat();
        steps.rename(&from, &to)?;
    }
    Ok(SetAsideNames {
        unused_root,
        drivers,
        left_root: None,
    })
}

/// Where the containerd image store is converted: sets the empty directories of storage drivers aside, and renames
/// snapshots into the staging directory. What was set aside is taken out of `entries`; its place is returned.
fn use_conversion(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
    trees: &Trees,
    entries: &mut Vec<String>,
) -> Result<Option<String>, DockerError> {
    let (Some(conversion), Some(snapshots)) = (&survey.conversion, &trees.snapshots) else {
        return Ok(None);
    };
    let empty = survey.store.empty_drivers();
    let aside = steps.set_drivers_aside(&survey.locations.source(), "plain", empty)?;
    entries.retain(|name| !empty.contains(name) || name == "image");
    if let Some(staging) = &survey.request.staging {
        steps.use_staging(staging);
    }
    let staging = staging_name(&survey.locations.range_dir);
    steps.rename_snapshots(conversion, snapshots, &staging)?;
    Ok(aside)
}

/// Makes the remapped root. What has gone into it by then is taken out of `entries`.
fn make_root(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
    entries: &mut Vec<String>,
) -> Result<(), DockerError> {
    let locations = &survey.locations;
    let range_dir = locations.range_dir.as_str();
    match &survey.request.staging {
        Some(staging) => {
            let root_of_host = match locations.by_mount {
                true => survey.remap.root,
                false => (0, 0),
            };
            if locations.by_mount {
                steps.make_idmapped_holder(range_dir, &survey.remap, true)?;
            }
            let (source, target) = (locations.source(), locations.target());
            steps.make_root_of_staging(staging, (&source, &target), root_of_host)?;
            entries.retain(|name| name != "image");
        }
        None if locations.by_mount => steps.make_idmapped_root(range_dir, &survey.remap)?,
        None => {
            steps.make_remapped_root(range_dir, survey.remap.root.1);
            steps.add_guard(&[range_dir]);
        }
    }
    Ok(())
}
