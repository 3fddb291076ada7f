//! Networks of Podman's own (netavark): a JSON file each. Root's are in `/etc`, a user's in the user's store.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::store::{Store, names};
use crate::store_move::MoveError;

/// Root's networks.
pub const ROOTS: &str = "/etc/containers/networks";

/// The directory of a user's networks in the store.
pub const USERS: &str = "networks";

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name of the file, `NAME.json`.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Name of the network.
    pub name: String,
    /// `bridge`, `macvlan`, …
    pub driver: String,
}

#[derive(Deserialize)]
struct Facts {
    name: String,
    #[serde(default)]
    driver: String,
}

impl Network {
    /// All of a directory, by name of the file; of one that is not there, none.
    ///
    /// # Errors
    /// A file is not what Podman writes.
    pub fn all_in(dir: &Path) -> Result<Vec<Network>, MoveError> {
        let mut found = Vec::new();
        for name in names(dir)? {
            let name = String::from_utf8_lossy(&name).into_owned();
            if !name.ends_with(".json") {
                continue;
            }
            let path: PathBuf = dir.join(&name);
            let Some((bytes, _)) = Store::at(dir).file(&name)? else {
                continue;
            };
            let text = String::from_utf8(bytes);
            let text =
                text.map_err(|_| MoveError::in_the_way(&path, "is not UTF-8. Move it away"))?;
            let facts: Facts = serde_json::from_str(&text).map_err(|error| {
                let why =
                    format!("is not what Podman writes: {error}. Correct it, or move it away");
                MoveError::in_the_way(&path, why)
            })?;
            found.push(Network {
                file: name,
                text,
                name: facts.name,
                driver: facts.driver,
            });
        }
        Ok(found)
    }

    /// Why it is not the same for a user; `None` where it is.
    pub fn obstacle(&self) -> Option<String> {
        (self.driver != "bridge").then(|| {
            format!(
                "Network {} has the driver {}: a rootless Podman's networks have no interface of the host",
                self.name, self.driver
            )
        })
    }
}
