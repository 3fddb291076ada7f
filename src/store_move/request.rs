//! What both engines' requests of a move have in common.

use std::path::PathBuf;

use super::user::RootlessUser;
use crate::engine::ShiftRequest;
use crate::idmap::Direction;
use crate::journal::record::{RunKind, WalkOptions};

/// How a store is moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoveOptions {
    /// The store stays as it is, and a copy of it is moved.
    pub copy: bool,
    /// Threads.
    pub jobs: usize,
    /// The flag of what is immutable or append-only is cleared while it is changed, and put back.
    pub clear_flags: bool,
    /// Files with names outside the store change too.
    pub allow_outside_links: bool,
}

impl MoveOptions {
    /// In place, without what is not changed by default.
    pub fn in_place(jobs: usize) -> MoveOptions {
        MoveOptions {
            jobs,
            ..MoveOptions::default()
        }
    }
}

/// The shift of a move, of the inodes below `paths`.
pub fn shift_request(
    user: &RootlessUser,
    (kind, direction): (RunKind, Direction),
    paths: Vec<PathBuf>,
    options: MoveOptions,
) -> ShiftRequest {
    let walk = WalkOptions {
        // A copy has neither.
        outside_links: options.allow_outside_links || options.copy,
        clear_flags: options.clear_flags || options.copy,
        ..WalkOptions::default()
    };
    ShiftRequest::of_service(kind, direction, user.map.clone(), paths, options.jobs, walk)
}
