//! `idshift`: move file ownership into and out of user-namespace id ranges.
//!
//! The rooms of this house, from the top; each uses only those below it:
//!
//! - `cli/`        one file a subcommand; the only room that prints
//! - `docker/`     what a data-root holds, what each part must become, the daemon's rules
//! - `volume/`     a host directory made ready for `docker run -v`, and whether a container can use it
//! - `host/`       what this host offers to remapped containers
//! - `engine/`     shift, rollback, resume, verify: the rooms below, wired together
//! - `record/`     journal and manifest: formats, writers, readers, the store
//! - `fs/`         effects on one inode or directory: pin, read, apply, walk, who is using it
//! - `ownership/`  pure: owners, ACLs, capabilities, and how they read on the other side of a map
//! - `idmap/`      pure: id ranges and maps, `/etc/subuid` and `/etc/subgid`
//!
//! `docs/architecture.md` tells what must always hold, `docs/formats.md` what the files say.

use std::process::ExitCode;

fn main() -> ExitCode {
    idshift::run(std::env::args_os()).into()
}
