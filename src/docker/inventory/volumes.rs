//! Volumes whose content is not simply in their own directory: a symlink leads to it, or a device is
//! mounted there when they are used.

use std::fs::{canonicalize, read_link};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::disposition::{Disposition, HostBinds};
use super::path_owner::{PathOwner, is_link, whose};
use crate::docker::DockerError;
use crate::docker::bind_mounts::{Advice, BindMount, reverse_command};
use crate::docker::container::{NewPath, edited};
use crate::docker::data_root::{names, not_json, read_text};
use crate::docker::guidance::SO_DOES_BIND_MOUNTS;
use crate::docker::path_rewriter::{PathRewriter, real};
use crate::docker::remap::Remap;
use crate::fs::escape::escaped;

/// A volume of the local driver whose content is elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeElsewhere {
    /// Its name.
    pub volume: String,
    /// What is there instead, for people: `a symlink to /srv/data`.
    pub what: String,
    /// The directory that holds its content, where that is one of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// What becomes of its content.
    pub becomes: Disposition,
    /// What its symlink or its options say afterwards, where they have to be rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<String>,
    /// What to do about it, for people.
    pub advice: String,
    /// The daemon mounts it when it is used.
    #[serde(skip)]
    pub(super) is_mounted: bool,
    /// Its directory.
    #[serde(skip)]
    pub(super) path: PathBuf,
    #[serde(skip)]
    pub(super) edits: Vec<Edit>,
}

impl std::fmt::Display for VolumeElsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}: {}", self.volume, self.what, self.advice)?;
        match &self.rewritten {
            Some(new) if self.is_mounted => write!(
                f,
                "; it is rewritten to {new}, and a compose file that names it needs that too",
                new = escaped(Path::new(new))
            ),
            Some(new) => write!(f, "; it is rewritten to {}", escaped(Path::new(new))),
            None => Ok(()),
        }
    }
}

/// What has to be rewritten so that a volume keeps its content, below the docker root.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The target of a symlink.
    Link {
        /// The symlink.
        at: PathBuf,
        /// Its target afterwards.
        target: PathBuf,
    },
    /// The volume's `opts.json`.
    Options {
        /// The file.
        at: PathBuf,
        /// Its text.
        before: String,
        /// Its text afterwards.
        after: String,
    },
}

impl VolumeElsewhere {
    fn new(volume: &str, path: &Path, what: String) -> VolumeElsewhere {
        VolumeElsewhere {
            path: path.to_path_buf(),
            volume: volume.to_string(),
            what,
            dir: None,
            becomes: Disposition::Left,
            rewritten: None,
            advice: "what is in there is not shifted".into(),
            is_mounted: false,
            edits: Vec::new(),
        }
    }

    fn refused(mut self, why: &str) -> VolumeElsewhere {
        self.becomes = Disposition::Refused;
        self.advice = why.into();
        self
    }

    /// Its content is in this directory, which has no symlinks in its path.
    fn with_content(mut self, dir: PathBuf, rewriter: &PathRewriter) -> VolumeElsewhere {
        match whose(rewriter, &dir) {
            PathOwner::Daemon => self.advice = "it goes along, and is not shifted".into(),
            PathOwner::Content => {
                self.becomes = Disposition::Carried;
                self.advice = "it goes along with the data-root, shifted".into();
            }
            PathOwner::Own | PathOwner::Host => self.dir = Some(dir),
        }
        self
    }

    /// What was found of the directory that holds its content.
    pub(super) fn decide(&mut self, mounts: &[BindMount], host_binds: HostBinds) {
        let Some(dir) = &self.dir else {
            return;
        };
        let Some(mount) = mounts.iter().find(|mount| real(&mount.source) == *dir) else {
            return;
        };
        (self.becomes, self.advice) = match &mount.kind {
            Advice::Carried => (
                Disposition::Carried,
                "it goes along with the data-root, shifted".into(),
            ),
            Advice::Prepare if host_binds == HostBinds::Shifted => (
                Disposition::ShiftedInPlace,
                "shifted where it lies, as a bind mount".into(),
            ),
            Advice::Prepare => (
                Disposition::Left,
                format!(
                    "what is in there is not shifted; {} shifts it, and {SO_DOES_BIND_MOUNTS}",
                    mount.advice
                ),
            ),
            _ => (Disposition::Left, mount.advice.clone()),
        };
    }
}

impl VolumeElsewhere {
    /// The same on the way out of the range, where `own` goes along and `shifted` is in the range.
    pub(super) fn decide_back(
        &mut self,
        own: &[PathBuf],
        shifted: &[PathBuf],
        remap: &Remap,
        with_binds: bool,
    ) {
        let Some(dir) = &self.dir else {
            return;
        };
        let is_shifted = shifted.iter().any(|tree| dir.starts_with(tree));
        (self.becomes, self.advice) = match (own.contains(dir), is_shifted) {
            (true, _) => (
                Disposition::Carried,
                "it goes along with the data-root, shifted".into(),
            ),
            (_, true) if with_binds => (
                Disposition::ShiftedInPlace,
                "shifted back where it lies, as a bind mount".into(),
            ),
            (_, true) => (
                Disposition::Left,
                format!(
                    "what is in there stays shifted; {} shifts it back, and {SO_DOES_BIND_MOUNTS}",
                    reverse_command(remap, dir)
                ),
            ),
            _ => (Disposition::Left, "left as it is".into()),
        };
    }
}

/// The volumes of a docker root whose content is elsewhere. `at` is where the root is that its
/// symlinks were made for.
///
/// # Errors
/// One's options cannot be read.
pub fn volumes_elsewhere(rewriter: &PathRewriter) -> Result<Vec<VolumeElsewhere>, DockerError> {
    let top = rewriter.from().join("volumes");
    let mut found = Vec::new();
    for name in names(&top)? {
        let dir = top.join(&name);
        match is_link(&dir) || is_link(&dir.join("_data")) {
            true => found.push(behind_link(&name, &dir, rewriter)),
            false if !dir.join("_data").is_dir() => {}
            false => found.extend(behind_options(&name, &dir, rewriter)?),
        }
    }
    Ok(found)
}

fn behind_link(name: &str, dir: &Path, rewriter: &PathRewriter) -> VolumeElsewhere {
    // The volume's directory may be one, and what it leads to may hold another.
    let inner = canonicalize(dir).map(|dir| dir.join("_data"));
    let inner = inner.ok().filter(|inner| is_link(inner));
    let links: Vec<PathBuf> = [Some(dir.to_path_buf()).filter(|dir| is_link(dir)), inner]
        .into_iter()
        .flatten()
        .collect();
    let content = canonicalize(dir.join("_data")).or_else(|_| canonicalize(dir));
    let last = links.last().map_or(dir, |link| link);
    let Some(content) = content.ok().filter(|_| canonicalize(last).is_ok()) else {
        let target = read_link(last).unwrap_or_default();
        let what = format!("a symlink to {}, where nothing is", escaped(&target));
        let mut volume = VolumeElsewhere::new(name, dir, what);
        volume.advice = "left as it is".into();
        return volume;
    };
    let mut volume = VolumeElsewhere::new(name, dir, format!("a symlink to {}", escaped(&content)));
    for link in links {
        let Some(target) = rewriter.link(&link) else {
            continue;
        };
        if rewriter.new_path(&link).is_none() {
            return volume.refused(&format!(
                "{} is outside of the data-root and leads into it, and would lead nowhere afterwards. \
                 Make the volume a symlink to {} itself",
                escaped(&link),
                escaped(&content)
            ));
        }
        volume.rewritten = Some(target.to_string_lossy().into_owned());
        volume.edits.push(Edit::Link { at: link, target });
    }
    volume.with_content(content, rewriter)
}

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

fn text_of(value: Option<&RawValue>) -> serde_json::Result<String> {
    let text: Option<Option<String>> =
        value.map(|it| serde_json::from_str(it.get())).transpose()?;
    Ok(text.flatten().unwrap_or_default())
}

fn behind_options(
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
    let device = text_of(options.mount_device).map_err(bad)?;
    let mount_opts = text_of(options.mount_opts).map_err(bad)?;
    if device.is_empty() {
        return Ok(None);
    }
    let is_bind = mount_opts
        .split(',')
        .any(|word| matches!(word, "bind" | "rbind"));
    let kind = match &options.mount_type[..] {
        "" | "none" if is_bind => "bind",
        kind => kind,
    };
    let what = [kind, &device].join(" ");
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
    volume.advice = of_filesystem(kind, &mount_opts).into();
    Ok(Some(volume))
}

/// What to do about a filesystem that the daemon mounts when a volume is used.
fn of_filesystem(kind: &str, mount_opts: &str) -> &'static str {
    let has_owner = |word: &str| ["uid=", "gid="].iter().any(|it| word.starts_with(it));
    match kind {
        _ if mount_opts.split(',').any(has_owner) => {
            "left as it is; uid= and gid= in its options are ids of the host: create it again with the range's ids"
        }
        "tmpfs" => "left as it is: it is empty each time it is mounted",
        kind if kind.starts_with("nfs") || kind == "cifs" || kind == "smb3" => {
            "left as it is: what is in there is not shifted. Shift it with idshift on the server that keeps the files"
        }
        "overlay" => {
            "left as it is: what is in its layers is not shifted. Shift those with idshift prepare"
        }
        _ => {
            "left as it is: what is in there is not shifted. Mount it, and shift it with idshift prepare"
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
