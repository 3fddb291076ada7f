//! Data-roots of Docker's made by hand: what a plain daemon would have left there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::tree;

/// With an image, and no container or volume.
pub fn empty(top: &Path) {
    for below in [
        "image/overlay2/imagedb/content/sha256",
        "containers",
        "volumes",
        "overlay2",
        "network/files",
    ] {
        fs::create_dir_all(top.join(below)).unwrap();
    }
    fs::set_permissions(top, fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(top.join("image/overlay2/imagedb/content/sha256/abc"), "{}").unwrap();
}

/// With an image, a volume, a container and its layer.
pub fn filled(top: &Path) -> PathBuf {
    empty(top);
    let make = |below: &str| {
        let path = top.join(below);
        fs::create_dir_all(&path).unwrap();
        path
    };
    for below in [
        "image/overlay2/distribution",
        "overlay2/l",
        "volumes/named",
        "tmp",
    ] {
        make(below);
    }
    let diff = make("overlay2/0123").join("diff");
    tree::specimens(&diff);
    // In a plain root an id of the range is one that no container of the range can have.
    fs::remove_file(diff.join("shifted")).unwrap();
    fs::write(top.join("volumes/named/_data"), "x").unwrap();
    // Leads out of the data-root and in again, so that it is rewritten.
    let name = top.file_name().unwrap().to_str().unwrap();
    let target = format!("../../../{name}/image");
    std::os::unix::fs::symlink(target, make("volumes/linked").join("_data")).unwrap();
    let container = make("containers/4567");
    let config = json!({"Name": "/web", "Driver": "overlay2", "Config": {"User": "1000:1000"},
        "HostnamePath": container.join("hostname"), "ResolvConfPath": container.join("resolv.conf"),
        "LogPath": container.join("4567-json.log"), "ID": "4567"});
    fs::write(container.join("config.v2.json"), config.to_string()).unwrap();
    fs::write(
        container.join("hostconfig.json"),
        json!({"Privileged": true}).to_string(),
    )
    .unwrap();
    for name in ["hostname", "resolv.conf", "4567-json.log"] {
        fs::write(container.join(name), name).unwrap();
    }
    top.to_path_buf()
}
