//! Where what a walk decides goes.
//!
//! - [`journal`]: into a journal, and then onto the disk
//! - [`list`]: into a journal that is to be whole before anything is changed
//! - [`manifest`]: into a manifest, for a dry run
//! - [`verify`]: to nobody: what would change is not as it should be

pub mod journal;
pub mod list;
pub mod manifest;
pub mod verify;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::context::WalkContext;
use super::{Problem, Stats};
use crate::fs::{DirPath, Identity, PinnedFile};
use crate::journal::Transition;

/// An inode that is to change.
pub struct Decision<'d, H> {
    /// The directory in which it was seen.
    pub dir: &'d Arc<DirPath>,
    /// Its name there; `.` is the top of a tree.
    pub name: &'d [u8],
    /// The inode.
    pub identity: Identity,
    /// Its hard links, where it has more than one.
    pub links: Option<u32>,
    /// What it is, and what it becomes.
    pub transition: Transition,
    /// Its pin, where the sink needs it.
    pub held: H,
}

/// What a sink needs of an inode that is to change.
pub trait PinPolicy: Sized {
    /// Whether that is its pin.
    const IS_PIN: bool;

    /// From an inode that is pinned, or not.
    fn of(pin: Option<PinnedFile>) -> Option<Self>;
}

impl PinPolicy for PinnedFile {
    const IS_PIN: bool = true;

    fn of(pin: Option<PinnedFile>) -> Option<PinnedFile> {
        pin
    }
}

/// Nothing: the sink changes no inode.
impl PinPolicy for () {
    const IS_PIN: bool = false;

    fn of(_pin: Option<PinnedFile>) -> Option<()> {
        Some(())
    }
}

/// Receives the changes that one thread decides on.
pub trait Sink {
    /// What it must have of each inode.
    type Held: PinPolicy;

    /// An inode that is to change.
    fn change(
        &mut self,
        walk: &WalkContext<'_>,
        stats: &mut Stats,
        decision: Decision<'_, Self::Held>,
    ) -> ControlFlow<()>;

    /// An inode that is left as it is, and its hard links, where it is known to have more than one.
    fn left(&mut self, _problem: &Problem, _links: Option<u32>) {}

    /// A mount point that is not crossed.
    fn mount(&mut self, _path: &Path) {}

    /// The walk is over for this thread; not `whole`: before its end.
    fn finish(&mut self, walk: &WalkContext<'_>, stats: &mut Stats, whole: bool);
}
