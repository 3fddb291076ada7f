//! Snapshots of containerd become layers of the overlay2 graph driver.

use std::path::Path;

use super::{StepList, stat};
use crate::docker::DockerError;
use crate::docker::conversion::plan::{Conversion, Transfer};
use crate::docker::conversion::staging::Staging;
use crate::docker::layer_store::store::STAGED_IMAGES;
use crate::docker::layout::SnapshotTrees;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::Mode;
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

    /// The staging directory becomes the docker root of a remapped daemon. `source`: the names that lead to the docker
    /// root of today; `target`: to the new one on disk; `owner`: root of the host on disk there.
    ///
    /// A plain daemon's `image` goes there as it is, and the images of the new storage driver into it: Docker 29 has files
    /// in it with the containerd image store too. It is not made anew, as a rollback would give the operator another one.
    pub fn make_root_of_staging(
        &mut self,
        staging: &Staging,
        (source, target): (&[&str], &[&str]),
        owner: (u32, u32),
    ) -> Result<(), DockerError> {
        self.rename(&[&staging.name], target)?;
        self.add_guard(target);
        let there = [source, &["image"]].concat();
        let image = [target, &["image"]].concat();
        match self.path(&there).symlink_metadata() {
            Ok(_) => {
                self.keep_mtime(&there)?;
                self.rename(&there, &image)?;
            }
            Err(_) => self.early.push(Step::MakeDir {
                at: StepPath::new(0, &image),
                made: NewDirectory {
                    uid: owner.0,
                    gid: owner.1,
                    mode: Mode::from_st_mode(0o700),
                },
            }),
        }
        let staged = stat(&self.path(&[&staging.name, STAGED_IMAGES]))?;
        self.early.push(Step::Rename {
            from: StepPath::new(0, [target, &[STAGED_IMAGES]].concat()),
            to: StepPath::new(0, [&image[..], &["overlay2"]].concat()),
            identity: staged.identity,
        });
        Ok(())
    }
}
