//! `idshift shift`

use std::path::PathBuf;

use clap::Args;

use super::map_source::MapSource;
use super::run::RunArgs;

/// `idshift shift`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    Look first, and keep the result for review:\n    \
    idshift shift --dry-run --manifest review.jsonl /srv/data\n  \
    Apply what was reviewed:\n    \
    idshift shift --from-manifest review.jsonl\n  \
    Shift into the range that /etc/subuid and /etc/subgid give to dockremap:\n    \
    idshift shift /srv/data\n  \
    Shift out of it again:\n    \
    idshift shift --reverse /srv/data\n  \
    Make an LXC, Proxmox or Incus container unprivileged, with the range in its configuration:\n    \
    idshift shift --map-from /var/lib/lxc/web/config /var/lib/lxc/web/rootfs\n  \
    Move from an old range to a new one:\n    \
    idshift shift --from b:0:165536:65536 --to b:0:100000:65536 /srv/data\n  \
    With the map of a rootless engine:\n    \
    idshift shift --map b:0:1000:1 --map b:1:100000:65535 --assume-unshifted /home/me/data")]
pub struct ShiftArgs {
    /// Trees to shift: directories or single files. Symlinks are not followed
    #[arg(required_unless_present = "from_manifest", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Shift out of the range: host ids become container ids
    #[arg(long)]
    pub reverse: bool,
    /// Move from this range to that of --to. MAP is b:0:100000:65536 (several with commas), subid:USER, a
    /// path as for --map-from, or `host` for ids without a map
    #[arg(long, value_name = "MAP", requires = "to", conflicts_with_all = ["maps", "subid", "map_from", "reverse", "from_manifest"])]
    pub from: Option<MapSource>,
    /// The new range: a MAP as for --from
    #[arg(long, value_name = "MAP", requires = "from")]
    pub to: Option<MapSource>,
    /// Apply a reviewed manifest and nothing else. Inodes that have changed since are conflicts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "maps", "subid", "map_from", "reverse", "exclude", "cross_mounts", "assume_unshifted", "immutable"])]
    pub from_manifest: Option<PathBuf>,
    /// The rest
    #[command(flatten)]
    pub run: RunArgs,
}
