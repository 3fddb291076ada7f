//! Move file ownership into and out of user-namespace id ranges.
//!
//! A run is one pipeline, and this is all of it:
//!
//! 1. [`engine::request`] opens the trees as [`fs::Root`]s and makes sure that they may be changed:
//!    no system directory, nobody using them, no run left unfinished on them.
//! 2. [`fs::walk`] goes through every directory, with several threads.
//! 3. Each name is opened as an [`fs::PinnedFile`], a handle that means the same inode whatever is renamed
//!    meanwhile. Through it the inode's [`ownership::Ownership`] is read: owner, group, mode, ACLs,
//!    capability.
//! 4. [`ownership::map_ownership`] says what it is on the other side of the [`idmap::IdMap`].
//! 5. A dry run writes that into a [`journal::manifest`]. A real run gathers it in a
//!    [`journal::Batch`], and [`journal::writer`] makes the batch durable in a journal.
//! 6. Only then [`fs::apply()`] changes the inodes, through the very pins they were read through.
//!
//! [`engine::rollback()`] and [`engine::resume()`] read the journal back and bring the disk to its
//! one side or its other; [`engine::replay`] is what they share.
//!
//! ```text
//! walk -> read Ownership through a Pin -> map through IdMap -> Change
//!                                          |-> dry run: manifest
//!                                          |-> journal frame (durable) -> apply through the same Pin
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
    pub use crate::idmap::{Direction, IdMap, MapSpec, Mapped, Reader, SubidFile, map_from_subid};
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
