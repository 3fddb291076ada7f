//! The metadata of containers and volumes as it has to be after a migration.

use std::path::Path;

use super::Survey;
use super::survey::SurveyedContainer;
use crate::docker::DockerError;
use crate::docker::container::{
    rewrite_config, rewrite_hostconfig, set_userns_host, with_graph_driver,
};
use crate::docker::data_root::{ContainerFiles, not_json};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::steps::{CONTAINERS, StepList};

const CONFIG: &str = "config.v2.json";
const HOSTCONFIG: &str = "hostconfig.json";

/// The containers that cannot run remapped.
#[derive(Default)]
pub(super) struct Unsuitable {
    /// Names of those that are marked for the host's user namespace.
    pub marked: Vec<String>,
    /// Names of those that will not start, and why.
    pub will_not_start: Vec<(String, String)>,
}

/// Adds the steps that rewrite the containers' `config.v2.json` and `hostconfig.json`.
pub(super) fn rewrite_containers(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
) -> Result<Unsuitable, DockerError> {
    let all = survey.locations.source_dir().join(CONTAINERS);
    let mut unsuitable = Unsuitable::default();
    for it in &survey.containers {
        let (id, dir) = (&it.files.id, all.join(&it.files.id));
        let config = new_config(survey, it, &dir)?;
        steps.rewrite_container_file(&dir, id, CONFIG, &it.files.config, config)?;
        if let Some(before) = &it.files.hostconfig {
            let after = new_hostconfig(survey, it, (&dir, before), &mut unsuitable)?;
            steps.rewrite_container_file(&dir, id, HOSTCONFIG, before, after)?;
        }
    }
    Ok(unsuitable)
}

/// With the new paths; of a container whose snapshot becomes a layer, with the graph driver and its image there.
fn new_config(
    survey: &Survey<'_>,
    it: &SurveyedContainer,
    dir: &Path,
) -> Result<String, DockerError> {
    let config = config_with_new_paths(&it.files, dir, &survey.rewriter)?;
    let conversion = survey.conversion.as_ref();
    let Some(planned) = conversion.and_then(|all| all.containers.get(&it.files.id)) else {
        return Ok(config);
    };
    let image = planned.image_id(&survey.request.gone_images).to_string();
    with_graph_driver(&config, "overlay2", &image)
        .map_err(|error| not_json(&dir.join(CONFIG), &error))
}

/// With the new paths; of a container that cannot run remapped, with the host's user namespace where that is asked for.
fn new_hostconfig(
    survey: &Survey<'_>,
    it: &SurveyedContainer,
    (dir, before): (&Path, &str),
    unsuitable: &mut Unsuitable,
) -> Result<String, DockerError> {
    let after = hostconfig_with_new_paths(before, dir, &survey.rewriter)?;
    let Some(obstacle) = &it.obstacle else {
        return Ok(after);
    };
    let name = it.container.name.clone();
    if !survey.request.options.set_userns_host {
        unsuitable.will_not_start.push((name, obstacle.clone()));
        return Ok(after);
    }
    unsuitable.marked.push(name);
    let marked =
        set_userns_host(&after).map_err(|error| not_json(&dir.join(HOSTCONFIG), &error))?;
    Ok(marked.unwrap_or(after))
}

/// A container's `config.v2.json` with the paths of the other docker root. `dir`: its directory.
pub(in crate::docker) fn config_with_new_paths(
    files: &ContainerFiles,
    dir: &Path,
    rewriter: &PathRewriter,
) -> Result<String, DockerError> {
    rewrite_config(&files.config, &|path: &str| rewriter.path(path))
        .map_err(|error| not_json(&dir.join(CONFIG), &error))
}

/// A container's `hostconfig.json` with new paths.
pub(in crate::docker) fn hostconfig_with_new_paths(
    before: &str,
    dir: &Path,
    rewriter: &PathRewriter,
) -> Result<String, DockerError> {
    rewrite_hostconfig(before, &|path: &str| rewriter.path(path))
        .map_err(|error| not_json(&dir.join(HOSTCONFIG), &error))
}

/// Adds the steps that rewrite volumes' symlinks and options.
pub(super) fn edit_volumes(
    steps: &mut StepList<'_>,
    survey: &Survey<'_>,
) -> Result<(), DockerError> {
    let source = survey.locations.source_dir();
    let roots = (survey.rewriter.from(), source.as_path());
    for edit in survey.inventory.edits() {
        steps.edit_volume(edit, roots, &survey.locations.target())?;
    }
    Ok(())
}
