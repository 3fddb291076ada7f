//! What a Docker data-root holds, what each part must become, the daemon's rules.
//!
//! - [`remap`]: the ranges of a remapped daemon; `remap_user`: whom `--userns-remap` means
//! - [`create_user`]: the user and ranges that dockerd makes for itself
//! - [`daemon_json`]: the daemon's configuration file
//! - [`daemon_start`]: how dockerd is started on this host
//! - [`data_root`]: the directory, plain and remapped, and what is in it
//! - `paths`, `holds`: where it is, and how much a user would miss of it
//! - [`layer_store`]: layers and images of the overlay2 graph driver, written without a daemon
//! - [`image_store`]: images and container files that are in containerd
//! - [`conversion`]: what is in containerd becomes layers of the overlay2 graph driver; [`conversion_run`]: the run that did
//! - [`layout`]: pure: which inode of it gets which owner
//! - [`DockerError`], [`Reason`]: why nothing is done
//! - [`guidance`]: the commands and options that messages name
//! - [`container`]: pure: paths in a container's metadata
//! - [`bind_mounts`]: what containers bind of the host, and what is to be done about it
//! - [`inventory`]: what becomes of each thing in and around a data-root
//! - `stamps`: what a daemon writes, to see whether one was started meanwhile
//! - [`swarm`]: services of a swarm, and what their tasks bind
//! - `storage_drivers`: what differs between storage drivers
//! - [`owner_stats`]: whose the inodes of a directory are
//! - [`path_owner`]: to whom a path in a docker root belongs: the one table of what daemons make there
//! - [`path_rewriter`]: where paths lead once the docker root has another place
//! - [`data_root_copy`]: a copy of the plain root for a migration that leaves it alone
//! - [`idmapped`]: a data-root that is remapped by a mount instead
//! - [`doctor`]: whether this host can run remapped containers
//! - [`container_user`]: whom a container or an image runs as
//! - [`audit`]: what an operator should know before
//! - `staged_run`: its run, and what is made for it before
//! - `steps`: the steps of a migration as they come together
//! - `existing_roots`: remapped roots that are there, and what gives them their ranges back
//! - [`migration_plan`]: the plan that carries a data-root into a range or out of it
//! - [`rebase`]: the plan that carries a remapped root to another range
//! - [`known_roots`]: remapped roots that a rollback of an earlier run finds by their inodes
//! - [`rootless`]: a plain data-root becomes that of a user's rootless daemon, and back
//! - [`migrate`]: all of `docker migrate` and `docker revert`, from what the host says to the end of the run
//!
//! [`crate::store_move`] has what Docker and Podman have in common. `docs/docker.md` has the layout as measured, with the versions.

pub mod audit;
pub mod bind_mounts;
pub mod container;
pub mod container_user;
pub mod conversion;
pub mod conversion_run;
pub mod create_user;
pub mod daemon_json;
pub mod daemon_start;
pub mod data_root;
pub mod data_root_copy;
pub mod doctor;
mod error;
mod existing_roots;
mod findings;
pub mod guidance;
mod holds;
pub mod idmapped;
pub mod image_store;
pub mod inventory;
pub mod known_roots;
pub mod layer_store;
pub mod layout;
pub mod migrate;
pub mod migration_plan;
pub mod owner_stats;
pub mod path_owner;
pub mod path_rewriter;
mod paths;
mod reason;
pub mod rebase;
pub mod remap;
mod remap_user;
pub mod rootless;
mod staged_run;
mod stamps;
mod steps;
pub mod storage_drivers;
pub mod swarm;

pub use error::DockerError;
pub use reason::Reason;
