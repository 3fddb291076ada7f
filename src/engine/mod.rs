//! Shift, rollback, resume and verify: the floors below, wired together.
//!
//! - [`request`]: what the operator asks, and the checks before anything starts
//! - [`mod@shift`]: walk, map, journal, apply; or, for a dry run, walk, map, manifest
//! - [`decide`]: what happens to one inode
//! - [`sink`]: where changes go
//! - [`review`]: applying a reviewed manifest
//! - [`replay`]: what a journal says, compared with the disk and brought about
//! - [`mod@rollback`], [`mod@resume`], [`verify`]: the three uses of a replay
//! - [`created`]: what came into being since a run
//! - [`monitor`], [`report`], [`stop`]: how a run talks, ends and is ended

pub mod created;
pub mod decide;
pub mod monitor;
pub mod replay;
pub mod report;
pub mod request;
pub mod resume;
pub mod review;
pub mod rollback;
pub mod shift;
pub mod sink;
pub mod stop;
pub mod verify;

pub use monitor::{Monitor, Phase, Silent};
pub use report::{Ending, Outcome, Problem, ProblemKind, Report, Tally};
pub use request::{Refusal, ShiftRequest};
pub use resume::resume;
pub use review::apply_manifest;
pub use rollback::{RollbackOptions, rollback};
pub use shift::{dry_run, shift};
pub use stop::Stop;
pub use verify::{verify_journal, verify_map};
