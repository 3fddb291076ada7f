//! All files that a conversion adds, made in a directory of its own in the data-root before anything is changed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::plan::{Conversion, PlannedLayer};
use crate::docker::DockerError;
use crate::docker::data_root::CONVERTED;
use crate::docker::graph::blob::Blob;
use crate::docker::graph::layer::OverlayDir;
use crate::docker::graph::store::{GraphRoot, Repositories, content_size};
use crate::docker::graph::tar_split::split_layer;
use crate::engine::Cancel;
use crate::fs::Identity;
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::{PinnedFile, file_ops};
use crate::oci::digest::{Digest, HashingReader};
use crate::ownership::Mode as Bits;

/// Something that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The names that lead there from the data-root.
    pub path: Vec<Vec<u8>>,
    /// Which inode it is.
    pub identity: Identity,
}

/// The directory that becomes the remapped daemon's root.
#[derive(Clone, Debug)]
pub struct Staging {
    dir: PathBuf,
    /// When the data-root was last modified, before.
    top_mtime_ns: i64,
    /// Its name in the data-root.
    pub name: String,
    /// It, and all in it: what is above comes before what is below.
    pub made: Vec<Made>,
}

/// The name for a range.
pub fn staging_name(range: &str) -> String {
    format!("{CONVERTED}{range}")
}

fn check_diff_id(path: &Path, planned: &PlannedLayer, found: &Digest) -> Result<(), DockerError> {
    let expected = &planned.layer.diff_id;
    match found == expected {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            path,
            format!("is another layer than its image says: {found}, and not {expected}"),
        )),
    }
}

impl Staging {
    /// Whether nothing has its place.
    ///
    /// # Errors
    /// An earlier run that was cut short left it.
    pub fn check_is_free(top: &Path, range: &str) -> Result<(), DockerError> {
        let dir = top.join(staging_name(range));
        match dir.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(_) => Err(DockerError::in_the_way(
                &dir,
                format!(
                    "is left of a conversion that was cut short before it changed anything, and belongs to nobody: \
                     `rm -rf {}`, then again",
                    shell_word(&dir)
                ),
            )),
        }
    }

    /// Makes it. What is left of one that fails is removed.
    ///
    /// # Errors
    /// The disk is full, a blob is damaged, or somebody asked to stop.
    pub fn make(
        conversion: &Conversion,
        top: &Path,
        range: &str,
        root_gid: u32,
        cancel: &Cancel,
    ) -> Result<Staging, DockerError> {
        Staging::check_is_free(top, range)?;
        if conversion.in_use {
            let path = &conversion.containerd.path;
            let why = "is in use by containerd. Stop it: `systemctl stop docker.socket docker containerd`";
            return Err(DockerError::in_the_way(path, why));
        }
        let name = staging_name(range);
        let dir = top.join(&name);
        let failed = DockerError::io(&dir);
        let above =
            open_dir(rustix::fs::CWD, top).map_err(|errno| DockerError::io(top)(errno.into()))?;
        let owner = file_ops::Owner {
            uid: 0,
            gid: root_gid,
            mode: Bits::from_st_mode(0o710),
        };
        let top_mtime_ns = file_ops::mtime_ns(&above).map_err(DockerError::io(top))?;
        file_ops::make_dir(above.as_fd(), name.as_bytes(), owner).map_err(failed)?;
        let mut staging = Staging {
            dir,
            top_mtime_ns,
            name,
            made: Vec::new(),
        };
        let filled = staging.fill(conversion, cancel);
        let listed = filled.and_then(|()| staging.list());
        let synced = listed.and_then(|()| {
            let synced = rustix::fs::syncfs(&above).map_err(std::io::Error::from);
            // As it was: a run that is undone leaves it so, and a daemon that starts meanwhile is seen by it.
            let synced = synced.and_then(|()| file_ops::set_mtime(&above, top_mtime_ns));
            synced.map_err(DockerError::io(&staging.dir))
        });
        match synced {
            Ok(()) => Ok(staging),
            Err(error) => {
                staging.remove_unfinished();
                Err(error)
            }
        }
    }

    /// Takes it away again, when no step was taken: what was made, each inode by itself. Whatever else is in it by
    /// then, the files of a layer above all, stays.
    pub fn remove(&self) {
        let above = self.dir.parent().unwrap_or(&self.dir);
        for made in self.made.iter().rev() {
            let names = made.path.iter().map(|name| OsStr::from_bytes(name));
            let path = names.fold(above.to_path_buf(), |path, name| path.join(name));
            let stat = PinnedFile::path(&path).and_then(|pin| pin.stat());
            // What is still there then is found in the way by the next run.
            let _ = match stat {
                Ok(stat) if stat.identity != made.identity => continue,
                Ok(stat) if stat.is_dir() => std::fs::remove_dir(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(_) => continue,
            };
        }
        self.reset_time();
    }

    /// Takes away what is half made, before any of it is known to anybody.
    fn remove_unfinished(&self) {
        let _ = std::fs::remove_dir_all(&self.dir);
        self.reset_time();
    }

    /// The data-root was modified when it was before, unless something is left in it.
    fn reset_time(&self) {
        let above = self.dir.parent().map(|top| open_dir(rustix::fs::CWD, top));
        if let (Err(_), Some(Ok(above))) = (self.dir.symlink_metadata(), above) {
            let _ = file_ops::set_mtime(&above, self.top_mtime_ns);
        }
    }

    fn fill(&self, conversion: &Conversion, cancel: &Cancel) -> Result<(), DockerError> {
        let io = |error| DockerError::io(&self.dir)(error);
        let root = open_dir(rustix::fs::CWD, &self.dir).map_err(|errno| io(errno.into()))?;
        let graph = GraphRoot::create(root.as_fd()).map_err(io)?;
        for layer in &conversion.layers {
            if cancel.is_requested() {
                let why = "the conversion was interrupted. Nothing was changed";
                return Err(DockerError::in_the_way(&self.dir, why));
            }
            self.add_layer(&graph, conversion, layer)?;
        }
        let mut repositories = Repositories::default();
        for image in &conversion.images {
            let bytes = conversion.containerd.content().document(&image.config)?;
            let id = graph.add_image(&bytes, &image.metadata).map_err(io)?;
            for name in &image.references {
                repositories.add(&name.repository, &name.reference, &id);
            }
        }
        graph.add_repositories(&repositories).map_err(io)?;
        for container in conversion.containers.values() {
            let dirs: [(Option<&OverlayDir>, bool); 2] = [
                (container.layers.init.as_ref(), true),
                (Some(&container.layers.dir), false),
            ];
            for (dir, committed) in dirs {
                if let Some(dir) = dir {
                    graph.add_dir(dir, committed).map_err(io)?;
                }
            }
            graph.add_container(&container.layers).map_err(io)?;
        }
        Ok(())
    }

    /// Reads every layer as [`Staging::make`] does, and makes nothing: for a dry run.
    ///
    /// # Errors
    /// A blob is damaged or not what its image says.
    pub fn check_layers(conversion: &Conversion, cancel: &Cancel) -> Result<(), DockerError> {
        let content = conversion.containerd.content();
        for planned in &conversion.layers {
            if cancel.is_requested() {
                break;
            }
            let path = content.path(&planned.blob);
            let failed = |error| DockerError::io(&path)(error);
            let mut blob =
                Blob::new(content.open(&planned.blob)?, &planned.blob).map_err(failed)?;
            let diff_id = HashingReader::new(&mut blob).drain().map_err(failed)?;
            blob.finish().map_err(failed)?;
            check_diff_id(&path, planned, &diff_id)?;
        }
        Ok(())
    }

    fn add_layer(
        &self,
        graph: &GraphRoot,
        conversion: &Conversion,
        planned: &PlannedLayer,
    ) -> Result<(), DockerError> {
        let io = |error| DockerError::io(&self.dir)(error);
        let files = conversion.snapshot_dir(planned.snapshot);
        let of_files = |error| DockerError::io(&files)(error);
        let diff = open_dir(rustix::fs::CWD, &files).map_err(|errno| of_files(errno.into()))?;
        graph.add_dir(&planned.layer.dir, true).map_err(io)?;
        let size = content_size(diff.as_fd()).map_err(of_files)?;
        let entry = graph.add_layer(&planned.layer, size).map_err(io)?;
        let content = conversion.containerd.content();
        let path = content.path(&planned.blob);
        let of_blob = |error| DockerError::io(&path)(error);
        let blob: File = content.open(&planned.blob)?;
        let mut blob = Blob::new(blob, &planned.blob).map_err(of_blob)?;
        let out = entry.tar_split().map_err(io)?;
        let split = split_layer(&mut blob, diff.as_fd(), out);
        let split = split.map_err(|error| DockerError::in_the_way(&path, error.to_string()))?;
        blob.finish().map_err(of_blob)?;
        check_diff_id(&path, planned, &split.diff_id)
    }

    /// Notes what was made.
    fn list(&mut self) -> Result<(), DockerError> {
        let above = self.dir.parent().unwrap_or(&self.dir).to_path_buf();
        for entry in walkdir::WalkDir::new(&self.dir).sort_by_file_name() {
            let entry = entry.map_err(|error| DockerError::io(&self.dir)(error.into()))?;
            let pinned = PinnedFile::path(entry.path()).and_then(|pin| pin.stat());
            let stat = pinned.map_err(|errno| DockerError::io(entry.path())(errno.into()))?;
            let below = entry.path().strip_prefix(&above).unwrap_or(entry.path());
            let names = below.iter().map(|name| name.as_bytes().to_vec());
            self.made.push(Made {
                path: names.collect(),
                identity: stat.identity,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_made_here_stays() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("idshift-convert-1.1");
        std::fs::create_dir_all(dir.join("overlay2/a")).unwrap();
        std::fs::create_dir_all(dir.join("image")).unwrap();
        std::fs::write(dir.join("overlay2/a/link"), "L").unwrap();
        std::fs::write(dir.join("image/repositories.json"), "{}").unwrap();
        let mut staging = Staging {
            dir: dir.clone(),
            top_mtime_ns: 5_000_000_000,
            name: "idshift-convert-1.1".into(),
            made: Vec::new(),
        };
        staging.list().unwrap();
        assert_eq!(staging.made.len(), 6);
        // The files of a layer are in it by now, and a file is another's.
        std::fs::create_dir(dir.join("overlay2/a/diff")).unwrap();
        std::fs::write(dir.join("overlay2/a/diff/data"), "precious").unwrap();
        std::fs::write(dir.join("image/other"), "{}").unwrap();
        std::fs::rename(dir.join("image/other"), dir.join("image/repositories.json")).unwrap();
        staging.remove();
        let text = std::fs::read_to_string(dir.join("overlay2/a/diff/data")).unwrap();
        assert_eq!(text, "precious");
        assert!(dir.join("image/repositories.json").exists());
        assert!(!dir.join("overlay2/a/link").exists());
        std::fs::remove_dir_all(dir.join("overlay2/a/diff")).unwrap();
        std::fs::remove_file(dir.join("image/repositories.json")).unwrap();
        staging.remove();
        assert!(!dir.exists());
        let time = std::fs::metadata(top.path()).unwrap().modified().unwrap();
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 5);
    }
}
