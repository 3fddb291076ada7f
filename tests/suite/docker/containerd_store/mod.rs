//! Images and containers in the containerd image store: nothing of them vanishes, as nothing is migrated or reverted.
//!
//! - `there_and_back`: with real daemons, also with a reboot in the middle
//! - `gone`: the rest of the store was removed
//! - `inodes`: a rollback gives back the operator's own directories and files, not new ones
//! - `refused`: what is not carried
//! - `rest`: what a conversion leaves of a store
//! - `told`: options of the daemon that would hide images
//! - `undone_in_turn`: the rollbacks of a conversion and of its revert
//! - `unused_root`: a remapped daemon was tried, and made nothing
//! - `docker_29`: what Docker 29 leaves of its store in a docker root

mod docker_29;
mod gone;
mod inodes;
mod refused;
mod rest;
mod there_and_back;
mod told;
mod undone_in_turn;
mod unused_root;

use std::fs;

use crate::support;
use crate::support::engine_host::{EngineHost, Release};

pub(super) const SNAPSHOTTER: &str = r#"{"features":{"containerd-snapshotter":true}}"#;
const REMAPPED: &str = r#"{"features":{"containerd-snapshotter":true},"userns-remap":"default"}"#;
pub(super) const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// A host whose Docker 26 has the image `tiny:1` in the store of the host's containerd, with a range for `default`.
fn host_with_store() -> EngineHost {
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.import_tiny("tiny:1");
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host
}

/// What a user sees.
fn seen(host: &EngineHost) -> [String; 3] {
    let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let containers = host.docker(&["ps", "-a", "--format", "{{.Names}}"]);
    [images, containers, host.docker(&["volume", "ls", "-q"])]
}

/// Every layer as `docker save` gives it has the diff id that the image's configuration says.
pub(super) fn saved_layers_are_whole(host: &EngineHost, image: &str) {
    host.docker(&["save", "-o", "/shared/saved.tar", image]);
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let tar = host.shared().join("saved.tar");
    support::output(
        "tar",
        [
            "-C".as_ref(),
            dir.path().as_os_str(),
            "-xf".as_ref(),
            tar.as_os_str(),
        ],
    );
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap()
    };
    let manifest = &json("manifest.json")[0];
    let config = json(manifest["Config"].as_str().unwrap());
    let layers = manifest["Layers"].as_array().unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert!(!layers.is_empty() && layers.len() == diff_ids.len());
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let sum = support::output("sha256sum", [dir.path().join(layer.as_str().unwrap())]).stdout;
        let sum = String::from_utf8(sum).unwrap();
        assert_eq!(
            format!("sha256:{}", &sum[..64]),
            diff_id.as_str().unwrap(),
            "{image}"
        );
    }
}
