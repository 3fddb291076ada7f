//! What an operator does where something of the store cannot be carried.

use std::path::Path;

use crate::docker::guidance::this_data_root;
use crate::idmap::Direction;

/// Where its images and containers cannot be carried: by hand.
pub(super) fn save_and_load(direction: Direction, root: &Path) -> String {
    const SAVE: &str = "docker save -o /root/images.tar $(docker image ls --filter dangling=false --format '{{.Repository}}:{{.Tag}}')";
    let (kept, daemon, again) = match direction {
        Direction::Into => (
            "a plain",
            "\"features\": {\"containerd-snapshotter\": false} in daemon.json",
            "idshift docker migrate",
        ),
        Direction::OutOf => (
            "the remapped",
            "\"features\": {\"containerd-snapshotter\": false} in daemon.json",
            "idshift docker revert",
        ),
    };
    format!(
        "Volumes can be migrated, but images and containers in the store cannot. With {kept} daemon that \
        uses the store:\n  \
         1. docker commit CONTAINER IMAGE:TAG   for each container whose files matter; where its image is gone:\n     \
            docker export CONTAINER | docker import - IMAGE:TAG\n  \
         2. {SAVE}\n  \
         3. docker rm CONTAINER   for all of them; their volumes stay\n  \
         4. set {daemon}, systemctl restart docker, docker load -i /root/images.tar\n  \
         5. stop the daemon, and {again} {}",
        this_data_root(match direction {
            Direction::Into => root,
            Direction::OutOf => root.parent().unwrap_or(root),
        })
    )
}

/// What helps where a remapped daemon has made images in a storage driver since.
pub(super) fn empty_the_driver() -> String {
    "A plain daemon would go on with the images that the remapped daemon has in its storage driver. With the remapped \
     daemon: docker save those that you need, then docker rm and docker rmi all of them. Stop it, and run \
     idshift docker revert again"
        .into()
}

/// What helps where images are in the store, and the daemon uses a storage driver.
pub(super) fn empty_the_store() -> String {
    "With \"features\": {\"containerd-snapshotter\": true} in daemon.json, a plain daemon shows them: docker save those that \
     you need, then docker rmi all of them. Take the feature out again, and docker load them"
        .into()
}
