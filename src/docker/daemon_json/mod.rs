//! `/etc/docker/daemon.json` (`dockerd(8)`): the settings that matter here.
//!
//! - `parse`: its text, as the dockerd of this host reads it
//! - `rewrite`: its text with `userns-remap` set or removed
//! - `steps`: the steps of a plan that rewrite it
//! - `store_feature`: settings that a remapped daemon must not have

mod parse;
mod rewrite;
mod steps;
mod store_feature;

use std::collections::BTreeMap;
use std::path::Path;

use super::DockerError;
use parse::{DockerdReader, decoded, first_object, read_regular};
pub use rewrite::{text_with, with_userns_remap};
pub use steps::step;
pub use store_feature::StoreFeature;

/// Where dockerd looks for it unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/docker/daemon.json";

/// The settings that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonJson {
    /// The data-root, where it is not the default.
    pub data_root: Option<String>,
    /// Whom it remaps to; empty means nobody.
    pub userns_remap: Option<String>,
    /// The storage driver, or the snapshotter.
    pub storage_driver: Option<String>,
    /// The namespace of containerd that images are in.
    pub containerd_namespace: Option<String>,
    /// Switches, by name.
    pub features: BTreeMap<String, bool>,
}

impl DaemonJson {
    /// Whom the daemon remaps to: as given, as the file says, or dockerd's default.
    pub fn remap_to(&self, given: Option<&str>) -> String {
        let said = self.userns_remap.as_deref();
        let value = given.or(said.filter(|value| !value.is_empty()));
        value.unwrap_or("default").to_string()
    }

    /// What makes the daemon keep images in containerd, which cannot remap.
    pub fn store_feature(&self) -> Option<StoreFeature> {
        let is_on = |it: &StoreFeature| self.features.get(it.name()) == Some(&true);
        StoreFeature::ALL.into_iter().find(is_on)
    }

    /// Reads it; one that is not there says nothing.
    ///
    /// # Errors
    /// It cannot be read, or dockerd would not start with it.
    pub fn read(path: &Path) -> Result<DaemonJson, DockerError> {
        match read_regular(path)? {
            Some(bytes) => DaemonJson::parse(&bytes, DockerdReader::of_host, path),
            None => Ok(DaemonJson::default()),
        }
    }

    fn parse(
        bytes: &[u8],
        reader: impl Fn() -> DockerdReader,
        path: &Path,
    ) -> Result<DaemonJson, DockerError> {
        let bad = |error| not_json(path, &error);
        let text = decoded(bytes, &reader, path)?;
        let settings = first_object(&text, &reader).map_err(bad)?;
        let value = |names: &[&str]| -> Result<Option<String>, DockerError> {
            let raw = names.iter().find_map(|name| settings.get(*name));
            raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()).map_err(bad))
        };
        let features: Option<BTreeMap<String, Option<bool>>> = match settings.get("features") {
            Some(raw) => serde_json::from_str(raw.get()).map_err(bad)?,
            None => None,
        };
        // What is null is off.
        let features = features.unwrap_or_default().into_iter();
        Ok(DaemonJson {
            data_root: value(&["data-root", "graph"])?,
            userns_remap: value(&["userns-remap"])?,
            storage_driver: value(&["storage-driver"])?,
            containerd_namespace: value(&["containerd-namespace"])?,
            features: features
                .map(|(name, on)| (name, on.unwrap_or_default()))
                .collect(),
        })
    }
}

fn not_json(path: &Path, error: &serde_json::Error) -> DockerError {
    DockerError::in_the_way(
        path,
        format!("{error}. dockerd would not start with it either. Correct it first"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("daemon.json");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = DaemonJson::read(&fifo).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
