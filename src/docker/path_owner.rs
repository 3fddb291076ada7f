//! Whose a place in or around a docker root is.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::docker::layout::is_content;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::storage_drivers;

/// To whom a path belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathOwner {
    /// The containers': shifted in any case.
    Content,
    /// The daemon's own.
    Daemon,
    /// In the docker root, and not the daemon's: own data.
    Own,
    /// Outside of the docker root.
    Host,
}

/// Names that daemons make in a docker root, beside those of storage drivers (moby `daemon/daemon.go` and what it
/// starts; old ones too).
const DAEMON_NAMES: &[&str] = &[
    "builder",
    "buildkit",
    "containerd",
    "containers",
    "engine-id",
    "image",
    "network",
    "nuke-graph-directory.sh",
    "overlayfs",
    "plugins",
    "policy",
    "rootfs",
    "runtimes",
    "secrets",
    "swarm",
    "tmp",
    "tmp-old",
    "trust",
    "unmount-on-shutdown",
    "volumes",
];

/// Whether daemons make this name in a docker root.
pub fn is_daemon_name(name: &[u8]) -> bool {
    let is_known = DAEMON_NAMES.iter().any(|known| known.as_bytes() == name);
    is_known || storage_drivers::find(name).is_some()
}

/// To whom a path without symlinks belongs.
pub fn whose(rewriter: &PathRewriter, real: &Path) -> PathOwner {
    if rewriter.new_path(real).is_none() {
        return match real.starts_with(rewriter.from()) {
            // Another range's root, or what was set aside.
            true => PathOwner::Daemon,
            false => PathOwner::Host,
        };
    }
    let below = names_below(rewriter.from(), real);
    let names: Vec<&[u8]> = below.iter().map(Vec::as_slice).collect();
    if is_content(&names) {
        return PathOwner::Content;
    }
    match names[..] {
        [b"volumes", name] => match name {
            b"metadata.db" | b"backingFsBlockDev" => PathOwner::Daemon,
            _ if real.join("_data").exists() => PathOwner::Daemon,
            _ => PathOwner::Own,
        },
        [b"volumes", _, b"opts.json"] => PathOwner::Daemon,
        [b"volumes", _, _, ..] => PathOwner::Own,
        [first, ..] if !is_daemon_name(first) => PathOwner::Own,
        _ => PathOwner::Daemon,
    }
}

/// The names that lead from a directory to what is below it.
pub(super) fn names_below(from: &Path, path: &Path) -> Vec<Vec<u8>> {
    let below = path.strip_prefix(from).unwrap_or(Path::new(""));
    below.iter().map(|name| name.as_bytes().to_vec()).collect()
}

pub(super) fn is_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.is_symlink())
}
