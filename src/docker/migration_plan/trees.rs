//! The trees whose inodes a migration looks at.

use std::path::PathBuf;

use super::Survey;
use crate::docker::layout::SnapshotTrees;

/// In the order of their numbers: the data-root, the bind mounts that are shifted in place, and containerd's directory,
/// where snapshots become layers and it is outside the data-root.
pub(super) struct Trees {
    pub paths: Vec<PathBuf>,
    /// Which snapshots in them become layers.
    pub snapshots: Option<SnapshotTrees>,
}

impl Trees {
    pub fn of(survey: &Survey<'_>) -> Trees {
        let data_root = &survey.locations.data_root;
        let mut paths = vec![data_root.clone()];
        paths.extend(survey.inventory.in_place.iter().cloned());
        let Some(conversion) = &survey.conversion else {
            return Trees {
                paths,
                snapshots: None,
            };
        };
        let snapshots = conversion.snapshot_trees(data_root, paths.len());
        let containerd = &conversion.containerd.path;
        if !containerd.starts_with(data_root) {
            paths.push(containerd.clone());
        }
        Trees {
            paths,
            snapshots: Some(snapshots),
        }
    }
}
