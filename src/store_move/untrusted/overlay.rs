//! Where the files of an overlay driver say that layers are. An engine joins what it reads there to paths, as root: a user who
//! writes `../../..` would have it use any directory of the host as a layer.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store_move::MoveError;
use crate::store_move::files::{names, read_text};

/// Short names of layers.
const LINKS: &str = "l";

/// The first path below the directory of an overlay driver that could lead out of it: Docker's overlay2, and the overlay of
/// containers/storage. `others`: names in it that are no layers.
///
/// # Errors
/// Something cannot be read.
pub fn overlay_leads_out(top: &Path, others: &[&str]) -> Result<Option<PathBuf>, MoveError> {
    let links = top.join(LINKS);
    for name in names(&links)? {
        let link = links.join(&name);
        let target = std::fs::read_link(&link).map_err(MoveError::io(&link))?;
        let layer = target.to_str().and_then(|target| {
            let rest = target.strip_prefix("../")?;
            rest.strip_suffix("/diff")
        });
        if !layer.is_some_and(is_layer_name) {
            return Ok(Some(link));
        }
    }
    let is_layer = |name: &String| name != LINKS && !others.contains(&name.as_str());
    let layers: Vec<String> = names(top)?.into_iter().filter(is_layer).collect();
    for layer in &layers {
        let dir = top.join(layer);
        let link = dir.join("link");
        if read_text(&link)?.is_some_and(|text| !is_layer_name(text.trim()))
            || has_more_names(&link)
        {
            return Ok(Some(link));
        }
        let lower = dir.join("lower");
        let text = read_text(&lower)?.unwrap_or_default();
        let is_short = |name: &str| name.strip_prefix("l/").is_some_and(is_layer_name);
        if !text.is_empty() && !text.split(':').all(is_short) || has_more_names(&lower) {
            return Ok(Some(lower));
        }
    }
    not_layer_directory(top, others, &["diff", "work", "merged"])
}

/// A container could write to it, where one of its names is in a volume.
fn has_more_names(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|found| found.nlink() > 1)
}

/// Everything in this directory but `others` should be a directory with the name of a layer, and so should those entries of
/// it, where they are there: the first that is none.
///
/// # Errors
/// Something cannot be read.
pub fn not_layer_directory(
    top: &Path,
    others: &[&str],
    entries: &[&str],
) -> Result<Option<PathBuf>, MoveError> {
    for name in names(top)? {
        if others.contains(&name.as_str()) {
            continue;
        }
        let dir = top.join(&name);
        if !is_layer_name(&name) {
            return Ok(Some(dir));
        }
        let below = entries.iter().map(|entry| dir.join(entry));
        for path in std::iter::once(dir.clone()).chain(below) {
            match path.symlink_metadata() {
                Ok(found) if !found.is_dir() => {
                    return Ok(Some(path));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// What engines call a layer. A comma or a colon would end it in the options of a mount.
pub fn is_layer_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_fine)
}
