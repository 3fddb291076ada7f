//! Whether anything was changed in a data-root between the plan of a run and its begin.
//!
//! A copy or a conversion is made of what is there, and that takes long. The daemon may be started meanwhile
//! (`docker.socket` does so by itself) and be gone again: what containers wrote then would be missing in what was made.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::DockerError;
use super::data_root::{DockerRoot, canonical, names};
use super::image_store::stores_of;

/// What a daemon writes when it starts, stops, or runs a container.
const OF_DOCKER: [&str; 5] = [
    "engine-id",
    "network/files/local-kv.db",
    "volumes",
    "volumes/metadata.db",
    "containers",
];

/// Depth to which directories have sums of their own: `overlay2/ID/diff`, `volumes/NAME/_data`.
const TOLD_APART: usize = 3;

/// An inode as it is; none: there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<u64>);

impl Stamp {
    fn of(path: &Path) -> Stamp {
        Stamp(path.symlink_metadata().ok().map(|found| hash(&found)))
    }
}

fn hash(found: &fs::Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (found.dev(), found.ino(), found.mode(), found.size()).hash(&mut hasher);
    (found.mtime(), found.mtime_nsec()).hash(&mut hasher);
    (found.ctime(), found.ctime_nsec()).hash(&mut hasher);
    hasher.finish()
}

/// The state of a data-root and of other sources of a run, to detect changes.
#[derive(Clone, Debug)]
pub struct Stamps {
    top: PathBuf,
    /// Inode number and mtime of the data-root. Not its ctime: the mtime shows that something was
    /// made in it, if only for a moment.
    of_top: Option<(u64, i64, i64)>,
    docker: BTreeMap<PathBuf, Stamp>,
    /// By containerd's directories.
    containerd: BTreeMap<PathBuf, BTreeMap<PathBuf, Stamp>>,
    /// All that is below some directories, as sums.
    trees: Vec<PathBuf>,
    of_trees: BTreeMap<PathBuf, u64>,
    /// Who else may have changed something, and what helps.
    help: &'static str,
}

const DOCKER: &str = "or Docker was started. What the run had made is removed. Stop Docker and make sure that nobody starts \
                      it: `systemctl stop docker.socket docker containerd`";

impl Stamps {
    /// Takes those of the files that a daemon writes whatever it does.
    ///
    /// # Errors
    /// The data-root is missing.
    pub fn of(data_root: &Path) -> Result<Stamps, DockerError> {
        let top = canonical(data_root)?;
        let (stores, _) = stores_of(&DockerRoot::at(&top));
        let stores = stores
            .into_iter()
            .filter_map(|it| it.path.canonicalize().ok());
        let containerd = stores.map(|store| {
            let stamps = of_containerd(&store);
            (store, stamps)
        });
        Ok(Stamps {
            of_top: of_top(&top),
            docker: of_docker(&top),
            containerd: containerd.collect(),
            top,
            trees: Vec::new(),
            of_trees: BTreeMap::new(),
            help: DOCKER,
        })
    }

    /// Of a store that is no data-root. `help`: who else may have changed something in it, and what helps.
    ///
    /// # Errors
    /// It is missing.
    pub fn of_store(store: &Path, help: &'static str) -> Result<Stamps, DockerError> {
        let top = canonical(store)?;
        Ok(Stamps {
            of_top: of_top(&top),
            docker: BTreeMap::new(),
            containerd: BTreeMap::new(),
            top,
            trees: Vec::new(),
            of_trees: BTreeMap::new(),
            help,
        })
    }

    /// Of all that is below these, too, as it is now. `store`: only this containerd is of interest.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn add_trees(
        &mut self,
        store: Option<&Path>,
        trees: Vec<PathBuf>,
    ) -> Result<(), DockerError> {
        self.containerd.retain(|path, _| store == Some(path));
        self.of_trees = sums(&trees).map_err(DockerError::io(&self.top))?;
        self.trees = trees;
        Ok(())
    }

    /// Accepts what this run has just made in the data-root.
    pub fn take_top(&mut self) {
        self.of_top = of_top(&self.top);
    }

    /// Checks that nothing has changed. `meanwhile`: what was done since, for the message.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, meanwhile: &str) -> Result<(), DockerError> {
        let changed = |path: &Path| {
            Err(DockerError::in_the_way(
                path,
                format!(
                    "was changed while {meanwhile}: another program changed it, {}. Then run this again",
                    self.help
                ),
            ))
        };
        if self.of_top != of_top(&self.top) {
            return changed(&self.top);
        }
        let is_docker = !self.docker.is_empty();
        if is_docker && let Some(path) = difference(&self.docker, &of_docker(&self.top)) {
            return changed(&path);
        }
        for (store, before) in &self.containerd {
            if let Some(path) = difference(before, &of_containerd(store)) {
                return changed(&path);
            }
        }
        let now = sums(&self.trees).map_err(DockerError::io(&self.top))?;
        match difference(&self.of_trees, &now) {
            Some(path) => changed(&path),
            None => Ok(()),
        }
    }
}

/// The first place that is not the same in both.
fn difference<T: PartialEq>(
    before: &BTreeMap<PathBuf, T>,
    now: &BTreeMap<PathBuf, T>,
) -> Option<PathBuf> {
    let mut paths = before.keys().chain(now.keys());
    paths
        .find(|path| before.get(*path) != now.get(*path))
        .cloned()
}

fn of_top(top: &Path) -> Option<(u64, i64, i64)> {
    let found = top.symlink_metadata().ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

fn of_docker(top: &Path) -> BTreeMap<PathBuf, Stamp> {
    let mut paths: Vec<PathBuf> = OF_DOCKER.iter().map(|name| top.join(name)).collect();
    for container in entries(&top.join("containers")) {
        paths.push(container.join("config.v2.json"));
        paths.push(container);
    }
    for driver in entries(&top.join("image")) {
        paths.push(driver.join("repositories.json"));
        paths.push(driver);
    }
    stamps(paths)
}

fn of_containerd(store: &Path) -> BTreeMap<PathBuf, Stamp> {
    let mut paths = vec![
        store.join("io.containerd.metadata.v1.bolt/meta.db"),
        store.join("io.containerd.content.v1.content/blobs/sha256"),
    ];
    paths.extend(entries(store).into_iter().map(|it| it.join("metadata.db")));
    stamps(paths)
}

fn stamps(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, Stamp> {
    let each = paths.into_iter().map(|path| {
        let stamp = Stamp::of(&path);
        (path, stamp)
    });
    each.collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let names = names(dir).unwrap_or_default().into_iter();
    names.map(|name| dir.join(name)).collect()
}

/// One sum for each directory near the top, over all inodes in it.
fn sums(trees: &[PathBuf]) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut sums = BTreeMap::new();
    for tree in trees {
        for entry in WalkDir::new(tree).same_file_system(true) {
            let entry = entry?;
            let above = entry.depth().saturating_sub(TOLD_APART);
            let place = entry.path().ancestors().nth(above).unwrap_or(tree);
            let found = hash(&entry.metadata()?);
            match sums.get_mut(place) {
                Some(sum) => *sum = u64::wrapping_add(*sum, found),
                None => drop(sums.insert(place.to_path_buf(), found)),
            }
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_change_is_seen_and_what_is_made_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let layer = top.join("overlay2/l1/diff/etc/deep");
        fs::create_dir_all(&layer).unwrap();
        fs::create_dir_all(top.join("containers/c1")).unwrap();
        fs::write(layer.join("f"), "one").unwrap();
        let config = top.join("containers/c1/config.v2.json");
        fs::write(&config, "{}").unwrap();
        let taken = || {
            let mut stamps = Stamps::of(&top).unwrap();
            stamps.add_trees(None, vec![top.join("overlay2")]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            stamps
        };
        let refused = |stamps: &Stamps, path: &Path| {
            let error = stamps.check("it was copied").unwrap_err().to_string();
            assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        };
        let mut stamps = taken();
        stamps.check("nothing was done").unwrap();
        fs::create_dir(top.join("own")).unwrap();
        refused(&stamps, &top);
        stamps.take_top();
        stamps.check("nothing was done").unwrap();

        fs::write(layer.join("f"), "two").unwrap();
        refused(&stamps, &top.join("overlay2/l1/diff/etc"));
        let stamps = taken();
        fs::write(&config, "{}").unwrap();
        refused(&stamps, &config);
        let stamps = taken();
        fs::create_dir(top.join("volumes")).unwrap();
        refused(&stamps, &top);
    }
}
