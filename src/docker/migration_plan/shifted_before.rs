//! Which host directories earlier migrations of a data-root shifted with it.

use std::path::{Path, PathBuf};

use crate::docker::conversion::plan::is_containerd;
use crate::docker::data_root::{DockerRoot, canonical, is_remapped_name, names};
use crate::docker::idmapped::IdmappedRoot;
use crate::docker::{DockerError, guidance};
use crate::fs::escape::{escaped, shell_word};
use crate::idmap::IdMap;
use crate::journal::record::{Header, RunKind};
use crate::journal::root_line::RootLine;
use crate::journal::{Journal, Store};

/// The host directories that went into a range with this data-root, each with the map, as the journals have it that are
/// still there. It need not be the range of today.
pub fn shifted_before(store: &Store, data_root: &Path) -> Vec<(PathBuf, IdMap)> {
    let Ok(data_root) = canonical(data_root) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in store.files().unwrap_or_default() {
        let Ok(journal) = Journal::outline(&file) else {
            continue;
        };
        let Some((of_root, others)) = trees_of_migration(&journal.header) else {
            continue;
        };
        if of_root == data_root {
            let paths = others.into_iter().filter(|path| !is_containerd(path));
            found.extend(paths.map(|path| (path, journal.header.map.clone())));
        }
    }
    found
}

/// The data-root of a migration, and the other trees that it shifted.
fn trees_of_migration(header: &Header) -> Option<(PathBuf, Vec<PathBuf>)> {
    let path = |line: &RootLine| PathBuf::from(line.path.clone());
    let mut trees = header.roots.iter().filter(|line| !line.steps_only);
    let data_root = path(trees.next()?);
    let is_migration = header.command == RunKind::DockerMigrate;
    is_migration.then(|| (data_root, trees.map(path).collect()))
}

/// Why a journal must stay, for people: it names host directories that were shifted with a data-root which is still
/// remapped, and nothing else tells `docker revert --bind-mounts` of those that no container binds any more.
pub fn needed_by_revert(journal: &Path, header: &Header) -> Option<String> {
    let (top, mut others) = trees_of_migration(header)?;
    others.retain(|path| !is_containerd(path));
    let first = others.first()?;
    let more = match others.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let what = format!("{}{more}", escaped(first));
    match is_remapped(&top) {
        Ok(false) => None,
        Ok(true) => Some(format!(
            "{} reads from it which host directories to shift back ({what}) while {} is remapped",
            guidance::REVERT_WITH_BIND_MOUNTS,
            escaped(&top)
        )),
        Err(error) => Some(format!(
            "whether {} needs it ({what}) cannot be told: {error}. If that data-root is gone for good: `rm {}`",
            guidance::REVERT_WITH_BIND_MOUNTS,
            shell_word(journal)
        )),
    }
}

/// Whether a data-root has a remapped root that holds something.
fn is_remapped(top: &Path) -> Result<bool, DockerError> {
    let top = canonical(top)?;
    for name in names(&top)? {
        let holds = |root: DockerRoot| Ok::<_, DockerError>(!root.holds()?.is_unused());
        if is_remapped_name(&name)
            && (IdmappedRoot::find(&top, &name)?.is_some()
                || holds(DockerRoot::at(top.join(&name)))?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
