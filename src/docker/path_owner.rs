//! To whom a path in a docker root belongs: the one table of what daemons make there.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::docker::layout::is_content;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::storage_drivers;

/// To whom a path in a docker root belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathOwner {
    /// The containers': shifted in any case.
    Content,
    /// The daemon's own.
    Daemon,
    /// Not the daemon's: what somebody keeps there.
    Own,
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

/// What daemons make for themselves among volumes or layers, and make anew (moby `volume/service/store.go` and
/// `quota/projectquota.go`).
pub const DAEMON_FILES: [&str; 2] = ["metadata.db", "backingFsBlockDev"];

/// Whether that is it, among the volumes of a docker root.
pub fn is_daemon_file(name: &[u8]) -> bool {
    DAEMON_FILES.iter().any(|known| known.as_bytes() == name)
}

/// Whether daemons make this name in a docker root.
pub fn is_daemon_name(name: &[u8]) -> bool {
    let is_known = DAEMON_NAMES.iter().any(|known| known.as_bytes() == name);
    is_known || storage_drivers::find(name).is_some()
}

/// To whom what has these names from a docker root belongs. A directory among the volumes counts as a volume.
pub fn owner_of(names: &[&[u8]]) -> PathOwner {
    match names {
        [first, ..] if !is_daemon_name(first) => PathOwner::Own,
        _ if is_content(names) => PathOwner::Content,
        [b"volumes", _, b"opts.json"] => PathOwner::Daemon,
        [b"volumes", _, _, ..] => PathOwner::Own,
        _ => PathOwner::Daemon,
    }
}

/// To whom a path without symlinks belongs; `None`: it is outside of the docker root. The disk tells which directories among
/// the volumes are volumes.
pub fn whose(rewriter: &PathRewriter, real: &Path) -> Option<PathOwner> {
    if rewriter.new_path(real).is_none() {
        // Another range's root, or what was set aside.
        let is_in_root = real.starts_with(rewriter.from());
        return is_in_root.then_some(PathOwner::Daemon);
    }
    let below = names_below(rewriter.from(), real);
    let names: Vec<&[u8]> = below.iter().map(Vec::as_slice).collect();
    Some(match names[..] {
        [b"volumes", name] if !is_daemon_file(name) && !real.join("_data").exists() => {
            PathOwner::Own
        }
        _ => owner_of(&names),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_of_a_docker_root_has_one_owner() {
        use PathOwner::{Content, Daemon, Own};
        for (path, expected) in [
            ("", Daemon),
            ("image/overlay2/repositories.json", Daemon),
            ("containers/c/config.v2.json", Daemon),
            ("containers/c/mounts", Daemon),
            ("containers/c/mounts/shm", Content),
            ("containers/c/hosts", Content),
            ("buildkit/cache.db", Daemon),
            ("buildkit/executor/resolv.conf", Content),
            ("overlay2/l/ABC", Daemon),
            ("overlay2/x/lower", Daemon),
            ("overlay2/x/diff", Content),
            ("vfs/dir/x/etc", Content),
            ("volumes", Daemon),
            ("volumes/metadata.db", Daemon),
            ("volumes/v", Daemon),
            ("volumes/v/opts.json", Daemon),
            ("volumes/v/_data", Content),
            ("volumes/v/_data/opts.json", Content),
            ("volumes/v/kept", Own),
            ("volumes/v/kept/_data", Own),
            ("policy/x", Daemon),
            ("appdata", Own),
            ("appdata/_data", Own),
            ("metadata.db", Own),
        ] {
            let names: Vec<&[u8]> = match path {
                "" => Vec::new(),
                _ => path.split('/').map(str::as_bytes).collect(),
            };
            assert_eq!(owner_of(&names), expected, "{path}");
        }
    }
}
