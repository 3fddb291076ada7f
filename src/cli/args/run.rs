//! Options of a run on trees that the command line names, and the request that they make.

use std::path::PathBuf;

use clap::Args;

use super::common::{
    Immutable, LimitArgs, MapArgs, ObstacleArgs, OutputArgs, ScopeArgs, StoreArgs,
};
use crate::engine::ShiftRequest;
use crate::idmap::{Direction, IdMap};
use crate::journal::record::{RunKind, WalkOptions};

/// What `idshift shift` and `idshift prepare` both take
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Change nothing; show what would be done. Works without root where the files can be read
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write every change to FILE, or to stdout with `-`. Compressed if the name ends in
    /// .zst
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Its limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Which of it
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What cannot simply be shifted
    #[command(flatten)]
    pub obstacles: ObstacleArgs,
    /// Shift even if a process or a container uses the tree
    #[arg(long)]
    pub allow_in_use: bool,
    /// Shift even if PATH is part of the system, such as /etc
    #[arg(long)]
    pub allow_system_path: bool,
    /// Shift even if PATH is, contains or is in the home of a login account, or contains files of one. The
    /// account can no longer use them
    #[arg(long)]
    pub allow_home: bool,
    /// Assume that nothing below PATH was shifted before. Needed when the two sides of the map overlap
    #[arg(long)]
    pub assume_unshifted: bool,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RunArgs {
    /// The request that they make.
    pub fn request(
        &self,
        paths: &[PathBuf],
        map: IdMap,
        direction: Direction,
        kind: RunKind,
    ) -> ShiftRequest {
        ShiftRequest {
            paths: paths.to_vec(),
            map,
            direction,
            jobs: self.limits.threads(),
            walk: WalkOptions {
                exclude: self.scope.globs(),
                cross_mounts: self.scope.cross_mounts,
                keep_going: self.obstacles.keep_going,
                assume_unshifted: self.assume_unshifted,
                outside_links: self.obstacles.guarded.allow_outside_links,
                clear_flags: self.obstacles.guarded.immutable == Immutable::Clear,
            },
            allow_in_use: self.allow_in_use,
            allow_system_path: self.allow_system_path,
            allow_home: self.allow_home,
            kind,
        }
    }
}

/// The direction that `--reverse` gives.
pub fn direction(reverse: bool) -> Direction {
    match reverse {
        true => Direction::OutOf,
        false => Direction::Into,
    }
}
