//! One owner for each host path that services bind.

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::Bind;
use crate::fs::Root;
use crate::fs::escape::{escaped, shell_word};
use crate::preflight::{self, UnsuitableRoot};
use crate::volume::VolumeError;
use crate::volume::guidance::{CREATE, NOT_THERE_TO_SHARE};
use crate::volume::user::ContainerUser;

/// A bind, and who uses it.
#[derive(Clone, Debug, Serialize)]
pub struct Use {
    /// The service.
    pub service: String,
    /// The bind.
    #[serde(flatten)]
    pub bind: Bind,
    /// Whom its container runs as.
    #[serde(rename = "as")]
    pub user: ContainerUser,
    /// Why it is left as it is; `None` when it is prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// A host path that is given to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindSource {
    /// Without symlinks, as far as it is there.
    pub path: PathBuf,
    /// To whom.
    pub user: ContainerUser,
    /// It is made when it is missing.
    pub create: bool,
    /// No container writes to it.
    pub read_only: bool,
}

/// Options for sources.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Parts of the system are prepared too.
    pub system_path: bool,
    /// What is mounted below a source is walked too.
    pub cross_mounts: bool,
    /// Missing sources that Docker would make are made.
    pub create: bool,
    /// Sources are shared: they belong to nobody's container.
    pub share: bool,
}

/// A source while the others come together.
struct ResolvedUse<'a> {
    used: &'a Use,
    real: PathBuf,
    is_missing: bool,
}

/// Each host path once, with its owner; what is in a path with the same owner goes with that. Says in `uses` which
/// are left as they are.
///
/// # Errors
/// Two services need different owners; a source is a symlink, or missing and not to be made.
pub fn one_owner_each(uses: &mut [Use], allowed: Allowed) -> Result<Vec<BindSource>, VolumeError> {
    for used in uses.iter_mut() {
        used.left = why_left(&used.bind, allowed);
    }
    let mut found = Vec::new();
    for used in uses.iter().filter(|used| used.left.is_none()) {
        found.push(find(used, allowed)?);
    }
    for (n, one) in found.iter().enumerate() {
        for other in &found[..n] {
            check_no_conflict(one, other, allowed)?;
        }
    }
    let mut sources: Vec<BindSource> = Vec::new();
    // Outer ones first.
    found.sort_by_key(|found| found.real.components().count());
    for one in &found {
        let is_same = sources.iter().any(|known| known.path == one.real);
        if is_same || (!one.is_missing && goes_with_another(one, &sources, allowed)?) {
            continue;
        }
        sources.push(BindSource {
            path: one.real.clone(),
            user: one.used.user.clone(),
            create: one.is_missing,
            read_only: found
                .iter()
                .filter(|other| other.real.starts_with(&one.real))
                .all(|other| other.used.bind.read_only),
        });
    }
    Ok(sources)
}

/// Why a bind is left: an owner does not help, or it is a part of the system that is only read.
fn why_left(bind: &Bind, allowed: Allowed) -> Option<String> {
    if let Some(missing) = missing_of_host(&bind.source) {
        return match missing {
            MissingOfHost::System(_) if allowed.system_path => None,
            _ => Some(missing.to_string()),
        };
    }
    let real = std::fs::canonicalize(&bind.source).ok()?;
    let root = Root::open(&real).ok()?;
    if let Err(error) = preflight::check_kind(&root) {
        return Some(of_path(&real, &error.to_string()));
    }
    let is_left = bind.read_only && !allowed.system_path;
    match preflight::check_system_path(&real).err()? {
        UnsuitableRoot::System { why, .. } if is_left => Some(why.to_string()),
        _ => None,
    }
}

/// Removes the path from a message, because the table has it.
fn of_path(path: &Path, message: &str) -> String {
    let prefix = format!("{}: ", escaped(path));
    message.strip_prefix(&prefix).unwrap_or(message).to_string()
}

fn find(used: &Use, allowed: Allowed) -> Result<ResolvedUse<'_>, VolumeError> {
    let path = &used.bind.source;
    let service = &used.service;
    let is_missing = match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => {
            let target = std::fs::canonicalize(path).unwrap_or_default();
            let reason = format!(
                "is a symlink to {}, bound by the service {service}. Name the directory itself in the file",
                escaped(&target)
            );
            return Err(VolumeError::path(path, reason));
        }
        Ok(_) => false,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(VolumeError::io(path)(error)),
    };
    if is_missing && allowed.share && !used.bind.is_file {
        return Err(VolumeError::path(path, NOT_THERE_TO_SHARE));
    }
    if is_missing && !used.bind.creates_source {
        return Err(not_made(&used.bind, service));
    }
    if is_missing && !allowed.create {
        let reason = format!("is not there, bound by the service {service}. {CREATE}");
        return Err(VolumeError::path(path, reason));
    }
    check_within(&used.bind)?;
    Ok(ResolvedUse {
        used,
        real: real(path)?,
        is_missing,
    })
}

/// Why a missing source is not created.
pub fn not_made(bind: &Bind, service: &str) -> VolumeError {
    let path = shell_word(&bind.source);
    let help = match bind.is_file {
        true => "create it first. It has to be a file".to_string(),
        false => format!("create it first, `mkdir -p {path}`"),
    };
    let reason =
        format!("is not there, and is not created when the service {service} starts: {help}");
    VolumeError::path(&bind.source, reason)
}

/// Refuses a part of a volume that lies outside of it (moby `internal/safepath`).
///
/// # Errors
/// It does, or cannot be looked at.
pub fn check_within(bind: &Bind) -> Result<(), VolumeError> {
    let Some(volume) = &bind.within else {
        return Ok(());
    };
    let (source, volume) = (real(&bind.source)?, real(volume)?);
    match source.starts_with(&volume) {
        true => Ok(()),
        false => Err(VolumeError::path(
            &bind.source,
            format!(
                "leads to {}, out of its volume {}. Docker refuses such a subpath: name another one",
                escaped(&source),
                escaped(&volume)
            ),
        )),
    }
}

/// A path that is missing and that only the host itself makes.
#[derive(Debug, Error)]
pub enum MissingOfHost {
    /// A directory in its place would keep a program from listening.
    #[error(
        "is not there, and has the name of a socket: the program that listens on it creates it"
    )]
    Socket,
    /// A part of the system, with what it is.
    #[error("is not there, and is a part of the system ({0})")]
    System(&'static str),
}

/// Whether nothing is to be made in the place of this path.
pub fn missing_of_host(path: &Path) -> Option<MissingOfHost> {
    let found = path.symlink_metadata();
    if !found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return None;
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "sock")
    {
        return Some(MissingOfHost::Socket);
    }
    match preflight::check_system_path(&real(path).ok()?).err()? {
        UnsuitableRoot::System { why, .. } => Some(MissingOfHost::System(why)),
        _ => None,
    }
}

/// Without symlinks, as far as it is there.
fn real(path: &Path) -> Result<PathBuf, VolumeError> {
    let there = path.ancestors().find(|dir| dir.symlink_metadata().is_ok());
    let there = there.unwrap_or(Path::new("/"));
    let below = path.strip_prefix(there).unwrap_or(Path::new(""));
    let real = std::fs::canonicalize(there).map_err(VolumeError::io(there))?;
    // To join nothing would put a slash behind it.
    Ok(match below.as_os_str().is_empty() {
        true => real,
        false => real.join(below),
    })
}

fn check_no_conflict(
    one: &ResolvedUse<'_>,
    other: &ResolvedUse<'_>,
    allowed: Allowed,
) -> Result<(), VolumeError> {
    let meets = one.real.starts_with(&other.real) || other.real.starts_with(&one.real);
    let ids = |found: &ResolvedUse<'_>| (found.used.user.uid, found.used.user.gid);
    if !meets || ids(one) == ids(other) {
        return Ok(());
    }
    let named = |found: &ResolvedUse<'_>| {
        let Use { service, user, .. } = found.used;
        format!("the service {service} (as {user})")
    };
    let also = match one.real == other.real {
        true => String::new(),
        false => format!(" as {}", escaped(&one.real)),
    };
    let help = match allowed.share {
        true => "one run shares it with one of them. Run it for each, with --service NAME",
        false => {
            "it can belong to only one of them. Prepare it for one with --service NAME, and give the other its view by \
             `idshift mount` (/usr/share/doc/idshift/docs/compose.md)"
        }
    };
    let reason = format!(
        "is bound by {} and{also} by {}: {help}",
        named(other),
        named(one)
    );
    Err(VolumeError::path(&other.real, reason))
}

/// Whether the walk of another source includes this one.
fn goes_with_another(
    one: &ResolvedUse<'_>,
    sources: &[BindSource],
    allowed: Allowed,
) -> Result<bool, VolumeError> {
    let outer = sources
        .iter()
        .find(|known| !known.create && one.real.starts_with(&known.path));
    let Some(outer) = outer else {
        return Ok(false);
    };
    let mount = |path: &Path| {
        let root = Root::open(path).map_err(VolumeError::of_root(path))?;
        Ok::<u64, VolumeError>(root.mount_id)
    };
    if allowed.cross_mounts || mount(&outer.path)? == mount(&one.real)? {
        return Ok(true);
    }
    let help = match allowed.share {
        true => "Share it in a run of its own, or name one service with --service",
        false => "Add --cross-mounts, or name one service with --service",
    };
    let reason = format!(
        "is a mount below {}, which is bound too. {help}",
        escaped(&outer.path)
    );
    Err(VolumeError::path(&one.real, reason))
}
