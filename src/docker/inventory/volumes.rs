//! Volumes whose content is not simply in their own directory: a symlink leads to it, or a device is
//! mounted there when they are used.

mod options;

use std::fs::{canonicalize, read_link};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disposition::{Disposition, HostBinds};
use crate::docker::DockerError;
use crate::docker::bind_mounts::survey::VolumeContent;
use crate::docker::bind_mounts::{Advice, BindMount, reverse_command};
use crate::docker::data_root::names;
use crate::docker::path_owner::{PathOwner, is_link, whose};
use crate::docker::path_rewriter::{PathRewriter, real};
use crate::docker::remap::Remap;
use crate::fs::escape::escaped;
use crate::journal::name;
use options::behind_options;
pub use options::bound_path;

/// A volume of the local driver whose content is elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeElsewhere {
    /// Its name.
    pub volume: String,
    /// What is there instead, for people: `a symlink to /srv/data`.
    pub what: String,
    /// The directory that holds its content, where that is one of this host.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "name::serialize_optional_path"
    )]
    pub dir: Option<PathBuf>,
    /// What happens to its content.
    pub becomes: Disposition,
    /// What its symlink or its options say afterwards, where they have to be rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<String>,
    /// What to do about it, for people.
    pub advice: String,
    /// It stays as it is, and would be shifted with `--bind-mounts`.
    #[serde(skip)]
    pub shifted_with_bind_mounts: bool,
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
                "; it is rewritten to {new}, and a Compose file that names it needs the same change",
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
            advice: "its content is not shifted".into(),
            shifted_with_bind_mounts: false,
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
            Some(PathOwner::Daemon) => {
                self.advice = "it moves with the data-root, not shifted".into()
            }
            Some(PathOwner::Content) => {
                self.becomes = Disposition::Moved;
                self.advice = "it moves with the data-root and is shifted".into();
            }
            Some(PathOwner::Own) | None => self.dir = Some(dir),
        }
        self
    }

    /// The directory that holds its content, where that is one of this host.
    pub(super) fn content(&self) -> Option<VolumeContent<'_>> {
        let dir = self.dir.as_deref()?;
        Some(VolumeContent {
            name: &self.volume,
            dir,
        })
    }

    /// What was found of the directory that holds its content.
    pub(super) fn decide(&mut self, mounts: &[BindMount], host_binds: HostBinds) {
        let Some(dir) = &self.dir else {
            return;
        };
        let Some(mount) = mounts.iter().find(|mount| real(&mount.source) == *dir) else {
            return;
        };
        self.shifted_with_bind_mounts =
            mount.kind == Advice::Prepare && host_binds != HostBinds::Shifted;
        (self.becomes, self.advice) = match &mount.kind {
            Advice::Moved => (
                Disposition::Moved,
                "it moves with the data-root and is shifted".into(),
            ),
            Advice::Prepare if host_binds == HostBinds::Shifted => (
                Disposition::ShiftedInPlace,
                "shifted in place, as a bind mount".into(),
            ),
            Advice::Prepare => (
                Disposition::Left,
                format!("its content is not shifted; {} shifts it", mount.advice),
            ),
            _ => (Disposition::Left, mount.advice.clone()),
        };
    }
}

impl VolumeElsewhere {
    /// Decides on the way out of the range, where `own` goes along and `shifted` is in the range.
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
        self.shifted_with_bind_mounts = is_shifted && !own.contains(dir) && !with_binds;
        (self.becomes, self.advice) = match (own.contains(dir), is_shifted) {
            (true, _) => (
                Disposition::Moved,
                "it moves with the data-root and is shifted".into(),
            ),
            (_, true) if with_binds => (
                Disposition::ShiftedInPlace,
                "shifted back in place, as a bind mount".into(),
            ),
            (_, true) => (
                Disposition::Left,
                format!(
                    "its content stays shifted; {} shifts it back",
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
        let what = format!("a symlink to {}, which does not exist", escaped(&target));
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
                "{} is a symlink outside of the data-root that leads into it, and would lead nowhere \
                afterwards. \
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
