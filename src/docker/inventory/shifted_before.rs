//! What was shifted before, in a docker root and outside of it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::data_root::names;
use crate::docker::owner_stats::{Wanted, owner_stats};
use crate::docker::path_owner::{PathOwner, is_link, whose};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::remap::Remap;
use crate::engine::RunControl;
use crate::fs::Root;
use crate::idmap::{Direction, IdMap, Mapped, RangeMap};
use crate::ownership::FileType;
use crate::preflight;

/// Those of the host's directories and files that may be shifted at all, each tree once: no part of
/// the system and none of the data-root.
pub(super) fn shiftable(mut paths: Vec<PathBuf>, rewriter: &PathRewriter) -> Vec<PathBuf> {
    paths.sort();
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        let Ok(root) = Root::open(&path) else {
            continue;
        };
        let is_data = matches!(root.file_type, FileType::Directory | FileType::File);
        let data_root = rewriter.data_root();
        let is_ours = root.path.starts_with(data_root) || data_root.starts_with(&root.path);
        let is_new = !found.iter().any(|other| root.path.starts_with(other));
        if is_data && is_new && !is_ours && preflight::check_system_path(&root.path).is_ok() {
            found.push(root.path);
        }
    }
    found
}

/// Whether something belongs to the range, or anything in it as far as a look takes.
pub(super) fn is_in_range(path: &Path, map: &IdMap, control: RunControl<'_>) -> bool {
    let is_shifted = |uid: u32, gid: u32| {
        let of = |map: &RangeMap, id| matches!(map.map(id, Direction::OutOf), Mapped::To(_));
        of(&map.uids, uid) || of(&map.gids, gid)
    };
    let top = path.symlink_metadata();
    let owners = owner_stats(path, Wanted::default(), control).map(|census| census.owners);
    let mut owners = owners.iter().flatten().filter_map(|(owner, _)| {
        let (uid, gid) = owner.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    });
    top.is_ok_and(|top| is_shifted(top.uid(), top.gid()))
        || owners.any(|(uid, gid)| is_shifted(uid, gid))
}

/// What somebody keeps in the docker root that is in the range though no container binds it any more.
pub(super) fn forgotten(
    (rewriter, remap): (&PathRewriter, &Remap),
    known: &[PathBuf],
    control: RunControl<'_>,
) -> Result<Vec<PathBuf>, DockerError> {
    let mut found = Vec::new();
    let mut dirs = vec![
        rewriter.from().to_path_buf(),
        rewriter.from().join("volumes"),
    ];
    while let Some(dir) = dirs.pop() {
        for path in names(&dir)?.iter().map(|name| dir.join(name)) {
            if whose(rewriter, &path) != Some(PathOwner::Own)
                || known.contains(&path)
                || is_link(&path)
            {
                continue;
            }
            if known.iter().any(|known| known.starts_with(&path)) {
                dirs.push(path);
            } else if is_in_range(&path, &remap.map, control) {
                found.extend(rewriter.new_path(&path));
            }
        }
    }
    Ok(found)
}
