//! Containers that will not work as they are.

use serde::Serialize;

use crate::docker::container::{Container, volume_drivers};
use crate::docker::data_root::ContainerFiles;

/// A container that will not work as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Troubled {
    /// Its name.
    pub container: String,
    /// What is the matter.
    pub why: String,
    /// What helps.
    pub remedy: String,
}

/// What is the matter with this one.
pub fn troubles(container: &Container, files: &ContainerFiles) -> Vec<Troubled> {
    let trouble = |why: String, remedy: &str| Troubled {
        container: container.name.clone(),
        why,
        remedy: remedy.to_string(),
    };
    let mut troubles = Vec::new();
    if let Some(why) = container.obstacle() {
        troubles.push(trouble(
            format!("{why}: a remapped daemon does not start it"),
            "migrate with --set-userns-host, or make it anew with --userns=host",
        ));
    } else if container.userns_mode == "host" {
        troubles.push(trouble(
            "runs with --userns=host: it will see its files owned by the range, so sudo and setuid programs misbehave"
                .into(),
            "make it anew without --userns=host where that is possible",
        ));
    }
    // What does not parse is told elsewhere.
    for (volume, driver) in volume_drivers(&files.config).unwrap_or_default() {
        troubles.push(trouble(
            format!("uses volume {volume} of the driver {driver}: its files are not shifted"),
            "shift them where they are kept, or see that the driver hands them over with the range's owners",
        ));
    }
    troubles
}
