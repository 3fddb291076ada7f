//! Move file ownership into and out of user-namespace id ranges.
//!
//! To read a run from its beginning to its end, take this order:
//!
//! 1. `cli::commands::shift`: the command line becomes an [`engine::ShiftRequest`].
//! 2. `engine::session`: the life of a run, once for all commands. The trees are opened as [`fs::Root`]s, `preflight` makes
//!    sure that they may be changed, and the journal begins.
//! 3. [`engine::shift()`]: what a session does for this command.
//! 4. [`fs::walk`] goes through every directory, with several threads.
//! 5. [`engine::visitor`] decides on each inode. What may change is opened as an [`fs::PinnedFile`], a handle that means the
//!    same inode whatever is renamed meanwhile. Through it the [`ownership::Ownership`] is read: owner, group, mode, ACLs,
//!    capability. [`ownership::map_ownership`] says what it is on the other side of the [`idmap::IdMap`].
//! 6. [`engine::sinks`]: a dry run writes the decision into a [`journal::manifest`]. A real run gathers decisions in a
//!    [`journal::Batch`], and [`journal::writer`] makes the batch durable in a journal.
//! 7. [`fs::apply()`]: only then the inodes are changed, through the very pins they were read through.
//!
//! [`engine::rollback()`] and [`engine::resume()`] read the journal back and bring the disk to its
//! one side or its other; [`engine::replay`] is what they share.
//!
//! ```text
//! walk -> visitor: read Ownership through a PinnedFile -> map through IdMap -> Decision -> sink
//!                                          |-> dry run: manifest
//!                                          |-> journal frame (durable) -> apply through the same pin
//! rollback / resume: journal -> Change (swapped / pending) -> compare with the disk -> apply
//! ```

// They panic where the output is gone: `cli::output` writes instead.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod cli;
mod containerd;
mod docker;
mod engine;
mod fs;
mod guidance;
mod host;
mod html_report;
mod idmap;
mod journal;
mod mounts;
mod oci;
mod ownership;
mod podman;
mod preflight;
mod store_move;
mod sys;
mod volume;

pub use cli::{exit::Exit, run};

/// What is read from files and command lines, for the fuzzers, the benches and the tests of it.
pub mod formats {
    pub use crate::containerd::bolt;
    pub use crate::docker::container::{
        Container, bind_mounts, rewrite_config, rewrite_hostconfig, set_userns_host, volume_drivers,
    };
    pub use crate::docker::daemon_json::with_userns_remap;
    pub use crate::docker::layer_store;
    pub use crate::fs::{DirPath, Identity};
    pub use crate::idmap::notation;
    pub use crate::idmap::{
        Direction, IdMap, MapSpec, Mapped, SubidFile, SubidReader, map_from_subid,
    };
    pub use crate::journal::error::JournalError;
    pub use crate::journal::file::{Journal, Section};
    pub use crate::journal::frame::Encoder;
    pub use crate::journal::manifest::{ChangeLine, Manifest};
    pub use crate::journal::{Batch, Name, Transition};
    pub use crate::ownership::{
        Acl, Capability, Change, FileType, Flags, Mapping, Mode, Ownership, OwnershipXattrs,
        map_ownership,
    };
}
