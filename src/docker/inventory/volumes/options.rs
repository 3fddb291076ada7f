//! Volumes whose options say what is mounted when they are used.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Edit, VolumeElsewhere};
use crate::docker::DockerError;
use crate::docker::container::{NewPath, edited};
use crate::docker::data_root::{not_json, read_text};
use crate::docker::path_rewriter::PathRewriter;

/// Options of the local driver (moby `volume/local/local_unix.go`, `optsConfig`): those that only
/// limit its size mount nothing.
#[derive(Deserialize)]
struct Options<'a> {
    #[serde(rename = "MountType", default)]
    mount_type: String,
    #[serde(borrow, rename = "MountDevice", default)]
    mount_device: Option<&'a RawValue>,
    #[serde(borrow, rename = "MountOpts", default)]
    mount_opts: Option<&'a RawValue>,
}

/// What the options of a volume say.
struct Mounted {
    kind: String,
    device: String,
    is_bind: bool,
}

impl Options<'_> {
    /// What is mounted when the volume is used; `None`: nothing.
    fn mounted(&self) -> serde_json::Result<Option<Mounted>> {
        let device = text_of(self.mount_device)?;
        let is_bind = text_of(self.mount_opts)?
            .split(',')
            .any(|word| matches!(word, "bind" | "rbind"));
        let kind = match &self.mount_type[..] {
            "" | "none" if is_bind => "bind",
            kind => kind,
        };
        Ok((!device.is_empty()).then(|| Mounted {
            kind: kind.to_string(),
            device,
            is_bind,
        }))
    }
}

/// The host path that a volume in this directory binds when it is used.
///
/// # Errors
/// Its options cannot be read.
pub fn bound_path(dir: &Path) -> Result<Option<PathBuf>, DockerError> {
    let at = dir.join("opts.json");
    let Some(text) = read_text(&at)? else {
        return Ok(None);
    };
    let bad = |error| not_json(&at, &error);
    let options: Option<Options> = serde_json::from_str(&text).map_err(bad)?;
    let mounted = options.map(|options| options.mounted()).transpose();
    let mounted = mounted.map_err(bad)?.flatten();
    let device = mounted.filter(|it| it.is_bind && it.device.starts_with('/'));
    Ok(device.map(|it| it.device.into()))
}

fn text_of(value: Option<&RawValue>) -> serde_json::Result<String> {
    let text: Option<Option<String>> =
        value.map(|it| serde_json::from_str(it.get())).transpose()?;
    Ok(text.flatten().unwrap_or_default())
}

pub(super) fn behind_options(
    name: &str,
    dir: &Path,
    rewriter: &PathRewriter,
) -> Result<Option<VolumeElsewhere>, DockerError> {
    let at = dir.join("opts.json");
    let Some(before) = read_text(&at)? else {
        return Ok(None);
    };
    let bad = |error| not_json(&at, &error);
    let options: Option<Options> = serde_json::from_str(&before).map_err(bad)?;
    let Some(options) = options else {
        return Ok(None);
    };
    let Some(mounted) = options.mounted().map_err(bad)? else {
        return Ok(None);
    };
    let mount_opts = text_of(options.mount_opts).map_err(bad)?;
    let Mounted {
        kind,
        device,
        is_bind,
    } = mounted;
    let what = [&kind[..], &device].join(" ");
    let what = format!("a mount of {} when it is used", what.trim());
    let mut volume = VolumeElsewhere::new(name, dir, what);
    volume.is_mounted = true;
    let new_device: NewPath<'_> = &|device| rewriter.path(device);
    let new_opts: NewPath<'_> = &|opts| move_mount_opts(opts, rewriter);
    let values = [
        (options.mount_device, new_device),
        (options.mount_opts, new_opts),
    ];
    let values = values.into_iter();
    let after = edited(
        &before,
        values.filter_map(|(value, new)| Some((value?, new))),
    );
    if after != before {
        let new = new_device(&device).or_else(|| new_opts(&mount_opts));
        volume.rewritten = new;
        volume.edits.push(Edit::Options { at, before, after });
    }
    if is_bind {
        return Ok(Some(match canonicalize(&device) {
            Ok(content) if Path::new(&device).is_absolute() => {
                volume.with_content(content, rewriter)
            }
            _ => {
                volume.advice = "it is not there; left as it is".into();
                volume
            }
        }));
    }
    volume.advice = advice_for_filesystem(&kind, &mount_opts).into();
    Ok(Some(volume))
}

/// What to do about a filesystem that the daemon mounts when a volume is used.
fn advice_for_filesystem(kind: &str, mount_opts: &str) -> &'static str {
    let has_owner = |word: &str| ["uid=", "gid="].iter().any(|it| word.starts_with(it));
    match kind {
        _ if mount_opts.split(',').any(has_owner) => {
            "left as it is; uid= and gid= in its options are ids of the host: create it again with ids of \
            the range"
        }
        "tmpfs" => "left as it is: it is empty after each mount",
        kind if kind.starts_with("nfs") || kind == "cifs" || kind == "smb3" => {
            "left as it is: its content is not shifted. Shift it with idshift on the server that stores the \
            files"
        }
        "overlay" => {
            "left as it is: the files in its layers are not shifted. Shift the layers with idshift prepare"
        }
        _ => {
            "left as it is: its content is not shifted. Mount it, and shift it with idshift prepare"
        }
    }
}

/// Directories in the options of an overlay.
fn move_mount_opts(opts: &str, rewriter: &PathRewriter) -> Option<String> {
    const LAYERS: [&str; 5] = ["lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"];
    let new_option = |option: &str| match option.split_once('=') {
        Some((key, dirs)) if LAYERS.contains(&key) => {
            let new = |dir: &str| rewriter.path(dir).unwrap_or_else(|| dir.to_string());
            let dirs: Vec<String> = dirs.split(':').map(new).collect();
            format!("{key}={}", dirs.join(":"))
        }
        _ => option.to_string(),
    };
    let new: Vec<String> = opts.split(',').map(new_option).collect();
    let new = new.join(",");
    (new != opts).then_some(new)
}
