//! What is in the directory of a store.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::fs::dir::open_dir;
use crate::fs::file_ops::read_file;
use crate::store_move::MoveError;

/// Where root's Podman keeps its store unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/containers/storage";

/// Podman's database from 5.0 on, and in 4.8 where `database_backend` says so.
pub const SQLITE: &str = "db.sql";

/// The one before. Podman works with it as long as it is there.
pub const BOLT: &str = "libpod/bolt_state.db";

/// The storage driver whose stores are moved.
pub const DRIVER: &str = "overlay";

/// Storage drivers of containers/storage: each has a directory of its name, and others whose names begin with it.
const DRIVERS: [&str; 6] = [DRIVER, "vfs", "btrfs", "zfs", "aufs", "devicemapper"];

/// What a store has beside what its driver has.
const NAMES: [&str; 9] = [
    SQLITE,
    "libpod",
    "volumes",
    "secrets",
    "networks",
    "artifacts",
    "defaultNetworkBackend",
    "storage.lock",
    "userns.lock",
];

/// The directory of a store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where it is, without symlinks.
    pub path: PathBuf,
}

/// How much is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Images.
    pub images: usize,
    /// Containers, those of pods and of other programs (Buildah) too.
    pub containers: usize,
    /// Volumes.
    pub volumes: usize,
    /// Secrets.
    pub secrets: usize,
}

impl Holds {
    /// Whether nobody made anything.
    pub fn is_unused(&self) -> bool {
        *self == Holds::default()
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize, one: &str| match n {
            1 => format!("1 {one}"),
            n => format!("{n} {one}s"),
        };
        write!(
            f,
            "{}, {}, {} and {}",
            count(self.images, "image"),
            count(self.containers, "container"),
            count(self.volumes, "volume"),
            count(self.secrets, "secret")
        )
    }
}

/// An image, a layer or a container, as containers/storage lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    /// Full id.
    pub id: String,
    /// Its names.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// Ids of a user namespace of its own.
    #[serde(default)]
    pub uidmap: Option<Vec<serde::de::IgnoredAny>>,
    /// Its map of group ids.
    #[serde(default)]
    pub gidmap: Option<Vec<serde::de::IgnoredAny>>,
}

impl Listed {
    /// A name, else the beginning of the id.
    pub fn name(&self) -> &str {
        let named = self.names.as_ref().and_then(|names| names.first());
        named.map_or_else(|| self.id.get(..12).unwrap_or(&self.id), String::as_str)
    }

    /// Whether it has a user namespace of its own.
    pub fn has_map(&self) -> bool {
        let is_some = |map: &Option<Vec<_>>| map.as_ref().is_some_and(|map| !map.is_empty());
        is_some(&self.uidmap) || is_some(&self.gidmap)
    }
}

impl Store {
    /// At this path.
    pub fn at(path: impl Into<PathBuf>) -> Store {
        Store { path: path.into() }
    }

    /// A file in it; `None` where it is not there. No symlink in its place is followed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<(Vec<u8>, i64)>, MoveError> {
        let path = self.path.join(name);
        match read_file(rustix::fs::CWD, path.as_os_str().as_bytes()) {
            Err(error) if is_missing(&error) => Ok(None),
            result => result.map(Some).map_err(MoveError::io(path)),
        }
    }

    /// What is in its lists of `images`, `layers` or `containers`.
    ///
    /// # Errors
    /// One is not what containers/storage writes.
    pub fn listed(&self, driver: &str, what: &str) -> Result<Vec<Listed>, MoveError> {
        let mut all = Vec::new();
        for volatile in ["", "volatile-"] {
            let name = format!("{driver}-{what}/{volatile}{what}.json");
            let Some((bytes, _)) = self.file(&name)? else {
                continue;
            };
            // An empty one is what a crash leaves.
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let listed: Vec<Listed> = serde_json::from_slice(&bytes).map_err(|error| {
                let why = format!(
                    "is not what Podman writes: {error}. `podman system check` checks the store"
                );
                MoveError::in_the_way(self.path.join(&name), why)
            })?;
            all.extend(listed);
        }
        Ok(all)
    }

    /// The drivers that it has something of.
    ///
    /// # Errors
    /// A list is not what containers/storage writes.
    pub fn drivers(&self) -> Result<Vec<&'static str>, MoveError> {
        let mut used = Vec::new();
        for driver in DRIVERS {
            if !self.listed(driver, "layers")?.is_empty() {
                used.push(driver);
            }
        }
        Ok(used)
    }

    /// How much is in it.
    ///
    /// # Errors
    /// A list is not what Podman writes.
    pub fn holds(&self) -> Result<Holds, MoveError> {
        let mut holds = Holds::default();
        for driver in DRIVERS {
            holds.images += self.listed(driver, "images")?.len();
            holds.containers += self.listed(driver, "containers")?.len();
        }
        holds.volumes = names(&self.path.join("volumes"))?.len();
        if let Some((bytes, _)) = self.file("secrets/secrets.json")? {
            let secrets: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let all = secrets["secrets"].as_object();
            holds.secrets = all.map_or(0, serde_json::Map::len);
        }
        Ok(holds)
    }

    /// Whether something is a store: one has lists of layers.
    pub fn is_store(&self) -> bool {
        let has = |driver: &&str| self.path.join(format!("{driver}-layers")).is_dir();
        DRIVERS.iter().any(has)
    }

    /// Its names.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Names, MoveError> {
        let (ours, others) = names(&self.path)?
            .into_iter()
            .partition(|name| is_of_store(name));
        Ok(Names { ours, others })
    }
}

/// Names in a store, sorted.
#[derive(Clone, Debug)]
pub struct Names {
    /// Those that Podman makes for the driver.
    pub ours: Vec<Vec<u8>>,
    /// All else.
    pub others: Vec<Vec<u8>>,
}

/// Whether a name in a store is one that Podman makes there, with the driver that is moved.
pub fn is_of_store(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    let of_driver = name.strip_prefix(DRIVER);
    NAMES.contains(&name) || of_driver.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Names of a directory, sorted; of one that is not there, none. Its atime stays.
pub fn names(dir: &Path) -> Result<Vec<Vec<u8>>, MoveError> {
    let failed = |errno: Errno| MoveError::io(dir)(errno.into());
    let handle = match open_dir(rustix::fs::CWD, dir) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        result => result.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(handle).map_err(failed)? {
        match entry.map_err(failed)?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    names.sort();
    Ok(names)
}

fn is_missing(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind())
}
