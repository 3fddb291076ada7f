//! What a container mounts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A host directory or file that a container binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// The container may write to it.
    pub writable: bool,
}

/// The bind mounts in the text of `config.v2.json`; volumes are none.
///
/// # Errors
/// It is not what dockerd writes.
pub fn bind_mounts(config: &str) -> serde_json::Result<Vec<Bind>> {
    let all = mount_points(config)?.into_iter();
    Ok(all
        .filter(|mount| mount.r#type == "bind")
        .map(Bind::from)
        .collect())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    r#type: String,
    name: String,
    driver: String,
    source: PathBuf,
    destination: String,
    #[serde(rename = "RW")]
    rw: bool,
}

impl From<Mount> for Bind {
    fn from(mount: Mount) -> Bind {
        Bind {
            source: mount.source,
            destination: mount.destination,
            writable: mount.rw,
        }
    }
}

fn mount_points(config: &str) -> serde_json::Result<Vec<Mount>> {
    #[derive(Deserialize)]
    struct Mounts {
        #[serde(rename = "MountPoints", default)]
        all: Option<BTreeMap<String, Mount>>,
    }
    let mounts: Mounts = serde_json::from_str(config)?;
    Ok(mounts.all.unwrap_or_default().into_values().collect())
}

/// The volumes of the `local` driver in the text of `config.v2.json`: their names, and each as if it
/// were a bind mount of what Docker says its source is.
///
/// # Errors
/// It is not what dockerd writes.
pub fn local_volumes(config: &str) -> serde_json::Result<Vec<(String, Bind)>> {
    let all = mount_points(config)?;
    let local =
        |mount: &Mount| mount.r#type == "volume" && matches!(&mount.driver[..], "" | "local");
    let all = all.into_iter().filter(local);
    Ok(all
        .map(|mount| (mount.name.clone(), mount.into()))
        .collect())
}

/// The volumes in the text of `config.v2.json` that a driver other than `local` keeps: name and
/// driver.
///
/// # Errors
/// It is not what dockerd writes.
pub fn volume_drivers(config: &str) -> serde_json::Result<Vec<(String, String)>> {
    let foreign =
        |mount: &Mount| mount.r#type == "volume" && !matches!(&mount.driver[..], "" | "local");
    let all = mount_points(config)?.into_iter().filter(foreign);
    Ok(all.map(|mount| (mount.name, mount.driver)).collect())
}

/// The images in the text of `config.v2.json` that are mounted in the container (`--mount type=image`, Docker 28 and later).
///
/// # Errors
/// It is not what dockerd writes.
pub fn image_mounts(config: &str) -> serde_json::Result<Vec<String>> {
    let all = mount_points(config)?.into_iter();
    let images = all.filter(|mount| mount.r#type == "image");
    Ok(images.map(|mount| mount.name).collect())
}
