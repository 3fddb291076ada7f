//! What the user's rootless daemon is told by `~/.config/docker/daemon.json`, as far as it matters here.
//!
//! The file is the user's, and root reads it: no symlink on the way is followed, nothing but a regular file is opened, and
//! not more than a daemon's settings would take.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::docker::DockerError;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::open_regular;
use crate::store_move::user::RootlessUser;

/// Below the home.
const DIRECTORIES: [&str; 2] = [".config", "docker"];
const FILE: &str = "daemon.json";

/// More than any daemon's settings.
const MOST_BYTES: u64 = 1 << 20;

/// The user's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserConfig {
    /// The file, also where there is none.
    pub path: PathBuf,
    /// The data-root, where it is set.
    pub data_root: Option<PathBuf>,
    /// The storage driver, where it is set.
    pub storage_driver: Option<String>,
    /// Why the file that is there was not read.
    pub unread: Option<String>,
}

impl UserConfig {
    /// Of this user. One that is not there says nothing.
    ///
    /// # Errors
    /// It is no JSON object: the daemon would not start with it.
    pub fn read(user: &RootlessUser) -> Result<UserConfig, DockerError> {
        let mut config = UserConfig {
            path: DIRECTORIES
                .iter()
                .fold(user.home.clone(), |path, name| path.join(name))
                .join(FILE),
            ..UserConfig::default()
        };
        let bytes = match read_in(&user.home) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(config),
            Err(error) => {
                config.unread = Some(error.to_string());
                return Ok(config);
            }
            Ok(bytes) => bytes,
        };
        let settings = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes);
        let settings = settings.map_err(|error| {
            let why = format!(
                "{error}. The rootless daemon would not start with it either. Let {} correct it first",
                user.name
            );
            DockerError::in_the_way(&config.path, why)
        })?;
        let text = |name: &str| settings.get(name).and_then(Value::as_str).map(String::from);
        config.data_root = text("data-root")
            .filter(|it| !it.is_empty())
            .map(PathBuf::from);
        config.storage_driver = text("storage-driver").filter(|it| !it.is_empty());
        Ok(config)
    }

    /// Where the daemon looks for its data.
    pub fn data_root(&self, user: &RootlessUser) -> PathBuf {
        let own = || user.home.join(".local/share/docker");
        self.data_root.clone().unwrap_or_else(own)
    }
}

/// No daemon's configuration is so large.
#[derive(Debug, Error)]
#[error("it is larger than 1 MiB")]
struct TooLarge;

fn read_in(home: &Path) -> std::io::Result<Vec<u8>> {
    // Whoever made the account says where its home is.
    let mut dir = open_dir(rustix::fs::CWD, &home.canonicalize()?)?;
    for name in DIRECTORIES {
        dir = open_dir(dir.as_fd(), name)?;
    }
    let (file, _) = open_regular(dir.as_fd(), FILE.as_bytes())?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST_BYTES {
        true => Err(std::io::Error::other(TooLarge)),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::idmap::IdMap;

    #[test]
    fn only_a_plain_file_of_the_user_counts() {
        let home = tempfile::tempdir_in("/var/tmp").unwrap();
        let user = RootlessUser {
            name: "ann".into(),
            root: (2000, 2000),
            home: home.path().into(),
            map: IdMap::identity(),
        };
        let none = UserConfig::read(&user).unwrap();
        assert_eq!(
            none.data_root(&user),
            home.path().join(".local/share/docker")
        );
        let dir = home.path().join(".config/docker");
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join("daemon.json"),
            r#"{"data-root": "/srv/d", "storage-driver": "vfs"}"#,
        )
        .unwrap();
        let read = UserConfig::read(&user).unwrap();
        assert_eq!(read.data_root(&user), Path::new("/srv/d"));
        assert_eq!(read.storage_driver.as_deref(), Some("vfs"));
        fs::write(dir.join("daemon.json"), "[]").unwrap();
        assert!(UserConfig::read(&user).is_err());
        // As a user leads root to another's file.
        fs::rename(&dir, home.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", &dir).unwrap();
        let unread = UserConfig::read(&user).unwrap();
        assert!(unread.unread.is_some() && unread.data_root.is_none());
    }
}
