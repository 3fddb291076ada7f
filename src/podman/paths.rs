//! Pure: the directories that Podman works with, and how paths change when a store becomes another user's.

use std::path::{Path, PathBuf};

/// The directories of one Podman, as its database names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `graphroot`: images, layers, containers, volumes.
    pub graph_root: PathBuf,
    /// `runroot`: what does not outlive a boot.
    pub run_root: PathBuf,
    /// `tmp_dir`: locks and events, likewise.
    pub tmp_dir: PathBuf,
    /// `static_dir`
    pub static_dir: PathBuf,
    /// `volume_path`
    pub volume_dir: PathBuf,
}

impl Directories {
    /// Of root's Podman (5.4.2, `podman info` and its database).
    pub fn rootful(graph_root: &Path) -> Directories {
        Directories::of(graph_root, "/run/containers/storage", "/run/libpod")
    }

    /// Of a user's, with the session directory that `systemd-logind` makes (`XDG_RUNTIME_DIR`).
    pub fn rootless(graph_root: &Path, uid: u32) -> Directories {
        let run = format!("/run/user/{uid}");
        let (run_root, tmp_dir) = (format!("{run}/containers"), format!("{run}/libpod/tmp"));
        Directories::of(graph_root, &run_root, &tmp_dir)
    }

    fn of(graph_root: &Path, run_root: &str, tmp_dir: &str) -> Directories {
        Directories {
            graph_root: graph_root.to_path_buf(),
            run_root: run_root.into(),
            tmp_dir: tmp_dir.into(),
            static_dir: graph_root.join("libpod"),
            volume_dir: graph_root.join("volumes"),
        }
    }
}

/// Where paths lead afterwards.
#[derive(Clone, Debug, Default)]
pub struct PathMap {
    /// What a path begins with before, and after.
    pairs: Vec<(String, String)>,
}

impl PathMap {
    /// From the directories of one Podman to those of another. `real`: the graph root without symlinks, by which containers
    /// may bind something in it.
    pub fn new(from: &Directories, real: &Path, to: &Directories) -> PathMap {
        let text = |path: &Path| {
            path.to_str()
                .map(|text| text.trim_end_matches('/').to_string())
        };
        let pairs = [
            (from.graph_root.as_path(), &to.graph_root),
            (real, &to.graph_root),
            (&from.run_root, &to.run_root),
            (&from.tmp_dir, &to.tmp_dir),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(old, new)| Some((text(old)?, text(new)?)));
        let mut pairs: Vec<(String, String)> = pairs.filter(|(old, _)| !old.is_empty()).collect();
        // Of two that match, the longer one is meant.
        pairs.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        PathMap { pairs }
    }

    /// The new text of a path; `None`: it stays.
    pub fn path(&self, path: &str) -> Option<String> {
        self.pairs.iter().find_map(|(old, new)| {
            let rest = path.strip_prefix(old.as_str())?;
            let is_below = rest.is_empty() || rest.starts_with('/');
            // What leads out of the directory stays what it is.
            let leads_out = rest.split('/').any(|name| name == "..");
            (is_below && !leads_out).then(|| format!("{new}{rest}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_root_become_the_users() {
        let from = Directories::rootful(Path::new("/var/lib/containers/storage"));
        let to = Directories::rootless(Path::new("/home/ann/s"), 1000);
        let map = PathMap::new(&from, Path::new("/data/storage"), &to);
        for (path, expected) in [
            ("/var/lib/containers/storage", Some("/home/ann/s")),
            (
                "/var/lib/containers/storage/volumes/v",
                Some("/home/ann/s/volumes/v"),
            ),
            ("/data/storage/overlay", Some("/home/ann/s/overlay")),
            (
                "/run/containers/storage/x",
                Some("/run/user/1000/containers/x"),
            ),
            ("/run/libpod", Some("/run/user/1000/libpod/tmp")),
            ("/var/lib/containers/storage2", None),
            ("/var/lib/containers/storage/../x", None),
            ("/srv", None),
            ("tmpfs", None),
        ] {
            assert_eq!(map.path(path).as_deref(), expected, "{path}");
        }
    }
}
