//! Snapshots of containerd become layers of the overlay2 graph driver.

use std::path::Path;

use super::StepList;
use crate::docker::DockerError;
use crate::docker::conversion::plan::{Conversion, Transfer};
use crate::docker::conversion::staging::Staging;
use crate::docker::data_root::names;
use crate::docker::layout::SnapshotTrees;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::store_move::mtime::mtime_step;

impl StepList<'_> {
    /// What was made for a conversion before the run; undone, it is removed.
    pub fn use_staging(&mut self, staging: &Staging) {
        self.early
            .extend(staging.made.iter().map(|made| Step::Staged {
                at: StepPath::new(0, &made.path),
                identity: made.identity,
                whole: made.whole,
            }));
    }

    /// The files of all snapshots that are not copied become those of layers in the staging directory.
    pub fn rename_snapshots(
        &mut self,
        conversion: &Conversion,
        trees: &SnapshotTrees,
        staging: &str,
    ) -> Result<(), DockerError> {
        if conversion.transfer == Transfer::Copy {
            return Ok(());
        }
        for (id, layer) in conversion.snapshots() {
            let files = conversion.snapshot_dir(id);
            self.rename_snapshot(trees, (id, &files), staging, layer)?;
        }
        Ok(())
    }

    /// The files of a snapshot become those of a layer.
    fn rename_snapshot(
        &mut self,
        trees: &SnapshotTrees,
        (id, files): (u64, &Path),
        staging: &str,
        layer: &str,
    ) -> Result<(), DockerError> {
        let stat = self.renameable(files)?;
        let id = id.to_string().into_bytes();
        let snapshots = trees.path.iter().map(Vec::as_slice);
        let dir: Vec<&[u8]> = snapshots.chain([&id[..]]).collect();
        let snapshot = files.parent().unwrap_or(files);
        let mtime = mtime_step(StepPath::new(trees.root, &dir), snapshot)?;
        self.early.push(mtime);
        let from = dir.iter().copied().chain([&b"fs"[..]]);
        self.early.push(Step::Rename {
            from: StepPath::new(trees.root, from),
            to: StepPath::new(0, [staging, "overlay2", layer, "diff"]),
            identity: stat.identity,
        });
        Ok(())
    }

    /// The staging directory becomes the docker root of a remapped daemon. What the plain daemon has in `image` beside
    /// storage drivers is renamed into it. `source`: the names that lead to the docker root of today; `target`: to the new
    /// one on disk.
    pub fn make_root_of_staging(
        &mut self,
        staging: &Staging,
        source: &[&str],
        target: &[&str],
    ) -> Result<(), DockerError> {
        self.rename(&[&staging.name], target)?;
        self.add_guard(target);
        let image = [source, &["image"]].concat();
        let path = self.path(&image);
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        self.keep_mtime(&image)?;
        for name in names(&path)? {
            if !path.join(&name).is_dir() {
                let from = [&image[..], &[&name]].concat();
                self.rename(&from, &[target, &["image", &name]].concat())?;
            }
        }
        let stat = self.renameable(&path)?;
        self.early.push(Step::RemoveDir {
            at: StepPath::new(0, image),
            made: NewDirectory {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }
}
