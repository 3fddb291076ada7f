//! Images and container files that a daemon keeps in containerd.
//!
//! Docker 29 keeps them there on a new host, 23 to 28 with `"features": {"containerd-snapshotter": true}`. A
//! remapped Docker 29 does not use containerd for them; a remapped 23 to 28 does, in another containerd namespace
//! (`moby-<uid>.<gid>`), and sees nothing of the plain daemon's.
//!
//! - `converted`: what a conversion left of a store
//! - `host_containerd`: where the containerd of the host keeps its data
//! - `locate`: where containerd's directory may be
//! - `guidance`: what is done where something cannot be carried
//! - `usage`: whether a docker root, or the store for its daemon, has anything

mod converted;
mod guidance;
mod host_containerd;
mod locate;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::container::Container;
use super::conversion::plan::{Conversion, NAMESPACE, is_containerd};
use super::conversion::planner::plan_conversion;
use super::data_root::DockerRoot;
use super::remap::Remap;
use super::storage_drivers;
use crate::containerd::ContainerdRoot;
use crate::containerd::metadata::Namespace;
use crate::fs::escape::escaped;
use crate::idmap::Direction;
use converted::lacks_files;
use guidance::{empty_the_driver, save_and_load};
pub use locate::stores_of;
use locate::{containerd_dirs, has_content, namespace_in, snapshotters};
pub use usage::{UnusedStore, content_of, has_images, is_alone, is_unused, no_more_used, was_used};

/// What of a docker root is in the containerd image store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerdStore {
    /// Containers that have their files there: id and name.
    containers: Vec<(String, String)>,
    /// A daemon with that store worked in this docker root, and there are images.
    has_images: bool,
    /// Storage drivers whose directories are there with no image, layer or container.
    empty_drivers: Vec<String>,
    /// A storage driver has images or layers here too.
    beside_graph_driver: bool,
    /// containerd's directories that were looked at.
    containerd: Vec<PathBuf>,
}

impl ContainerdStore {
    /// Looks for it.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn of<'a>(
        root: &DockerRoot,
        top: &Path,
        all: impl IntoIterator<Item = &'a Container>,
    ) -> Result<ContainerdStore, DockerError> {
        let in_store = |container: &&Container| is_snapshot(root, container);
        let containers = all.into_iter().filter(in_store);
        let containers = containers.map(|it| (it.id.clone(), it.name.clone()));
        let containers: Vec<_> = containers.collect();
        let containerd = containerd_dirs(top, &root.path)?;
        let (mut empty_drivers, mut beside_graph_driver) = (Vec::new(), false);
        for driver in root.drivers()? {
            match root.graph_driver_holds(&driver)?.is_unused() {
                true => empty_drivers.push(driver),
                false => beside_graph_driver = true,
            }
        }
        Ok(ContainerdStore {
            has_images: was_used(root) && has_content(&containerd),
            containers,
            empty_drivers,
            beside_graph_driver,
            containerd,
        })
    }

    /// Refuses if something of it would not be shown afterwards.
    ///
    /// # Errors
    /// The daemon that is started after it would not show something.
    pub fn check(
        &self,
        root: &DockerRoot,
        direction: Direction,
        remap: Option<&Remap>,
    ) -> Result<(), DockerError> {
        let stays_hidden = match direction {
            // What a storage driver has is what the daemon shows today too.
            Direction::Into => self.containers.is_empty() && self.beside_graph_driver,
            Direction::OutOf => self.is_plain_daemons(remap),
        };
        if !self.is_there() || stays_hidden {
            return Ok(());
        }
        Err(DockerError::InContainerd {
            path: root.path.clone(),
            what: self.what(),
            remedy: match (direction, self.beside_graph_driver) {
                (Direction::OutOf, true) => empty_the_driver(),
                _ => save_and_load(direction, &root.path),
            },
        })
    }

    /// The plan of its conversion; `None` if nothing has to be converted. `all`: the containers
    /// with their `config.v2.json`. `keeps_store`: it is to stay as it is.
    ///
    /// # Errors
    /// Something of it cannot be carried: it is named.
    pub fn conversion<'a>(
        &self,
        root: &DockerRoot,
        keeps_store: bool,
        all: impl IntoIterator<Item = (&'a Container, &'a str)>,
    ) -> Result<Option<Conversion>, DockerError> {
        if !self.is_there() || (self.containers.is_empty() && self.beside_graph_driver) {
            return Ok(None);
        }
        let chosen = match self.beside_graph_driver {
            true => None,
            false => self.choose_containerd()?,
        };
        let Some(containerd) = chosen else {
            self.check(root, Direction::Into, None)?;
            return Ok(None);
        };
        let is_in_store = |(container, _): &(&Container, &str)| {
            self.containers.iter().any(|(id, _)| *id == container.id)
        };
        let all = all.into_iter().filter(is_in_store);
        let mut conversion = plan_conversion((&root.path, &ContainerdRoot::at(containerd)), all)?;
        conversion.choose_transfer(&root.path, keeps_store)?;
        Ok(Some(conversion))
    }

    /// The containerd that has what a plain daemon shows, of those that were found.
    fn choose_containerd(&self) -> Result<Option<PathBuf>, DockerError> {
        let mut dirs = Vec::new();
        for dir in self.containerd.iter().filter(|dir| is_containerd(dir)) {
            let dir = fs::canonicalize(dir).map_err(DockerError::io(dir))?;
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        if dirs.len() < 2 {
            return Ok(dirs.pop());
        }
        let mut used = Vec::new();
        for dir in &dirs {
            // One that is damaged may be the one.
            let mut metadata = ContainerdRoot::at(dir).metadata()?;
            let namespace = metadata.namespaces.remove(NAMESPACE).unwrap_or_default();
            if !namespace.images.is_empty() || namespace.snapshots.values().any(|it| !it.is_empty())
            {
                used.push((dir, namespace));
            }
        }
        let ids = || self.containers.iter().map(|(id, _)| id);
        let has = |it: &Namespace, id: &String| it.snapshots.values().any(|it| it.contains_key(id));
        let all = used.iter();
        let whole = all.filter(|(_, it)| ids().next().is_some() && ids().all(|id| has(it, id)));
        let whole: Vec<_> = whole.collect();
        match (&used[..], &whole[..]) {
            ([], _) => Ok(dirs.pop()),
            ([(dir, _)], _) | (_, [(dir, _)]) => Ok(Some(dir.to_path_buf())),
            ([(first, _), others @ ..], _) => {
                let others: Vec<String> = others
                    .iter()
                    .map(|(it, _)| escaped(it).to_string())
                    .collect();
                Err(DockerError::in_the_way(
                    first,
                    format!(
                        "has images or containers of Docker, and so has {}. idshift cannot tell which of \
                        them the daemon uses. Move the other one away, then run this again",
                        others.join(" and ")
                    ),
                ))
            }
        }
    }

    /// Refuses a revert after which a plain daemon would not show images that it has now.
    ///
    /// # Errors
    /// The plain daemon has images in containerd.
    pub fn check_plain_root(&self, top: &Path) -> Result<(), DockerError> {
        // What was run in the data-root would be set aside with it.
        let stays_visible = !self.beside_graph_driver && !top.join("containerd/daemon").is_dir();
        match stays_visible || !has_images(&DockerRoot::at(top))? {
            true => Ok(()),
            false => Err(DockerError::in_the_way(
                top,
                "has images of a plain daemon in the containerd image store. Two roots cannot be merged. To go on with these, \
                 start Docker without userns-remap: there is nothing to revert. To go on with the remapped root, start a plain \
                 daemon, `docker save` what you need of it, and remove the images with `docker rmi`",
            )),
        }
    }

    /// Storage drivers without anything, where the containerd image store has something.
    pub fn empty_drivers(&self) -> &[String] {
        match self.is_there() {
            true => &self.empty_drivers,
            false => &[],
        }
    }

    /// Those of them that have to be set aside, so that a plain daemon takes up its containerd image store again: it
    /// prefers any storage driver whose directory it finds. None where that store has images without their files, which no
    /// container starts from.
    pub fn drivers_to_set_aside(&self) -> &[String] {
        let stores = self.containerd.iter().filter(|dir| is_containerd(dir));
        match stores.map(ContainerdRoot::at).any(|it| lacks_files(&it)) {
            true => &[],
            false => self.empty_drivers(),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        !self.containers.is_empty() || self.has_images
    }

    /// Whether all of it was made by a daemon that was not remapped, so that a plain daemon shows it again.
    fn is_plain_daemons(&self, remap: Option<&Remap>) -> bool {
        if self.beside_graph_driver {
            return self.containers.is_empty();
        }
        // A remapped daemon that made a storage driver's directory does not use the store.
        let made_driver = !self.empty_drivers.is_empty();
        let remapped = remap.map(|remap| format!("moby-{}/", remap.dir_name()));
        let (mut plain, mut other) = (0, 0);
        for (id, _) in &self.containers {
            match self.namespace_of(id).as_deref() {
                Some("moby/") => plain += 1,
                Some(name) if remapped.as_deref() == Some(name) => other += 1,
                Some(_) => other += 1,
                None if made_driver => plain += 1,
                None => other += 1,
            }
        }
        other == 0 && (plain > 0 || made_driver)
    }

    /// The containerd namespace, with a slash, in which this container's files are. The snapshotter's database has
    /// the key `NAMESPACE/NUMBER/ID` in it, as text.
    fn namespace_of(&self, id: &str) -> Option<String> {
        let databases = self.containerd.iter().flat_map(|dir| snapshotters(dir));
        databases.into_iter().find_map(|dir| {
            let bytes = fs::read(dir.join("metadata.db")).ok()?;
            namespace_in(&bytes, id)
        })
    }

    pub(super) fn what(&self) -> String {
        let names: Vec<&str> = self
            .containers
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        match &names[..] {
            [] => "its images are".into(),
            [name] => format!("the container {name} and its image are"),
            names if names.len() <= 5 => {
                format!("the containers {} and their images are", names.join(", "))
            }
            names => format!("{} containers and their images are", names.len()),
        }
    }
}

/// Whether a container's files are a snapshot of containerd.
fn is_snapshot(root: &DockerRoot, container: &Container) -> bool {
    let driver = container.driver.as_str();
    let known = storage_drivers::find(driver.as_bytes());
    if driver.is_empty() || known.is_some_and(|it| !it.has_snapshotter) {
        return false;
    }
    // Of the others, some are names of snapshotters and of storage drivers.
    let mount = format!("image/{driver}/layerdb/mounts/{}", container.id);
    let is_graph_driver = root.path.join("image").join(driver).is_dir();
    !is_graph_driver && !root.path.join(mount).exists()
}
