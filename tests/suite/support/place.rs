//! A small tree, what it is at the start, and what it must be at the end.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::scene::{self, Scene};
use super::{Kind, MAP, Run, Snapshot};

/// A tree and what it must be at the start and at the end.
pub struct Place {
    pub scene: Scene,
    pub start: Snapshot,
    pub end: Snapshot,
}

impl Place {
    pub fn new() -> Place {
        let scene = scene::shift(Kind::Ext4);
        let start = Snapshot::of(&scene.top);
        Place {
            end: start.shifted(&[MAP]),
            start,
            scene,
        }
    }

    pub fn now(&self) -> Snapshot {
        Snapshot::of(&self.scene.top)
    }

    /// Its inodes, each by one path.
    pub fn inodes(&self) -> Vec<PathBuf> {
        let mut known = BTreeSet::new();
        let mut paths = Vec::new();
        for (path, line) in self.start.lines() {
            if known.insert(line["ino"].as_u64()) {
                paths.push(at(&self.scene.top, path));
            }
        }
        paths
    }

    /// A run that was not to fail over anything left: what is not shifted is what it reports, or lies
    /// below a directory that it reports.
    #[track_caller]
    pub fn left_is_reported(&self, run: &Run, when: &str) {
        let now = self.now();
        let left = self.end.differing_inodes(&now);
        let ino = |path: &Path| path.symlink_metadata().unwrap().ino();
        let reported: Vec<PathBuf> = run.problem_paths().iter().map(PathBuf::from).collect();
        assert!(!reported.is_empty(), "{when}: {run}");
        let covered: BTreeSet<u64> = now
            .lines()
            .keys()
            .map(|path| at(&self.scene.top, path))
            .filter(|path| reported.iter().any(|one| path.starts_with(one)))
            .map(|path| ino(&path))
            .collect();
        let silent: Vec<_> = left.difference(&covered).collect();
        assert!(
            silent.is_empty(),
            "{when}: left and not reported: {silent:?}\n{run}"
        );
        // One that was to stay as it is may not have been readable.
        let to_change = self.start.differing_inodes(&self.end);
        let is_left = |ino: u64| left.contains(&ino) || !to_change.contains(&ino);
        let wrong = |path: &&PathBuf| !path.is_dir() && !is_left(ino(path));
        let wrong: Vec<_> = reported.iter().filter(wrong).collect();
        assert!(
            wrong.is_empty(),
            "{when}: reported and not left: {wrong:?}\n{run}"
        );
        // What is left is as it was, and not somewhere between.
        let before = self.start.differing_inodes(&now);
        let between: Vec<_> = left.intersection(&before).collect();
        let stuck = run
            .stdout
            .windows(19)
            .any(|text| text == b"undoing the change ");
        assert!(
            between.is_empty() || stuck,
            "{when}: half done: {between:?}\n{run}"
        );
    }
}

pub fn at(top: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    match path {
        b"." => top.to_path_buf(),
        path => top.join(std::ffi::OsStr::from_bytes(path)),
    }
}
