//! `idshift`: move file ownership into and out of user-namespace id ranges.
//!
//! The layers, from the top; each imports only those below it:
//!
//! - `cli/`        one file for each command; the only layer that prints
//! - `html_report/` a manifest, a journal or an audit as an HTML page
//! - `docker/`     what a data-root holds, what each part must become, the daemon's rules
//! - `podman/`     the same of a store of Podman's
//! - `containerd/` images and snapshots in containerd's store; `oci/`: manifests and layers of images
//! - `volume/`     a host directory made ready for `docker run -v`, and whether a container can use it
//! - `mounts/`     host directories seen through idmapped mounts
//! - `host/`       what this host offers to remapped containers
//! - `engine/`     shift, rollback, resume, verify: through the layers below
//! - `preflight/`  every check before the first change
//! - `journal/`    journal and manifest: formats, writers, readers, the store
//! - `fs/`         effects on one inode or directory: pin, read, apply, walk
//! - `ownership/`  pure: owners, ACLs, capabilities, and how they read on the other side of a map
//! - `idmap/`      pure: id ranges and maps, `/etc/subuid` and `/etc/subgid`
//!
//! `docs/architecture.md` tells what must always hold, `docs/formats.md` what the files say.

use std::process::ExitCode;

fn main() -> ExitCode {
    idshift::run(std::env::args_os()).into()
}
