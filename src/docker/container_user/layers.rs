//! The directories that the layers of a graph driver are in.

use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::data_root::{names, read_text};
use crate::docker::storage_drivers::{self, Layers};

/// The driver's name of the layer on top of a chain, found from the bottom up: each layer's
/// directory says what it is (`diff`), what it stands on (`parent`), and what the driver calls it
/// (`cache-id`).
pub(super) fn top_layer(image_dir: &Path, diff_ids: &[String]) -> Result<String, DockerError> {
    let layers = image_dir.join("layerdb/sha256");
    let read = |chain: &str, file: &str| -> Result<Option<String>, DockerError> {
        let text = read_text(&layers.join(chain).join(file))?;
        Ok(text.map(|text| text.trim().to_string()))
    };
    let chains = names(&layers)?;
    let mut below: Option<String> = None;
    for diff_id in diff_ids {
        let mut found = None;
        for chain in &chains {
            let stands_on = below.as_ref().map(|chain| format!("sha256:{chain}"));
            if read(chain, "diff")?.as_deref() == Some(diff_id)
                && read(chain, "parent")? == stands_on
            {
                found = Some(chain.clone());
                break;
            }
        }
        below = Some(found.ok_or_else(|| {
            DockerError::in_the_way(&layers, format!("the layer {diff_id} is not there"))
        })?);
    }
    match below {
        Some(chain) => Ok(read(&chain, "cache-id")?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// The directories that a layer of a driver is made of, topmost first.
pub(super) fn layer_dirs(root: &Path, driver: &str, id: &str) -> Vec<PathBuf> {
    // Ids are hexadecimal: nothing else is a path of ours.
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    let home = root.join(driver);
    match storage_drivers::find(driver.as_bytes()).map(|it| it.layers) {
        Some(Layers::Whole(dir)) => vec![home.join(dir).join(id)],
        _ => {
            let mut dirs = vec![home.join(id).join("diff")];
            let lower = read_text(&home.join(id).join("lower")).ok().flatten();
            for link in lower.unwrap_or_default().trim().split(':') {
                // `l/ABC`, a symlink to `../ID/diff` that dockerd made.
                dirs.extend(std::fs::canonicalize(home.join(link)));
            }
            dirs
        }
    }
}
