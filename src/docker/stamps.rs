//! What a daemon writes in a data-root and in containerd's directory, to see whether one was started meanwhile.

use std::path::{Path, PathBuf};

use super::DockerError;
use super::data_root::{DockerRoot, canonical, names};
use super::image_store::stores_of;
use crate::store_move::stamps::Stamps;

/// What a daemon writes when it starts, stops, or runs a container.
const OF_DOCKER: [&str; 5] = [
    "engine-id",
    "network/files/local-kv.db",
    "volumes",
    "volumes/metadata.db",
    "containers",
];

const DOCKER: &str = "or Docker was started. What the run had made is removed. Stop Docker and make sure that nobody starts \
                      it: `systemctl stop docker.socket docker containerd`";

/// The state of a data-root, of the files that a daemon writes whatever it does, and of those of its containerds.
///
/// # Errors
/// The data-root is missing, or it cannot be told where containerd keeps its data.
pub fn stamps_of(data_root: &Path) -> Result<Stamps, DockerError> {
    let top = canonical(data_root)?;
    let mut stamps = Stamps::of(&top, DOCKER);
    stamps.watch(&top, of_daemon);
    let (stores, _) = stores_of(&DockerRoot::at(&top))?;
    for store in stores {
        if let Ok(path) = store.path.canonicalize() {
            stamps.watch(&path, of_containerd);
        }
    }
    Ok(stamps)
}

fn of_daemon(top: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = OF_DOCKER.iter().map(|name| top.join(name)).collect();
    for container in entries(&top.join("containers")) {
        paths.push(container.join("config.v2.json"));
        paths.push(container);
    }
    for driver in entries(&top.join("image")) {
        paths.push(driver.join("repositories.json"));
        paths.push(driver);
    }
    paths
}

fn of_containerd(store: &Path) -> Vec<PathBuf> {
    let mut paths = vec![
        store.join("io.containerd.metadata.v1.bolt/meta.db"),
        store.join("io.containerd.content.v1.content/blobs/sha256"),
    ];
    paths.extend(entries(store).into_iter().map(|it| it.join("metadata.db")));
    paths
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let names = names(dir).unwrap_or_default().into_iter();
    names.map(|name| dir.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            let mut stamps = stamps_of(&top).unwrap();
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
