//! Shift, rollback, resume and verify: the layers below, wired together.
//!
//! - [`request`]: what the operator asks, and the checks before anything starts
//! - [`mod@shift`]: walk, map, journal, apply; or, for a dry run, walk, map, manifest
//! - [`policy`]: what an inode is to become, by where it is
//! - [`visitor`]: what happens to one inode
//! - [`hardlinks`]: inodes of several names
//! - `hardlinks::verify`: deciding on inodes whose names had to be met first
//! - [`sink`], [`manifest_sink`]: where changes go
//! - [`mod@apply_manifest`]: applying a reviewed manifest
//! - [`plan`]: a change of a host that is worked out whole before it begins
//! - [`execute`]: carrying out a journal that holds everything that is to be done
//! - [`steps`]: what a journal does besides changing owners
//! - [`replay`]: what a journal says, compared with the disk and brought about
//! - `dir_cache`: the way to the directory that a replay is at
//! - `reopen`: the trees of a journal, opened again; `there`: whether all of them are there
//! - [`mod@rollback`], [`mod@resume`], [`verify`]: the three uses of a replay
//! - `chown_check`: whether a filesystem keeps the owners it is given
//! - `sync`: the filesystems of a run's trees, to be written out
//! - `sync`: writing out what a run changes while it goes on
//! - [`new_inodes`]: what came into being since a run
//! - [`monitor`], [`report`], [`stop`]: how a run talks, ends and is ended

pub mod apply_manifest;
mod chown_check;
mod dir_cache;
pub mod exclude;
pub mod execute;
pub mod hardlinks;
pub mod manifest_sink;
pub mod monitor;
pub mod new_inodes;
pub mod plan;
pub mod policy;
mod reopen;
pub mod replay;
pub mod report;
pub mod request;
pub mod resume;
pub mod rollback;
pub mod shift;
pub mod sink;
pub mod steps;
pub mod stop;
mod sync;
mod there;
pub mod verify;
pub mod visitor;

pub use apply_manifest::apply_manifest;
pub use monitor::{Monitor, Phase, Silent};
pub use plan::Plan;
pub use policy::{Policy, Rule, Uniform};
pub use report::{Ending, Outcome, Problem, ProblemKind, Report, Stats};
pub use request::{Refusal, ShiftRequest};
pub use resume::resume;
pub use rollback::{RollbackOptions, rollback};
pub use shift::{dry_run, shift};
pub use stop::Stop;
pub use verify::{verify_journal, verify_map};
