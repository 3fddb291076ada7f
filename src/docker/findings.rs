//! What the audit and the doctor both say of a daemon and its data-root.

use std::path::Path;

use super::DockerError;
use super::daemon_start::DaemonStart;
use super::data_root::DockerRoot;
use super::idmapped::IdmappedRoot;
use super::remap::Remap;
use crate::fs::PinnedFile;
use crate::fs::escape::{escaped, shell_word};
use crate::host::Finding;
use crate::idmap::Direction;
use crate::preflight::mount_views;

/// The remapped daemon's root where it has images, else the plain one's. An idmapped one as it is on disk: its mount
/// may be missing.
pub fn in_use_root(top: &Path, remap: Option<&Remap>) -> DockerRoot {
    let remapped = remap.map(|remap| {
        let range = remap.dir_name();
        match IdmappedRoot::find(top, &range) {
            Ok(Some(idmapped)) => DockerRoot::at(idmapped.content()),
            _ => DockerRoot::at(top.join(range)),
        }
    });
    let has_images = |root: &DockerRoot| root.drivers().is_ok_and(|drivers| !drivers.is_empty());
    remapped
        .filter(has_images)
        .unwrap_or_else(|| DockerRoot::at(top))
}

/// The user and its map, as dockerd takes them.
pub fn ranges(remap: &Result<Remap, DockerError>) -> Finding {
    const WHAT: &str = "id ranges";
    match remap {
        Ok(remap) => Finding::ok(
            WHAT,
            format!("{}: {}", remap.user, remap.map.in_words(Direction::Into)),
        ),
        // It says what helps: for another user than dockerd's own, `--create-user` does not.
        Err(error) => Finding::error(WHAT, error.to_string()),
    }
}

/// The options that dockerd is started with, and those that are given twice.
pub fn command_line(start: &DaemonStart) -> Option<Finding> {
    const WHAT: &str = "dockerd's options";
    match start.check() {
        // What is the matter with the file is told elsewhere.
        Err(_) if start.settings().is_err() => None,
        Err(error) => Some(Finding::error(WHAT, error.to_string())),
        Ok(()) => start.words().map(|words| Finding::ok(WHAT, words)),
    }
}

/// An idmapped mount that shows the data-root.
pub fn idmapped(top: &Path) -> Option<Finding> {
    let error = mount_views::idmapped(top)?;
    Some(Finding::error("data-root", error.to_string()))
}

/// What [`driver`] tells of.
pub const STORAGE_DRIVER: &str = "storage driver";

/// The storage driver, and whether its layers can be carried.
pub fn driver(root: &DockerRoot) -> Finding {
    const WHAT: &str = STORAGE_DRIVER;
    match root.check_drivers() {
        Err(error) => Finding::error(WHAT, error.to_string()),
        Ok(()) => match root.drivers() {
            Ok(drivers) if !drivers.is_empty() => Finding::ok(WHAT, drivers.join(", ")),
            _ => Finding::warning(
                WHAT,
                "there are no images of a storage driver. With the containerd image store (the default of \
                new installations from Docker 29 on) images are in containerd, which a remapped daemon does \
                not show",
            )
            .remedy("idshift docker migrate converts these images to overlay2 layers"),
        },
    }
}

/// Directories above the data-root that the container's root must be able to search: dockerd checks that before it starts
/// (moby `daemon/daemon_unix.go`, `setupDaemonRoot`).
pub fn parents(top: &Path, root: Option<(u32, u32)>) -> Finding {
    const WHAT: &str = "directories above";
    match closed_above(top, root) {
        None => Finding::ok(WHAT, "can be searched by all"),
        Some(dir) => Finding::error(WHAT, format!("{} {CLOSED}", escaped(dir)))
            .remedy(format!("chmod o+x {}", shell_word(dir))),
    }
}

const CLOSED: &str = "cannot be searched by others: a remapped daemon refuses to start";

/// Refuses a data-root that the container's root cannot reach.
///
/// # Errors
/// Names the directory above it, and what opens it.
pub fn check_is_reached(top: &Path, root: (u32, u32)) -> Result<(), DockerError> {
    match closed_above(top, Some(root)) {
        None => Ok(()),
        Some(dir) => Err(DockerError::in_the_way(
            dir,
            format!(
                "{CLOSED}. `chmod o+x {}` allows it to start",
                shell_word(dir)
            ),
        )),
    }
}

/// The nearest directory above a data-root that the container's root cannot search. dockerd asks for the bit of one class:
/// the owner's, the group's, or that of all others.
fn closed_above(top: &Path, root: Option<(u32, u32)>) -> Option<&Path> {
    top.ancestors().skip(1).find(|dir| {
        let stat = PinnedFile::path(dir).and_then(|pin| pin.stat());
        stat.is_ok_and(|stat| {
            let wanted = match root {
                Some((uid, _)) if uid == stat.uid => 0o100,
                Some((_, gid)) if gid == stat.gid => 0o010,
                _ => 0o001,
            };
            stat.mode.bits() & wanted == 0
        })
    })
}
