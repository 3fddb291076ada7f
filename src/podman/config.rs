//! `storage.conf`: where stores are (`containers-storage.conf(5)`).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::store::{DEFAULT_PATH, DRIVER};
use crate::fs::file_ops::read_file;
use crate::store_move::MoveError;
use crate::store_move::user::RootlessUser;

/// The files of the system: the first that is there counts.
const SYSTEM: [&str; 2] = [
    "/etc/containers/storage.conf",
    "/usr/share/containers/storage.conf",
];

/// A user's, below the home directory.
const USERS: &str = ".config/containers/storage.conf";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    storage: StorageConf,
}

/// What a `storage.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StorageConf {
    driver: String,
    graphroot: String,
    rootless_storage_path: String,
    imagestore: String,
    transient_store: bool,
    options: Options,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Options {
    additionalimagestores: Vec<String>,
}

impl StorageConf {
    /// From its text.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn parse(text: &str) -> Result<StorageConf, toml::de::Error> {
        Ok(toml::from_str::<File>(text)?.storage)
    }

    /// The system's.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_system() -> Result<StorageConf, MoveError> {
        for path in SYSTEM {
            if let Some(found) = read(Path::new(path))? {
                return Ok(found);
            }
        }
        Ok(StorageConf::default())
    }

    /// A user's own; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_user(user: &RootlessUser) -> Result<Option<StorageConf>, MoveError> {
        read(&user.home.join(USERS))
    }

    /// The storage driver that it names, if any.
    fn driver(&self) -> Option<&str> {
        Some(self.driver.as_str()).filter(|driver| !driver.is_empty())
    }

    /// What keeps parts of a store elsewhere; `None`: nothing.
    fn elsewhere(&self) -> Option<&'static str> {
        let all = [
            ("imagestore", !self.imagestore.is_empty()),
            ("transient_store", self.transient_store),
            (
                "additionalimagestores",
                self.options
                    .additionalimagestores
                    .iter()
                    .any(|it| !it.is_empty()),
            ),
        ];
        all.into_iter()
            .find(|(_, is_set)| *is_set)
            .map(|(name, _)| name)
    }

    fn check(&self, path: &Path) -> Result<(), MoveError> {
        match self.elsewhere() {
            None => Ok(()),
            Some(option) => Err(MoveError::in_the_way(
                path,
                format!(
                    "sets {option}, so that parts of the store are elsewhere, and idshift moves what is in the store only. `podman \
                     save` the images, and `podman load` them there"
                ),
            )),
        }
    }

    /// Root's store.
    pub fn rootful_store(&self) -> PathBuf {
        match self.graphroot.as_str() {
            "" => DEFAULT_PATH.into(),
            path => path.into(),
        }
    }
}

/// The store of a user's Podman: as the user's file says, else the system's, else the default.
///
/// # Errors
/// A file cannot be read, or what the user's says is no place that root should make directories in.
pub fn rootless_store(user: &RootlessUser, system: &StorageConf) -> Result<PathBuf, MoveError> {
    let own = StorageConf::of_user(user)?.unwrap_or_default();
    let driver = own.driver().or(system.driver()).unwrap_or(DRIVER);
    if driver != DRIVER {
        let why = format!(
            "{} is to use the storage driver {driver}, and the store has layers of {DRIVER}. Take the line `driver` out of it, or \
             out of /etc/containers/storage.conf",
            user.name
        );
        return Err(MoveError::in_the_way(user.home.join(USERS), why));
    }
    if !own.graphroot.is_empty() {
        let path = PathBuf::from(expanded(&own.graphroot, user));
        // A user who says so would else get a directory anywhere.
        if !is_plainly_below(&path, &user.home) {
            let why = format!(
                "sets graphroot to {}, outside of {}. If the store is to go there, name it with --target",
                path.display(),
                user.home.display()
            );
            return Err(MoveError::in_the_way(user.home.join(USERS), why));
        }
        return Ok(path);
    }
    Ok(match system.rootless_storage_path.as_str() {
        "" => user.home.join(".local/share/containers/storage"),
        path => expanded(path, user).into(),
    })
}

fn is_plainly_below(path: &Path, home: &Path) -> bool {
    let has_dots = path
        .components()
        .any(|name| name == std::path::Component::ParentDir);
    !has_dots && path.starts_with(home) && path != home
}

/// With the variables that containers/storage replaces.
fn expanded(text: &str, user: &RootlessUser) -> String {
    let home = user.home.to_string_lossy();
    text.replace("$HOME", &home)
        .replace("$UID", &user.root.0.to_string())
        .replace("$USER", &user.name)
}

fn read(path: &Path) -> Result<Option<StorageConf>, MoveError> {
    let (bytes, _) = match read_file(rustix::fs::CWD, path.as_os_str().as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(MoveError::io(path))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    match StorageConf::parse(&text) {
        Ok(found) => found.check(path).map(|()| Some(found)),
        Err(error) => Err(MoveError::in_the_way(
            path,
            format!("is not a valid storage.conf: {}", error.message()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_stores_is_read() {
        let conf = StorageConf::parse(
            "[storage]\ndriver = \"overlay\"\ngraphroot = '/srv/s'\n[storage.options.overlay]\nmount_program = \"/usr/bin/fuse-overlayfs\"\nmountopt = \"nodev\"\n",
        );
        let conf = conf.unwrap();
        assert_eq!(conf.driver(), Some("overlay"));
        assert_eq!(conf.rootful_store(), Path::new("/srv/s"));
        let none = StorageConf::parse("# nothing\n").unwrap();
        assert_eq!(none.driver(), None);
        assert_eq!(none.rootful_store(), Path::new(DEFAULT_PATH));
        assert!(StorageConf::parse("[storage\n").is_err());
        for (text, expected) in [
            ("[storage]\nimagestore = \"/i\"", "imagestore"),
            ("[storage]\ntransient_store = true", "transient_store"),
            (
                "[storage.options]\nadditionalimagestores = [\"/a\"]",
                "additionalimagestores",
            ),
        ] {
            assert_eq!(
                StorageConf::parse(text).unwrap().elsewhere(),
                Some(expected)
            );
        }
        assert_eq!(none.elsewhere(), None);
    }

    #[test]
    fn a_user_does_not_say_where_root_makes_directories() {
        let home = Path::new("/home/ann");
        for (path, expected) in [
            ("/home/ann/s", true),
            ("/home/ann", false),
            ("/home/ann/../bob/s", false),
            ("/home/anna/s", false),
            ("/etc/x", false),
        ] {
            assert_eq!(is_plainly_below(Path::new(path), home), expected, "{path}");
        }
    }
}
