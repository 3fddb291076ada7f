//! Out of the range: the remapped docker root becomes the plain one.

use super::{SetAsideNames, Survey};
use crate::docker::DockerError;
use crate::docker::data_root::names;
use crate::docker::steps::{CONTAINERS, StepList};

/// Adds the steps that rename all of the remapped root into the data-root.
pub(super) fn rename_entries(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
) -> Result<SetAsideNames, DockerError> {
    let locations = &survey.locations;
    survey.store.check_plain_root(&locations.data_root)?;
    let source = locations.source();
    for depth in 1..=source.len() {
        steps.keep_mtime(&source[..depth])?;
    }
    steps.park_containers(&source)?;
    if locations.by_mount {
        steps.unmount(&locations.range_dir);
    }
    let unused_root = steps.set_unused_plain_root_aside(&survey.plain_names)?;
    let empty = survey.store.drivers_to_set_aside();
    let drivers = steps.set_drivers_aside(&source, &locations.range_dir, empty)?;
    for name in names(&locations.source_dir())? {
        if !empty.contains(&name) && name != CONTAINERS {
            steps.rename(&[&source[..], &[&name]].concat(), &[&name])?;
        }
    }
    Ok(SetAsideNames {
        unused_root,
        drivers,
        left_root: None,
    })
}
