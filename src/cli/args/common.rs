//! Options that several commands take.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;
use crate::idmap::MapSpec;
use crate::journal::Name;
use crate::journal::id::DEFAULT_PLACE;

/// Where the map comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct MapArgs {
    /// One range of the map: u (uids), g (gids) or b (both), then container id, host id and size. Repeat it
    /// for more ranges
    #[arg(long = "map", value_name = "u|g|b:CONTAINER:HOST:SIZE")]
    pub maps: Vec<MapSpec>,
    /// Take the map from the lines of USER in /etc/subuid and /etc/subgid, or what getsubids lists where
    /// nsswitch.conf names another source [default: the user that Docker on this host remaps to, else dockremap]
    #[arg(
        long,
        value_name = "USER",
        conflicts_with = "maps",
        add = ArgValueCompleter::new(candidates::subid_users)
    )]
    pub subid: Option<String>,
    /// Take the map from the file of another tool, or from stdin with `-`: the configuration of an LXC or
    /// Proxmox container, an Incus or LXD instance, /proc/PID/uid_map, daemon.json, --uidmap and --gidmap of
    /// Podman, or config.json of an OCI bundle (both with --subid USER for a rootless engine)
    #[arg(long, value_name = "FILE|-", conflicts_with = "maps")]
    pub map_from: Option<PathBuf>,
    /// Where none of these is given: whom a Docker daemon remaps to.
    #[arg(skip)]
    pub docker_user: Option<String>,
}

/// Where journals are.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Directory of the journals
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PLACE)]
    pub journal_dir: PathBuf,
}

/// Output options.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Print only errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// List all problems and paths, not only the first few
    #[arg(short, long)]
    pub verbose: bool,
}

/// Whether there is a question before the first change.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ConfirmArgs {
    /// Do not ask before the first change. Without a terminal, and with --json, there is no question
    #[arg(short, long)]
    pub yes: bool,
}

/// Output options of a command that has no long lists.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct QuietArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

impl QuietArgs {
    /// Whether people read what is on stdout.
    pub fn is_for_people(self) -> bool {
        !self.json && !self.quiet
    }
}

/// More threads make nothing faster, and thousands would need too much memory and too many
/// mappings.
const MOST_JOBS: i64 = 256;

/// What limits a command, where others need the machine meanwhile
#[derive(Clone, Debug, Args)]
pub struct LimitArgs {
    /// Number of threads, 1 to 256 [default: 2 per CPU, at most 16; 1 with --nice or --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS))]
    pub jobs: Option<u16>,
    /// Limit to N inodes per second
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU32>,
    /// Run at the lowest CPU and I/O priority
    #[arg(long)]
    pub nice: bool,
}

/// How immutable and append-only inodes are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Immutable {
    /// It cannot be shifted.
    #[default]
    Refuse,
    /// The flag is cleared, and set again after.
    Clear,
}

/// Which inodes of the trees are meant
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Leave out paths that match, and everything below them. GLOB is relative to PATH, or absolute; `*`
    /// does not match a slash, `**` does; a slash at the end is ignored
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<OsString>,
    /// Include what is mounted below PATH
    #[arg(long)]
    pub cross_mounts: bool,
}

impl ScopeArgs {
    /// The globs, of any bytes.
    pub fn globs(&self) -> Vec<Name> {
        let globs = self.exclude.iter().cloned();
        globs.map(|glob| Name(glob.into_vec())).collect()
    }
}

/// What is done about inodes that cannot simply be shifted
#[derive(Debug, Args)]
pub struct ObstacleArgs {
    /// Report inodes that cannot be shifted, leave them as they are and go on. Without it, such a run
    /// undoes itself
    #[arg(long)]
    pub keep_going: bool,
    /// What is not changed by default
    #[command(flatten)]
    pub guarded: GuardedArgs,
}

/// What is not changed unless it is asked for
#[derive(Debug, Args)]
pub struct GuardedArgs {
    /// Files that are immutable or append-only (chattr +i, +a): refuse them, or clear the flag during the
    /// change and set it again
    #[arg(
        long,
        value_name = "refuse|clear",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub immutable: Immutable,
    /// Also change files that have a hard link outside of the trees
    #[arg(long)]
    pub allow_outside_links: bool,
}

/// What commands on whole stores take that show what they would do
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Change nothing; show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write every change to FILE, or to stdout with `-`. Compressed if the name ends in
    /// .zst
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
}

/// How a run of such a command goes, and what it says
#[derive(Clone, Debug, Args)]
pub struct ExecutionArgs {
    /// Its limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// The question
    #[command(flatten)]
    pub confirm: ConfirmArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}
