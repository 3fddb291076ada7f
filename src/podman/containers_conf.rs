//! `containers.conf` (`containers.conf(5)`), as far as it says that Podman's database is not in the store: with `static_dir`,
//! it is in that directory (`libpod/sqlite_state.go`, Podman 5.4.2), also where that is `libpod` in the store.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::conf_file;
use super::store::names;
use crate::fs::escape::shell_word;
use crate::store_move::MoveError;
use crate::store_move::user::RootlessUser;

/// The files of the system. A directory beside each, with `.d` behind its name, has more.
const SYSTEM: [&str; 2] = [
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
];

/// A user's, below the home directory.
const USERS: &str = ".config/containers/containers.conf";

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    engine: Engine,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Engine {
    static_dir: String,
}

/// Refuses a Podman whose database is not in its store: root's, and that of this user.
///
/// # Errors
/// It is not, or a file cannot be read.
pub(super) fn check_database_is_in_store(user: Option<&RootlessUser>) -> Result<(), MoveError> {
    for file in SYSTEM.map(PathBuf::from) {
        for path in with_drop_ins(&file)? {
            check(&path, conf_file::of_system(&path)?)?;
        }
    }
    let Some(user) = user else {
        return Ok(());
    };
    for path in with_drop_ins(&user.home.join(USERS))? {
        check(&path, conf_file::of_user(&path)?)?;
    }
    Ok(())
}

/// A file, and those that are read after it.
fn with_drop_ins(file: &Path) -> Result<Vec<PathBuf>, MoveError> {
    let mut dir = file.as_os_str().to_owned();
    dir.push(".d");
    let dir = Path::new(&dir);
    let more = names(dir)?.into_iter().filter(|it| it.ends_with(b".conf"));
    let more = more.map(|name| dir.join(std::ffi::OsStr::from_bytes(&name)));
    Ok([file.to_path_buf()].into_iter().chain(more).collect())
}

fn check(path: &Path, bytes: Option<Vec<u8>>) -> Result<(), MoveError> {
    let bytes = bytes.unwrap_or_default();
    let static_dir = static_dir(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let why = format!("is not a valid containers.conf: {}", error.message());
        MoveError::in_the_way(path, why)
    })?;
    match static_dir.as_str() {
        "" => Ok(()),
        dir => {
            let why = format!(
                "sets static_dir: Podman's database is in {}, and idshift moves what is in the store only. {TAKE_OUT}",
                shell_word(Path::new(dir))
            );
            Err(MoveError::in_the_way(path, why))
        }
    }
}

/// What helps where the database is not in the store.
pub(super) const TAKE_OUT: &str =
    "`podman save` and `podman volume export` take out what another Podman is to have";

fn static_dir(text: &str) -> Result<String, toml::de::Error> {
    Ok(toml::from_str::<File>(text)?.engine.static_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_is_found() {
        for (text, expected) in [
            ("", Some("")),
            ("[containers]\npids_limit = 0\n", Some("")),
            ("[engine]\nnum_locks = 9\n", Some("")),
            ("[engine]\nstatic_dir = \"/s\"\n", Some("/s")),
            ("[engine\n", None),
            ("[engine]\nstatic_dir = 1\n", None),
        ] {
            assert_eq!(static_dir(text).ok().as_deref(), expected, "{text}");
        }
    }
}
