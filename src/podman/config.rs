//! `storage.conf`: where stores are (`containers-storage.conf(5)`).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::conf_file;
use super::store::{DEFAULT_PATH, DRIVER, Store};
use crate::fs::escape::escaped;
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
            let path = Path::new(path);
            if let Some(found) = parsed(path, conf_file::of_system(path)?)? {
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
        let path = user.home.join(USERS);
        parsed(&path, conf_file::of_user(&path)?)
    }

    /// The storage driver that it names, if any.
    fn driver(&self) -> Option<&str> {
        Some(self.driver.as_str()).filter(|driver| !driver.is_empty())
    }

    /// What keeps parts of a store elsewhere; `None`: nothing.
    ///
    /// # Errors
    /// Another store cannot be read.
    fn elsewhere(&self) -> Result<Option<&'static str>, MoveError> {
        if !self.imagestore.is_empty() {
            return Ok(Some("imagestore"));
        }
        if self.transient_store {
            return Ok(Some("transient_store"));
        }
        let more = &self.options.additionalimagestores;
        for store in more.iter().filter(|it| !it.is_empty()) {
            // Fedora names one that is empty, or is not there, on most hosts.
            if !Store::at(store).drivers()?.is_empty() {
                return Ok(Some("additionalimagestores"));
            }
        }
        Ok(None)
    }

    fn check(&self, path: &Path) -> Result<(), MoveError> {
        match self.elsewhere()? {
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

    /// The store that a user's own file names, and by which setting (containers/storage 1.57, `types/options.go`).
    fn named_by_user(&self) -> Option<(&'static str, &str)> {
        let all = [
            ("graphroot", self.graphroot.as_str()),
            ("rootless_storage_path", &self.rootless_storage_path),
        ];
        all.into_iter().find(|(_, path)| !path.is_empty())
    }

    /// The store of a user who names none, by the system's file.
    fn usual_of(&self, user: &RootlessUser) -> PathBuf {
        match self.rootless_storage_path.as_str() {
            "" => user.home.join(".local/share/containers/storage"),
            path => expanded(path, user).into(),
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
    let Some((setting, path)) = own.named_by_user() else {
        return Ok(system.usual_of(user));
    };
    let path = PathBuf::from(expanded(path, user));
    // A user who says so would else get a directory anywhere.
    if !is_plainly_below(&path, &user.home) {
        let why = format!(
            "sets {setting} to {}, outside of {}. If the store is to go there, name it with --target",
            path.display(),
            user.home.display()
        );
        return Err(MoveError::in_the_way(user.home.join(USERS), why));
    }
    Ok(path)
}

/// What to set where a user's Podman looks in another place than `to`, in which its store will be; `None`: nothing.
pub fn looks_elsewhere(user: &RootlessUser, to: &Path) -> Option<String> {
    let own = StorageConf::of_user(user).ok()?.unwrap_or_default();
    let looks_in: PathBuf = match own.named_by_user() {
        Some((_, path)) => expanded(path, user).into(),
        None => StorageConf::of_system().ok()?.usual_of(user),
    };
    if looks_in == to || looks_in.canonicalize().is_ok_and(|it| it == to) {
        return None;
    }
    Some(format!(
        "The Podman of {} looks in {}. First set driver = \"{DRIVER}\" and graphroot = {} below [storage] in {}",
        user.name,
        escaped(&looks_in),
        serde_json::Value::from(to.to_string_lossy()),
        escaped(&user.home.join(USERS))
    ))
}

fn is_plainly_below(path: &Path, home: &Path) -> bool {
    let has_dots = path
        .components()
        .any(|name| name == std::path::Component::ParentDir);
    !has_dots && path.starts_with(home) && path != home
}

/// With the variables that containers/storage replaces.
fn expanded(text: &str, user: &RootlessUser) -> String {
    let (home, uid) = (user.home.to_string_lossy(), user.root.0.to_string());
    let all = [("HOME", &*home), ("UID", &uid), ("USER", &user.name)];
    all.iter().fold(text.to_string(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value)
    })
}

fn parsed(path: &Path, bytes: Option<Vec<u8>>) -> Result<Option<StorageConf>, MoveError> {
    let Some(bytes) = bytes else {
        return Ok(None);
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
    use crate::idmap::{IdMap, RangeMap};

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
        ] {
            let conf = StorageConf::parse(text).unwrap();
            assert_eq!(conf.elsewhere().unwrap(), Some(expected));
        }
        assert_eq!(none.elsewhere().unwrap(), None);
    }

    #[test]
    fn another_store_counts_if_it_has_layers() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("overlay-layers/layers.json");
        let text = format!(
            "[storage.options]\nadditionalimagestores = [\"\", \"/nonexistent\", {:?}]",
            dir.path()
        );
        let conf = StorageConf::parse(&text).unwrap();
        assert_eq!(conf.elsewhere().unwrap(), None);
        std::fs::create_dir(list.parent().unwrap()).unwrap();
        std::fs::write(&list, "[]").unwrap();
        assert_eq!(conf.elsewhere().unwrap(), None);
        std::fs::write(&list, r#"[{"id":"a"}]"#).unwrap();
        assert_eq!(conf.elsewhere().unwrap(), Some("additionalimagestores"));
    }

    #[test]
    fn the_users_own_file_counts_first() {
        let none = RangeMap::new([]).unwrap();
        let user = RootlessUser {
            name: "ann".into(),
            root: (7, 8),
            home: "/home/ann".into(),
            map: IdMap::new(none.clone(), none),
        };
        let of = |text: &str| StorageConf::parse(&format!("[storage]\n{text}\n")).unwrap();
        let path = "rootless_storage_path = '${HOME}/s-$UID'";
        assert_eq!(
            of(path).named_by_user(),
            Some(("rootless_storage_path", "${HOME}/s-$UID"))
        );
        let both = of(&format!("graphroot = '/g'\n{path}"));
        assert_eq!(both.named_by_user(), Some(("graphroot", "/g")));
        assert_eq!(of("").named_by_user(), None);
        assert_eq!(of(path).usual_of(&user), Path::new("/home/ann/s-7"));
        let usual = "/home/ann/.local/share/containers/storage";
        assert_eq!(of("").usual_of(&user), Path::new(usual));
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
