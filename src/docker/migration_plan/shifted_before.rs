//! Which host directories earlier migrations of a data-root shifted with it.

use std::path::{Path, PathBuf};

use crate::docker::conversion::plan::is_containerd;
use crate::docker::data_root::canonical;
use crate::journal::record::RunKind;
use crate::journal::root_line::RootLine;
use crate::journal::{Journal, Store};

/// The host directories that went into the range with this data-root, as the journals have it that are still there.
pub fn shifted_before(store: &Store, data_root: &Path) -> Vec<PathBuf> {
    let Ok(data_root) = canonical(data_root) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in store.files().unwrap_or_default() {
        let Ok(journal) = Journal::outline(&file) else {
            continue;
        };
        let path = |line: &RootLine| PathBuf::from(line.path.clone());
        let mut trees = journal.header.roots.iter().filter(|line| !line.steps_only);
        let is_of_root = trees.next().is_some_and(|line| path(line) == data_root);
        if is_of_root && journal.header.command == RunKind::DockerMigrate {
            found.extend(trees.map(path).filter(|path| !is_containerd(path)));
        }
    }
    found
}
