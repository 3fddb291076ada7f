//! `/etc/docker/daemon.json` (`dockerd(8)`): what of it matters here.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::DockerError;

/// Where dockerd looks for it unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/docker/daemon.json";

/// The settings that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonJson {
    /// The data-root, where it is not the default.
    #[serde(rename = "data-root")]
    pub data_root: Option<String>,
    /// Whom it remaps to; empty means nobody.
    #[serde(rename = "userns-remap")]
    pub userns_remap: Option<String>,
    /// Switches, by name.
    #[serde(default)]
    pub features: std::collections::BTreeMap<String, bool>,
}

impl DaemonJson {
    /// Whom the daemon remaps to: as given, as the file says, or dockerd's default.
    pub fn remap_to(&self, given: Option<&str>) -> String {
        let said = self.userns_remap.as_deref();
        let value = given.or(said.filter(|value| !value.is_empty()));
        value.unwrap_or("default").to_string()
    }

    /// Images are kept by containerd, which cannot remap (Docker 29 refuses to start with both).
    pub fn uses_containerd_store(&self) -> bool {
        self.features.get("containerd-snapshotter") == Some(&true)
    }

    /// Reads it; one that is not there says nothing.
    ///
    /// # Errors
    /// It cannot be read, or is not a JSON object.
    pub fn read(path: &Path) -> Result<DaemonJson, DockerError> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(DaemonJson::default()),
            Err(error) => Err(DockerError::io(path)(error)),
            Ok(text) => serde_json::from_str(&text).map_err(|error| not_json(path, &error)),
        }
    }
}

/// The text with `userns-remap` set, or taken out for `None`; every other setting stays, in its
/// order.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_userns_remap(
    text: &str,
    remap: Option<&str>,
    path: &Path,
) -> Result<String, DockerError> {
    let mut settings: Map<String, Value> = match text.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| not_json(path, &error))?,
    };
    match remap {
        Some(remap) => settings.insert("userns-remap".into(), remap.into()),
        None => settings.shift_remove("userns-remap"),
    };
    // Plain data with string keys: nothing that could fail.
    let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    Ok(text + "\n")
}

fn not_json(path: &Path, error: &serde_json::Error) -> DockerError {
    DockerError::in_the_way(
        path,
        format!("{error}. dockerd would not start with it either; correct it first"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_setting_stays() {
        let path = Path::new("daemon.json");
        let text = r#"{"b": 1, "userns-remap": "x", "a": {"z": [1.50, "<"]}}"#;
        let set = with_userns_remap(text, Some("default"), path).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&set).unwrap(),
            serde_json::json!({"b": 1, "userns-remap": "default", "a": {"z": [1.50, "<"]}})
        );
        let out = with_userns_remap(&set, None, path).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap(),
            serde_json::json!({"b": 1, "a": {"z": [1.50, "<"]}})
        );
        assert!(with_userns_remap("{", None, path).is_err());
        let made = with_userns_remap("", Some("default"), path).unwrap();
        assert_eq!(made, "{\n  \"userns-remap\": \"default\"\n}\n");
    }
}
