//! What is the matter with an idmapped root.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use super::{IdmappedRoot, MountState, copied, unit};
use crate::docker::DockerError;
use crate::docker::data_root::{DockerRoot, names};
use crate::docker::guidance;
use crate::docker::inventory::mounts::{MountPoint, mount_points};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::remap::Remap;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::file_ops::is_empty;
use crate::fs::{PinnedFile, Stat};
use crate::host::{Finding, Level};
use crate::idmap::{Direction, Mapped};

const WHAT: &str = "idmapped root";

/// The findings of an audit.
///
/// # Errors
/// It cannot be read.
pub fn findings(
    root: &IdmappedRoot,
    remap: Option<&Remap>,
    is_service: bool,
) -> Result<Vec<Finding>, DockerError> {
    let other_ranges = remap.and_then(|remap| other_ranges(root, remap));
    let mount = mount(root)?;
    let mut findings = vec![match (mount.level, &other_ranges) {
        // With other ranges, neither command is possible.
        (Level::Ok, None) => mount.remedy(
            "idshift docker migrate changes the owners on disk, and then no mount is needed; idshift docker revert goes \
             back",
        ),
        _ => mount,
    }];
    findings.extend(at_boot(root, is_service));
    findings.extend(other_ranges.map(|[found, remedy]| {
        Finding::error("ranges", format!("{} {found}", escaped(&root.point()))).remedy(remedy)
    }));
    findings.extend(copied(root)?);
    findings.extend(hidden(root));
    let mounted = mounted_in(root)?.into_iter();
    findings.extend(mounted.map(|mount| Finding::error("mounts", mount.refusal().to_string())));
    findings.extend(without_mount(root)?);
    Ok(findings)
}

/// Why no daemon starts on it, now or at the next boot.
///
/// # Errors
/// It cannot be read.
pub fn faults(root: &IdmappedRoot, is_service: bool) -> Result<Vec<Finding>, DockerError> {
    let all = [Some(mount(root)?), at_boot(root, is_service)];
    let is_fault = |finding: &Finding| finding.level == Level::Error;
    Ok(all.into_iter().flatten().filter(is_fault).collect())
}

/// Whether it is mounted.
fn mount(root: &IdmappedRoot) -> Result<Finding, DockerError> {
    let (point, content) = (root.point(), root.content());
    let command = unit::mount_command(&root.top);
    Ok(match root.mount_state()? {
        MountState::Mounted => {
            let holds = DockerRoot::at(&content).holds()?;
            let found = format!(
                "{} holds {holds}, remapped by a mount of {}",
                escaped(&point),
                escaped(&content)
            );
            Finding::ok(WHAT, found)
        }
        MountState::Missing => Finding::error(
            WHAT,
            format!(
                "the mount of {} on {} is missing: no daemon starts on it",
                escaped(&content),
                escaped(&point)
            ),
        )
        .remedy(command),
        MountState::Other(what) => Finding::error(WHAT, format!("{}: {what}", escaped(&point)))
            .remedy(format!("umount {}, then {command}", shell_word(&point))),
    })
}

/// Whether it is mounted at boot, before the daemon starts. `None`: nothing is the matter.
fn at_boot(root: &IdmappedRoot, is_service: bool) -> Option<Finding> {
    const WHAT: &str = "mount at boot";
    if !is_service || !unit::has_systemd() {
        return Some(Finding::ok(WHAT, unit::at_boot(&root.top)));
    }
    let found = unit::problem(&root.top, &root.range)?;
    let found = format!("{found}, so docker.service does not start, or starts without the mount");
    Some(Finding::error(WHAT, found).remedy(
        "put the unit and the drop-in back; or run idshift docker revert, then idshift docker migrate --idmapped, \
         which makes them again",
    ))
}

/// Refuses a root that is mounted with other ids than its daemon uses now: files made with the new
/// ids would be nobody's without the mount.
///
/// # Errors
/// Says what helps.
pub(in crate::docker) fn check_ranges(
    root: &IdmappedRoot,
    remap: &Remap,
) -> Result<(), DockerError> {
    match other_ranges(root, remap) {
        Some([found, remedy]) => Err(DockerError::in_the_way(
            root.point(),
            format!("{found}. {remedy}"),
        )),
        None => Ok(()),
    }
}

/// A message that the user has other ranges than its root, and what helps.
fn other_ranges(root: &IdmappedRoot, remap: &Remap) -> Option<[String; 2]> {
    // Where both are there, it is another daemon's.
    if remap.map == root.map || remap.dir_name() != root.range && has_root(&root.top, remap) {
        return None;
    }
    let (user, map) = (&remap.user, &root.map);
    Some([
        format!(
            "is remapped with the ranges {map}, and those of {user} in /etc/subuid and /etc/subgid are {} now",
            remap.map
        ),
        format!(
            "Put {}. To have other ranges, first `idshift docker revert`, then change them, \
             then `idshift docker migrate --idmapped`",
            guidance::lines_back(user, map)
        ),
    ])
}

/// Whether there is a root of these ranges that holds something.
fn has_root(top: &Path, remap: &Remap) -> bool {
    let range = remap.dir_name();
    let is_idmapped = IdmappedRoot::find(top, &range).is_ok_and(|root| root.is_some());
    let holds = DockerRoot::at(top.join(range)).holds();
    is_idmapped || holds.is_ok_and(|holds| !holds.is_unused())
}

/// That times do not tell what its migration found.
fn copied(root: &IdmappedRoot) -> Result<Option<Finding>, DockerError> {
    let told = || Finding::warning(WHAT, copied::describe(&root.content()));
    Ok(root
        .is_copied()?
        .then(|| told().remedy(guidance::DECIDE_UNDATED)))
}

/// Checks the mount point below the mount: it should be empty and immutable.
fn hidden(root: &IdmappedRoot) -> Option<Finding> {
    let (stat, empty) = below_mount(root)?;
    let found = match (empty, stat.immutable) {
        (true, true) => return None,
        (true, false) => {
            "is not immutable: a daemon that is started without the mount would write to it"
        }
        (false, _) => HOLDS_FILES,
    };
    let point = shell_word(&root.point());
    let remedy = match empty {
        true => format!(
            "umount {point}, chattr +i {point}, then {}",
            unit::mount_command(&root.top)
        ),
        false => move_away(root),
    };
    Some(
        Finding::error("mount point", format!("{} {found}", escaped(&root.point()))).remedy(remedy),
    )
}

const HOLDS_FILES: &str = "holds files that a daemon wrote without the mount, or that came with a copy of the data-root, and \
                           that the mount hides";

/// What to do with such files.
fn move_away(root: &IdmappedRoot) -> String {
    let point = shell_word(&root.point());
    format!(
        "stop the daemon, umount {point}, move away the files in it, chattr +i {point}, then {}",
        unit::mount_command(&root.top)
    )
}

/// Refuses a root whose mount hides files: its mount point could not be removed.
///
/// # Errors
/// Says what helps.
pub(super) fn check_below(root: &IdmappedRoot) -> Result<(), DockerError> {
    match below_mount(root) {
        Some((_, false)) => {
            let why = format!("{HOLDS_FILES}. First {}", move_away(root));
            Err(DockerError::in_the_way(root.point(), why))
        }
        _ => Ok(()),
    }
}

/// Refuses a root with something mounted below what is on disk: no walk enters it, and the mount of the root shows what
/// it hides.
///
/// # Errors
/// Names it.
pub(super) fn check_mounts(root: &IdmappedRoot) -> Result<(), DockerError> {
    match mounted_in(root)?.first() {
        Some(mount) => Err(mount.refusal()),
        None => Ok(()),
    }
}

/// What is mounted below what is on disk. What a daemon mounts for its containers is told from the mount point.
fn mounted_in(root: &IdmappedRoot) -> Result<Vec<MountPoint>, DockerError> {
    let rewriter = PathRewriter::new(&root.content(), &root.point(), Vec::new())?;
    let mut mounts = mount_points(&rewriter, &[])?;
    mounts.retain(|mount| !mount.by_daemon);
    Ok(mounts)
}

/// The directory that a mount is on, and whether it is empty.
fn below_mount(root: &IdmappedRoot) -> Option<(Stat, bool)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(&root.top, flags, Mode::empty()).ok()?;
    // A copy of the mount that has none of those below it, and is nowhere.
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let clone = rustix::mount::open_tree(&top, c"", clone).ok()?;
    let point = rustix::fs::openat(clone.as_fd(), &root.range[..], flags, Mode::empty()).ok()?;
    let empty = is_empty(&point).ok()?;
    Some((crate::fs::stat::stat(&point).ok()?, empty))
}

/// Layers and volumes whose top is the range's on disk: through the mount it is root's of the host, as no daemon makes
/// it.
fn without_mount(root: &IdmappedRoot) -> Result<Option<Finding>, DockerError> {
    let content = root.content();
    let mut found = Vec::new();
    for (dir, top) in [("overlay2", "diff"), ("volumes", "_data")] {
        for name in names(&content.join(dir))? {
            let path = content.join(dir).join(&name).join(top);
            let Ok(stat) = PinnedFile::path(&path).and_then(|pin| pin.stat()) else {
                continue;
            };
            let in_range = root.map.uids.map(stat.uid, Direction::OutOf);
            if matches!(in_range, Mapped::To(_)) {
                found.push(format!("{dir}/{name}"));
            }
        }
    }
    Ok((!found.is_empty()).then(|| {
        let more = match found.len() {
            n @ 4.. => format!(" and {} more", n - 3),
            _ => String::new(),
        };
        found.truncate(3);
        Finding::error(
            "layers",
            format!(
                "written without the mount: {}{more}. Containers see their files as nobody's",
                found.join(", ")
            ),
        )
        .remedy("idshift docker revert gives them back; idshift docker migrate --idmapped then migrates them \
        with the rest")
    }))
}
