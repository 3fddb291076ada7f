//! What the owners of each inode become in a migration.

use super::{Survey, Trees};
use crate::docker::DockerError;
use crate::docker::conversion::leftover::staging_name;
use crate::docker::idmapped;
use crate::docker::idmapped::layout::{MakeIdmapped, RevertIdmapped};
use crate::docker::layout::Layout;
use crate::docker::steps::StepList;
use crate::engine::Policy;
use crate::idmap::MountMap;

/// The layout of a data-root whose owners are changed.
pub(super) fn layout(survey: &Survey<'_>, trees: &Trees) -> Layout {
    let bytes = |name: &String| name.clone().into_bytes();
    let (locations, inventory) = (&survey.locations, &survey.inventory);
    let volumes = inventory.volumes.iter().map(|it| &it.volume);
    let conversion = survey.conversion.as_ref();
    Layout {
        direction: survey.request.options.direction,
        root_uid: survey.remap.root.0,
        root_gid: survey.remap.root.1,
        subdir: locations.source().first().map(|name| name.to_string()),
        others: survey.other_names.iter().map(bytes).collect(),
        elsewhere: volumes.map(bytes).collect(),
        own_trees: inventory.own_trees.clone(),
        sides_overlap: survey.remap.map.sides_overlap().is_some(),
        staging: conversion.map(|_| staging_name(&locations.range_dir).into_bytes()),
        snapshots: trees.snapshots.clone(),
    }
}

/// The policy of the walk. For a mount, only the daemon's metadata changes owners on the way in; on the way out, what
/// belongs to root of the host through it is given back.
pub(super) fn policy(
    survey: &Survey<'_>,
    steps: &StepList<'_>,
    layout: Layout,
) -> Result<Box<dyn Policy>, DockerError> {
    let rewritten = || steps.rewritten(&survey.locations.target());
    Ok(match &survey.locations.idmapped {
        Some(root) => Box::new(RevertIdmapped {
            place: idmapped::place(&survey.locations.range_dir),
            rewritten: rewritten(),
            since: root.since(survey.request.options.undated)?,
        }),
        None if survey.request.options.idmapped => Box::new(MakeIdmapped {
            layout,
            shown: MountMap::exchange(&survey.remap.map),
            rewritten: rewritten(),
        }),
        None => Box::new(layout),
    })
}
