//! The data-root, plain and remapped, and what is in it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::Serialize;

use super::DockerError;
use super::container::{Bind, Container, bind_mounts, local_volumes};
use super::daemon_json::DaemonJson;
use crate::fs::dir::open_dir;
use crate::fs::escape::escaped;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::read_file;
use crate::preflight::in_use::IDMAPPED_ROOT;

/// Where dockerd keeps its data unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/docker";

/// Of a data-root on which a run has not come to its end.
pub const INTERRUPTED: &str = "a migration or its reverse was interrupted here. `idshift journal list` shows its journal: \
     `idshift resume JOURNAL` finishes it, `idshift rollback JOURNAL` undoes it. Start no Docker daemon before one of them has";

/// What the name of something that was set aside begins with.
pub const ASIDE: &str = "idshift-aside-";

/// What the name of a copy that is being made begins with.
pub const COPY: &str = "idshift-copy-";

/// What the name of a directory begins with in which a conversion of the containerd image store is made.
pub const CONVERTED: &str = "idshift-convert-";

/// What the name of what a run keeps out of sight begins with, as long as it goes on.
pub const MOVING: &str = "idshift-moving-";

/// The data-root that is meant: as given, as `daemon.json` says, or the default.
pub fn find(given: Option<&Path>, daemon_json: &DaemonJson) -> PathBuf {
    let said = daemon_json.data_root.as_deref().filter(|p| !p.is_empty());
    match (given, said) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(path)) => path.into(),
        (None, None) => DEFAULT_PATH.into(),
    }
}

/// A data-root without symlinks.
///
/// # Errors
/// There is none, or it is a remapped daemon's own directory in it.
pub fn canonical(data_root: &Path) -> Result<PathBuf, DockerError> {
    const HELP: &str = "`docker info -f '{{.DockerRootDir}}'` tells a daemon's";
    let top = fs::canonicalize(data_root).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DockerError::in_the_way(
            data_root,
            format!("is not there. --data-root names another; {HELP}"),
        ),
        _ => DockerError::io(data_root)(error),
    })?;
    if !top.is_dir() {
        return Err(DockerError::in_the_way(
            data_root,
            format!("is no directory. --data-root names another; {HELP}"),
        ));
    }
    let name = top.file_name().and_then(|name| name.to_str());
    match top.parent() {
        Some(parent) if name.is_some_and(is_remapped_name) => Err(DockerError::in_the_way(
            &top,
            format!(
                "is a remapped daemon's directory in the data-root: --data-root {}",
                shell_word(parent)
            ),
        )),
        _ => Ok(top),
    }
}

/// A directory that a daemon works in: the data-root itself, or `<uid>.<gid>` in it.
#[derive(Clone, Debug)]
pub struct DockerRoot {
    /// Absolute path.
    pub path: PathBuf,
}

/// How much of what a user would miss is in a docker root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Images.
    pub images: usize,
    /// Layers of images and containers.
    pub layers: usize,
    /// Containers.
    #[serde(rename = "containers_total")]
    pub containers: usize,
    /// Volumes.
    pub volumes: usize,
}

impl Holds {
    /// A daemon was started there and nothing was made with it.
    pub fn is_unused(&self) -> bool {
        *self == Holds::default()
    }
}

impl std::fmt::Display for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holds {
            images,
            layers,
            containers,
            volumes,
        } = self;
        write!(
            f,
            "{}, {}, {}, {}",
            count(*images, "image"),
            count(*layers, "layer"),
            count(*containers, "container"),
            count(*volumes, "volume")
        )
    }
}

/// `1 image`, `2 images`
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// A container's two metadata files, as they are.
#[derive(Clone, Debug)]
pub struct ContainerFiles {
    /// Directory name in `containers`: the full id.
    pub id: String,
    /// `config.v2.json`
    pub config: String,
    /// `hostconfig.json`; a container that was never quite made has none.
    pub hostconfig: Option<String>,
}

/// Names of a directory, sorted; of one that is not there, none. Its atime stays.
pub fn names(dir: &Path) -> Result<Vec<String>, DockerError> {
    let failed = |errno: Errno| DockerError::io(dir)(errno.into());
    let handle = match open_dir(rustix::fs::CWD, dir) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        result => result.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(handle).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_name().to_str() {
            Ok("." | "..") => {}
            Ok(name) => names.push(name.to_string()),
            Err(_) => {
                let name = entry.file_name().to_string_lossy().into_owned();
                let why = "dockerd makes no such name; move it away";
                return Err(DockerError::in_the_way(dir.join(name), why));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A file's text; `None` where there is no such file. Its atime stays. A symlink is not followed, and a fifo
/// or a device in its place not waited for.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, DockerError> {
    let read = read_file(rustix::fs::CWD, path.as_os_str().as_bytes());
    let text = read.and_then(|(bytes, _)| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(DockerError::io(path)),
    }
}

/// Whether a name in a data-root is that of a remapped daemon's root, `<uid>.<gid>`.
pub fn is_remapped_name(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('.')
        .is_some_and(|(uid, gid)| number(uid) && number(gid))
}

/// Names in a data-root that are the plain daemon's.
pub fn plain_names(data_root: &Path) -> Result<(Vec<String>, Vec<String>), DockerError> {
    Ok(names(data_root)?.into_iter().partition(|name| {
        let ours = [ASIDE, COPY, MOVING, CONVERTED, IDMAPPED_ROOT]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        !is_remapped_name(name) && !ours && name != "lost+found"
    }))
}

/// Storage drivers whose layers are directories that can be shifted.
const DRIVERS: [&str; 4] = ["overlay2", "fuse-overlayfs", "vfs", "btrfs"];

/// Directories of drivers that keep layers elsewhere.
const FOREIGN_DRIVERS: [&str; 4] = ["zfs", "devicemapper", "aufs", "overlay"];

impl DockerRoot {
    /// In this directory.
    pub fn at(path: impl Into<PathBuf>) -> DockerRoot {
        DockerRoot { path: path.into() }
    }

    fn names(&self, below: &str) -> Result<Vec<String>, DockerError> {
        names(&self.path.join(below))
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
        for driver in FOREIGN_DRIVERS {
            if self
                .names(&format!("image/{driver}/layerdb/sha256"))
                .is_ok_and(|layers| !layers.is_empty())
            {
                return Err(DockerError::in_the_way(
                    self.path.join(driver),
                    format!(
                        "the storage driver {driver} keeps layers where they cannot be shifted (what can be: {}). \
                         Save the images with `docker save`, and carry volumes and bind mounts with `idshift shift`",
                        DRIVERS.join(", ")
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

    fn container_ids(&self) -> Result<Vec<String>, DockerError> {
        let place = self.path.join("containers");
        if place.symlink_metadata().is_ok_and(|found| found.is_file()) {
            // A guard says what it is of, and what ends that.
            let text = std::fs::read_to_string(&place).unwrap_or_default();
            return Err(DockerError::in_the_way(
                &place,
                match text.contains("idshift") {
                    true => INTERRUPTED,
                    false => {
                        "is a file, and dockerd keeps a directory there. Move it out of the data-root"
                    }
                },
            ));
        }
        self.names("containers")
    }

    /// The metadata of every container.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn container_files(&self) -> Result<Vec<ContainerFiles>, DockerError> {
        let mut all = Vec::new();
        for id in self.container_ids()? {
            let dir = self.path.join("containers").join(&id);
            if dir.symlink_metadata().is_ok_and(|found| found.is_file()) {
                let why = "is a file among the directories of containers, and none of dockerd's. Move it out of the data-root";
                return Err(DockerError::in_the_way(dir, why));
            }
            let read = |name: &str| read_text(&dir.join(name));
            // A directory without it is what an interrupted `docker rm` left: dockerd passes it over.
            let Some(config) = read("config.v2.json")? else {
                continue;
            };
            all.push(ContainerFiles {
                hostconfig: read("hostconfig.json")?,
                id,
                config,
            });
        }
        Ok(all)
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

/// That a file of dockerd's does not parse.
pub(super) fn not_json(path: &Path, error: &serde_json::Error) -> DockerError {
    let is_empty = path
        .metadata()
        .is_ok_and(|file| file.is_file() && file.len() == 0);
    let what = match is_empty {
        true => "is empty".to_string(),
        false => format!("is not what dockerd writes: {error}"),
    };
    // The directory of one container or volume.
    let of_one = path.parent().filter(|dir| {
        let kind = dir.parent().and_then(Path::file_name);
        kind.is_some_and(|kind| kind == "containers" || kind == "volumes")
    });
    let help = match of_one {
        Some(dir) => format!(
            "dockerd cannot load it either. Restore the file, or, if it is of no more use, move {} out of the \
             data-root while the daemon is stopped",
            escaped(dir)
        ),
        None => "Restore the file from a backup".into(),
    };
    DockerError::in_the_way(path, format!("{what}. {help}; then run this again"))
}

impl ContainerFiles {
    /// What of it matters here.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn parse(&self, root: &DockerRoot) -> Result<Container, DockerError> {
        let hostconfig = self.hostconfig.as_deref().unwrap_or("{}");
        Container::parse(&self.id, &self.config, hostconfig).map_err(|error| {
            let name = match Container::parse(&self.id, &self.config, "{}") {
                Ok(_) => "hostconfig.json",
                Err(_) => "config.v2.json",
            };
            let dir = root.path.join("containers").join(&self.id);
            not_json(&dir.join(name), &error)
        })
    }

    /// Its bind mounts.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn bind_mounts(&self, root: &DockerRoot) -> Result<Vec<Bind>, DockerError> {
        bind_mounts(&self.config)
            .map_err(|error| not_json(&root.path.join("containers").join(&self.id), &error))
    }

    /// What it binds, where it is remapped.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn bind_sources_if_remapped(&self, root: &DockerRoot) -> Result<Vec<PathBuf>, DockerError> {
        if self.parse(root)?.userns_mode == "host" {
            return Ok(Vec::new());
        }
        let binds = self.bind_mounts(root)?.into_iter();
        Ok(binds.map(|bind| bind.source).collect())
    }

    /// Its volumes of the local driver, each as a bind mount.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn local_volumes(&self, root: &DockerRoot) -> Result<Vec<(String, Bind)>, DockerError> {
        local_volumes(&self.config)
            .map_err(|error| not_json(&root.path.join("containers").join(&self.id), &error))
    }
}
