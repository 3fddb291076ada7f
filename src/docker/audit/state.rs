//! Which daemon's data a data-root holds: a plain one's, or a remapped one's.

use std::path::Path;

use serde::Serialize;

use crate::docker::data_root::{DockerRoot, Holds, is_remapped_name, names};
use crate::docker::idmapped::IdmappedRoot;
use crate::docker::remap::Remap;
use crate::docker::{DockerError, image_store};

/// Whose images, containers and volumes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootState {
    /// Nobody's.
    Empty,
    /// A plain daemon's.
    Plain,
    /// A remapped daemon's, by changed owners.
    Remapped,
    /// A remapped daemon's, by a mount.
    Idmapped,
    /// A plain daemon's and a remapped one's.
    Both,
}

/// The state of a data-root, and what the daemon that it is for has. `plain`: what the plain root holds. Of remapped
/// roots, that of this range counts; where no range is known, each.
///
/// # Errors
/// The data-root cannot be read.
pub fn state(
    top: &Path,
    plain: Holds,
    remap: Option<&Remap>,
    idmapped: &[IdmappedRoot],
) -> Result<(RootState, Holds), DockerError> {
    let range = remap.map(Remap::dir_name);
    let is_ours = |name: &str| range.as_deref().is_none_or(|range| range == name);
    let mut remapped = None;
    if let Some(root) = idmapped.iter().find(|root| is_ours(&root.range)) {
        remapped = Some((RootState::Idmapped, DockerRoot::at(root.content()).holds()?));
    }
    for name in names(top)? {
        if remapped.is_some() || !is_remapped_name(&name) || !is_ours(&name) {
            continue;
        }
        let root = DockerRoot::at(top.join(&name));
        if !image_store::is_unused(&root)? {
            remapped = Some((RootState::Remapped, root.holds()?));
        }
    }
    Ok(match (plain.is_unused(), remapped) {
        (true, None) => (RootState::Empty, plain),
        (false, None) => (RootState::Plain, plain),
        (true, Some(remapped)) => remapped,
        (false, Some(_)) => (RootState::Both, plain),
    })
}
