//! Options that several commands take.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;
use crate::idmap::MapSpec;
use crate::journal::id::DEFAULT_PLACE;

/// Where the map comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct MapArgs {
    /// One range of the map: u (uids), g (gids) or b (both), then container id, host id and size.
    /// Several make one map
    #[arg(long = "map", value_name = "u|g|b:CONTAINER:HOST:SIZE")]
    pub maps: Vec<MapSpec>,
    /// Take the map from this user's lines in /etc/subuid and /etc/subgid [default: dockremap]
    #[arg(
        long,
        value_name = "USER",
        conflicts_with = "maps",
        add = ArgValueCompleter::new(candidates::subid_users)
    )]
    pub subid: Option<String>,
    /// Take the map from a file of another tool, or from stdin for `-`: a configuration of an LXC or
    /// Proxmox container, an Incus or LXD instance, /proc/PID/uid_map, daemon.json, --uidmap and --gidmap
    /// of Podman (with --subid USER: of that user's rootless Podman)
    #[arg(long, value_name = "FILE|-", conflicts_with = "maps")]
    pub map_from: Option<PathBuf>,
}

/// Where journals are.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Directory of the journals
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PLACE)]
    pub journal_dir: PathBuf,
}

/// How much is said.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// List every problem, not only the first few
    #[arg(short, long)]
    pub verbose: bool,
}

/// More threads make nothing faster, and the memory and the mappings of thousands cannot be had.
const MOST_JOBS: i64 = 256;

/// How hard a command works: less, where others need the machine meanwhile
#[derive(Clone, Debug, Args)]
pub struct LimitArgs {
    /// Threads, 1 to 256 [default: 2 per CPU, at most 16; 1 with --nice or --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS))]
    pub jobs: Option<u16>,
    /// Limit to N inodes per second
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU32>,
    /// Run at the lowest CPU and I/O priority
    #[arg(long)]
    pub nice: bool,
}

/// What is done about an inode that a flag keeps from being changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Immutable {
    /// It cannot be shifted.
    #[default]
    Refuse,
    /// The flag is cleared, and put back after.
    Clear,
}

/// Which inodes of the trees are meant
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Leave out what matches, and everything below it. Relative to PATH, or absolute; `*` stops at a
    /// slash, `**` does not; a slash at the end means nothing
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Include what is mounted below PATH
    #[arg(long)]
    pub cross_mounts: bool,
}

/// What is done about inodes that cannot simply be shifted
#[derive(Debug, Args)]
pub struct ObstacleArgs {
    /// Report what cannot be shifted, leave it and go on. Without this, a run that fails undoes itself
    #[arg(long)]
    pub keep_going: bool,
    /// For files that are immutable or append-only (chattr +i, +a): refuse them, or clear the flag while
    /// they are changed and set it again
    #[arg(
        long,
        value_name = "refuse|clear",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub immutable: Immutable,
    /// Also change files that are hard-linked outside of what is shifted
    #[arg(long)]
    pub allow_outside_links: bool,
}

/// What `idshift shift` and `idshift prepare` both take
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Change nothing, say what would be done. Needs no root where it can read
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write everything that would be done to FILE, or to stdout for `-`; compressed if
    /// FILE ends in .zst
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Which of it
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What cannot simply be shifted
    #[command(flatten)]
    pub obstacles: ObstacleArgs,
    /// Shift although a process or a container uses the tree
    #[arg(long)]
    pub allow_in_use: bool,
    /// Shift although PATH is part of the system, such as /etc
    #[arg(long)]
    pub allow_system_path: bool,
    /// Shift although PATH is, holds or lies in the home of an account that people log in to, or files
    /// belong to one: the account can no longer use them
    #[arg(long)]
    pub allow_home: bool,
    /// Nothing below PATH was shifted before: needed where the map's two sides overlap
    #[arg(long)]
    pub assume_unshifted: bool,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}
