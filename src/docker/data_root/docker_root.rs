//! A directory that a daemon works in, and how much it holds.

use std::path::PathBuf;

use super::{names, read_text};
use crate::docker::holds::Holds;
use crate::docker::{DockerError, Reason, storage_drivers};

/// A directory that a daemon works in: the data-root itself, or `<uid>.<gid>` in it.
#[derive(Clone, Debug)]
pub struct DockerRoot {
    /// Absolute path.
    pub path: PathBuf,
}

impl DockerRoot {
    /// In this directory.
    pub fn at(path: impl Into<PathBuf>) -> DockerRoot {
        DockerRoot { path: path.into() }
    }

    fn names(&self, below: &str) -> Result<Vec<String>, DockerError> {
        Ok(names(&self.path.join(below))?)
    }

    /// The storage drivers that have images here: mostly one.
    pub fn drivers(&self) -> Result<Vec<String>, DockerError> {
        // Docker 29 keeps a file beside them.
        let mut names = self.names("image")?;
        names.retain(|name| self.path.join("image").join(name).is_dir());
        Ok(names)
    }

    /// Refuses layers that are not plain directories.
    ///
    /// # Errors
    /// Names the driver.
    pub fn check_drivers(&self) -> Result<(), DockerError> {
        for driver in storage_drivers::drivers(false).map(|it| it.name) {
            if self
                .names(&format!("image/{driver}/layerdb/sha256"))
                .is_ok_and(|layers| !layers.is_empty())
            {
                let shifted: Vec<&str> = storage_drivers::drivers(true).map(|it| it.name).collect();
                return Err(DockerError::in_the_way(
                    self.path.join(driver),
                    format!(
                        "the storage driver {driver} keeps layers where they cannot be shifted (supported: \
                        {}). \
                         Save the images with `docker save`, and shift volumes and bind mounts with `idshift \
                         shift`",
                        shifted.join(", ")
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Counts what is here.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn holds(&self) -> Result<Holds, DockerError> {
        let mut holds = Holds {
            containers: self.container_ids()?.len(),
            volumes: self.volumes()?.len(),
            ..Holds::default()
        };
        for driver in self.drivers()? {
            let of_driver = self.graph_driver_holds(&driver)?;
            holds.images += of_driver.images;
            holds.layers += of_driver.layers;
        }
        Ok(holds)
    }

    /// Counts what one storage driver has.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn graph_driver_holds(&self, driver: &str) -> Result<Holds, DockerError> {
        let image = format!("image/{driver}");
        let content = self.names(&format!("{image}/imagedb/content/sha256"))?;
        let layers = self.names(&format!("{image}/layerdb/sha256"))?;
        let mounts = self.names(&format!("{image}/layerdb/mounts"))?;
        Ok(Holds {
            images: content.len(),
            layers: layers.len() + mounts.len(),
            ..Holds::default()
        })
    }

    pub(super) fn container_ids(&self) -> Result<Vec<String>, DockerError> {
        let dir = self.path.join("containers");
        if dir.symlink_metadata().is_ok_and(|found| found.is_file()) {
            // A guard says what it is of, and what ends that.
            let text = read_text(&dir).ok().flatten().unwrap_or_default();
            return Err(DockerError::in_the_way(
                &dir,
                match text.contains("idshift") {
                    true => Reason::Interrupted,
                    false => {
                        "is a file, and dockerd keeps a directory there. Move it out of the data-root".into()
                    }
                },
            ));
        }
        self.names("containers")
    }

    /// Names of the volumes of the local driver.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn volumes(&self) -> Result<Vec<String>, DockerError> {
        let mut names = self.names("volumes")?;
        names.retain(|name| self.path.join("volumes").join(name).join("_data").is_dir());
        Ok(names)
    }
}
