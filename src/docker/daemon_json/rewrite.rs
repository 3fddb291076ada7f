//! The text of `daemon.json` with `userns-remap` set or removed; every other setting stays.

use std::path::Path;

use serde_json::error::Category;
use serde_json::value::to_raw_value;

use super::not_json;
use super::parse::{DockerdReader, Settings, first_object, read_regular};
use super::store_feature::StoreFeature;
use crate::docker::{DockerError, Reason};

/// The text of the file with `userns-remap` set or taken out.
///
/// # Errors
/// It cannot be read, or cannot be rewritten without loss.
pub fn text_with(path: &Path, remap: Option<&str>) -> Result<String, DockerError> {
    let bytes = read_regular(path)?.unwrap_or_default();
    let before = String::from_utf8(bytes).map_err(|_| not_plain(path))?;
    with_userns_remap(&before, remap, path)
}

pub(super) fn not_plain(path: &Path) -> DockerError {
    DockerError::in_the_way(path, Reason::NoPlainUtf8)
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
    if text.starts_with('\u{feff}') {
        return Err(not_plain(path));
    }
    // Values as they are written: a number may be larger than any type holds.
    let mut settings: Settings = match text.trim() {
        "" => Settings::new(),
        _ => serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Syntax if first_object(text, &|| DockerdReader::Before23).is_ok() => {
                DockerError::in_the_way(
                    path,
                    "holds more than one JSON object, of which dockerd before 23 reads the first and later ones none. \
                     Put all settings into one",
                )
            }
            _ => not_json(path, &error),
        })?,
    };
    let says = settings.get("userns-remap");
    let says = says.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    if says.as_deref() == remap && (remap.is_some() || !settings.contains_key("userns-remap")) {
        return Ok(text.to_string());
    }
    match remap {
        Some(remap) => {
            let value = to_raw_value(remap).map_err(|error| not_json(path, &error))?;
            settings.insert("userns-remap".into(), value)
        }
        None => settings.shift_remove("userns-remap"),
    };
    // Plain data with string keys: nothing that could fail.
    let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    Ok(text + "\n")
}

/// The text without each [`StoreFeature`] that is on: a remapped daemon finds nothing in the store, or does not start.
pub(super) fn without_containerd_store(text: &str, path: &Path) -> Result<String, DockerError> {
    const FEATURES: &str = "features";
    let bad = |error: serde_json::Error| not_json(path, &error);
    let mut settings: Settings = match text.trim() {
        "" => return Ok(text.into()),
        text => serde_json::from_str(text).map_err(bad)?,
    };
    let features = settings.get(FEATURES).map(|value| value.get());
    let features: Option<Settings> =
        serde_json::from_str(features.unwrap_or("null")).map_err(bad)?;
    let Some(mut features) = features else {
        return Ok(text.into());
    };
    let before = features.len();
    for feature in StoreFeature::ALL.map(StoreFeature::name) {
        if features.get(feature).is_some_and(|it| it.get() == "true") {
            features.shift_remove(feature);
        }
    }
    if features.len() == before {
        return Ok(text.into());
    }
    match features.is_empty() {
        true => drop(settings.shift_remove(FEATURES)),
        false => {
            let value = to_raw_value(&features).map_err(bad)?;
            settings.insert(FEATURES.into(), value);
        }
    }
    let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
        let huge = format!("{{\"a\": {}, \"b\": 1.10}}", "2".repeat(90));
        let set = with_userns_remap(&huge, Some("default"), path).unwrap();
        assert!(
            set.contains(&"2".repeat(90)) && set.contains("1.10"),
            "{set}"
        );
        assert!(with_userns_remap("{", None, path).is_err());
        let made = with_userns_remap("", Some("default"), path).unwrap();
        assert_eq!(made, "{\n  \"userns-remap\": \"default\"\n}\n");
    }
}
