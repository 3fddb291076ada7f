//! A container's metadata with other paths, driver or user namespace; every other byte stays.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, rename = "LogPath")]
    log_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "HostnamePath")]
    hostname_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "HostsPath")]
    hosts_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "ResolvConfPath")]
    resolv_conf_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "ShmPath")]
    shm_path: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "MountPoints")]
    mount_points: Option<BTreeMap<String, MountPoint<'a>>>,
}

#[derive(Deserialize)]
struct MountPoint<'a> {
    #[serde(borrow, rename = "Source")]
    source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Spec")]
    spec: Option<Spec<'a>>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow, rename = "Source")]
    source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "VolumeOptions")]
    volume: Option<VolumeOptions<'a>>,
}

/// Of a volume that is made when the container is, `--mount type=volume,volume-opt=device=PATH`.
#[derive(Deserialize)]
struct VolumeOptions<'a> {
    #[serde(borrow, default, rename = "DriverConfig")]
    driver: Option<DriverConfig<'a>>,
}

#[derive(Deserialize)]
struct DriverConfig<'a> {
    #[serde(borrow, default, rename = "Options")]
    options: Option<BTreeMap<String, &'a RawValue>>,
}

impl<'a> Spec<'a> {
    /// The values that may be paths.
    fn paths(self) -> impl Iterator<Item = &'a RawValue> {
        let driver = self.volume.and_then(|volume| volume.driver);
        let mut options = driver.and_then(|driver| driver.options).unwrap_or_default();
        [self.source, options.remove("device")]
            .into_iter()
            .flatten()
    }
}

#[derive(Deserialize)]
struct HostConfig<'a> {
    #[serde(borrow, default, rename = "Binds")]
    binds: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default, rename = "Mounts")]
    mounts: Option<Vec<Spec<'a>>>,
}

/// The new text of a path; `None`: it stays.
pub type NewPath<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text of `config.v2.json` with new paths.
///
/// # Errors
/// It is not what dockerd writes.
pub fn rewrite_config(text: &str, new_path: NewPath<'_>) -> serde_json::Result<String> {
    let config: Config = serde_json::from_str(text)?;
    let mut values = vec![
        config.log_path,
        config.hostname_path,
        config.hosts_path,
        config.resolv_conf_path,
        config.shm_path,
    ];
    for mount in config.mount_points.unwrap_or_default().into_values() {
        values.push(mount.source);
        values.extend(mount.spec.into_iter().flat_map(Spec::paths).map(Some));
    }
    let edits = values.into_iter().flatten().map(|value| (value, new_path));
    Ok(edited(text, edits))
}

/// The text of a `config.v2.json` of the containerd image store as it is with a storage driver, for this image.
///
/// # Errors
/// It is not what dockerd writes.
pub fn with_graph_driver(text: &str, driver: &str, image: &str) -> serde_json::Result<String> {
    // Values as they are written: a number may be larger than any type holds.
    let mut config: IndexMap<String, Box<RawValue>> = serde_json::from_str(text)?;
    config.insert("Driver".into(), to_raw_value(driver)?);
    config.insert("Image".into(), to_raw_value(image)?);
    config.shift_remove("ImageManifest");
    serde_json::to_string(&config)
}

/// The text of `hostconfig.json` with new sources of its binds, for containers that bind a part of
/// the data-root.
///
/// # Errors
/// It is not what dockerd writes.
pub fn rewrite_hostconfig(text: &str, new_path: NewPath<'_>) -> serde_json::Result<String> {
    let config: HostConfig = serde_json::from_str(text)?;
    let mounts = config.mounts.unwrap_or_default();
    let sources = mounts.into_iter().flat_map(Spec::paths);
    // `SOURCE:DESTINATION`, `SOURCE:DESTINATION:OPTIONS`; no source has a colon in it.
    let new_bind = |bind: &str| {
        let (source, rest) = bind.split_once(':')?;
        Some(format!("{}:{rest}", new_path(source)?))
    };
    let new_bind: NewPath<'_> = &new_bind;
    let binds = config.binds.unwrap_or_default().into_iter();
    let edits = binds
        .map(|bind| (bind, new_bind))
        .chain(sources.map(|source| (source, new_path)));
    Ok(edited(text, edits))
}

/// Replaces strings that are slices of `text`.
pub fn edited<'a>(
    text: &'a str,
    values: impl Iterator<Item = (&'a RawValue, NewPath<'a>)>,
) -> String {
    let mut edits: Vec<(usize, usize, String)> = values
        .filter_map(|(value, new)| {
            let raw = value.get();
            let new = new(&serde_json::from_str::<String>(raw).ok()?)?;
            // A raw value is a slice of the text it was read from.
            let start = raw.as_ptr() as usize - text.as_ptr() as usize;
            Some((start, raw.len(), serde_json::to_string(&new).ok()?))
        })
        .collect();
    edits.sort();
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (start, len, new) in edits {
        out.push_str(&text[done..start]);
        out.push_str(&new);
        done = start + len;
    }
    out.push_str(&text[done..]);
    out
}

/// The text of `hostconfig.json` with `UsernsMode` set to `host`; `None` where it says so already.
///
/// # Errors
/// It is not what dockerd writes.
pub fn set_userns_host(text: &str) -> serde_json::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Mode<'a> {
        #[serde(borrow, rename = "UsernsMode")]
        mode: Option<&'a RawValue>,
    }
    // An object, not an array of its values, which serde would take for one.
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)?;
    let found: Mode = serde_json::from_str(text)?;
    Ok(match found.mode {
        Some(mode) if mode.get() == "\"host\"" => None,
        Some(mode) => {
            let start = mode.get().as_ptr() as usize - text.as_ptr() as usize;
            let end = start + mode.get().len();
            Some([&text[..start], "\"host\"", &text[end..]].concat())
        }
        None => {
            let brace = text.find('{').map_or(0, |at| at + 1);
            let comma = match text[brace..].trim_start().starts_with('}') {
                true => "",
                false => ",",
            };
            Some(
                [
                    &text[..brace],
                    "\"UsernsMode\":\"host\"",
                    comma,
                    &text[brace..],
                ]
                .concat(),
            )
        }
    })
}
