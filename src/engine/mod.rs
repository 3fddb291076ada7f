//! Shift, rollback, resume and verify: the layers below, wired together.
//!
//! - [`request`], [`refusal`]: what the operator asks, and why it is refused
//! - `session`: the life of a run, from its request to its report
//! - [`mod@shift`]: walk, map, journal, apply; or, for a dry run, walk, map, manifest (`dry_run`)
//! - [`plan`]: a change of a host that is worked out whole before it begins
//! - [`mod@apply_manifest`]: applying a reviewed manifest
//! - [`mod@rollback`], [`mod@resume`], [`verify`]: the three uses of a replay
//!
//! What these are made of:
//!
//! - [`context`]: what the threads of a run share
//! - [`policy`]: what an inode is to become, by where it is; [`exclude`]: what is left out
//! - [`visitor`]: what happens to one inode; [`hardlinks`]: inodes of several names
//! - [`sinks`]: where that goes; `walk_again`: another walk where names went away meanwhile
//! - `execute`: carrying out a journal that holds everything that is to be done; `undo`: undoing it
//! - [`replay`]: what a journal says, compared with the disk and brought about; [`target`]: which side of it
//! - [`steps`]: what a journal does besides changing owners
//! - `reopen`: the trees of a journal, opened again
//! - `later_run`: what was run on a tree after the run of a journal
//! - `hand_over`: what a run gave to a user, and whether it may be taken back
//! - `chown_check`: whether a filesystem keeps the owners it is given
//! - `sync`: writing out what a run changes
//! - [`new_inodes`]: what came into being since a run
//! - [`control`]: how a run talks and is held back; `problem`, [`stats`], [`report`]: what it left, counted, and how it ended

pub mod apply_manifest;
mod chown_check;
pub mod context;
pub mod control;
mod crossed_mounts;
pub mod deferred_links;
pub mod dry_run;
pub mod exclude;
mod execute;
mod hand_over;
pub mod hardlinks;
mod later_run;
mod listed_run;
pub mod missing_tree;
pub mod new_inodes;
pub mod plan;
mod planned_steps;
pub mod policy;
mod problem;
pub mod refusal;
mod reopen;
pub mod replay;
pub mod report;
pub mod request;
pub mod resume;
pub mod rollback;
mod session;
pub mod shift;
pub mod sinks;
pub mod stats;
pub mod steps;
mod sync;
pub mod target;
mod undo;
pub mod verify;
pub mod visitor;
mod walk_again;

pub use apply_manifest::apply_manifest;
pub use control::{Cancel, Monitor, Phase, RateLimit, RunControl};
pub use hand_over::Reading;
pub use plan::Plan;
pub use planned_steps::PlannedSteps;
pub use policy::{ByTree, Policy, Rule};
pub use problem::{Problem, ProblemKind};
pub use refusal::Refusal;
pub use report::{Ending, Outcome, Report};
pub use request::ShiftRequest;
pub use resume::{ResumeOptions, resume};
pub use rollback::rollback;
pub use shift::{dry_run, shift};
pub use stats::Stats;
pub use undo::RollbackOptions;
pub use verify::{verify_journal, verify_map};
