//! `idshift shift`

use std::path::PathBuf;

use clap::Args;

use super::common::RunArgs;
use crate::cli::map::source::MapSource;

/// `idshift shift`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See what would change, and keep it for review:\n    \
    idshift shift --dry-run --manifest review.jsonl /srv/data\n  \
    Do just what was reviewed:\n    \
    idshift shift --from-manifest review.jsonl\n  \
    Shift into the range that /etc/subuid and /etc/subgid give to dockremap:\n    \
    idshift shift /srv/data\n  \
    Back out of it:\n    \
    idshift shift --reverse /srv/data\n  \
    A container of LXC, Proxmox or Incus that is to be unprivileged, as its configuration says:\n    \
    idshift shift --map-from /var/lib/lxc/web/config /var/lib/lxc/web/rootfs\n  \
    From one range to another, because it was changed:\n    \
    idshift shift --from b:0:165536:65536 --to b:0:100000:65536 /srv/data\n  \
    A rootless engine's map:\n    \
    idshift shift --map b:0:1000:1 --map b:1:100000:65535 --assume-unshifted /home/me/data")]
pub struct ShiftArgs {
    /// Trees to shift: directories or single files. Symlinks are not followed
    #[arg(required_unless_present = "from_manifest", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Out of the range: host ids become container ids
    #[arg(long)]
    pub reverse: bool,
    /// Move from the range that MAP gives to that of --to: b:0:100000:65536 (several with commas),
    /// subid:USER, a path as for --map-from, or host, the ids as they are
    #[arg(long, value_name = "MAP", requires = "to", conflicts_with_all = ["maps", "subid", "map_from", "reverse", "from_manifest"])]
    pub from: Option<MapSource>,
    /// Where to: a MAP as for --from
    #[arg(long, value_name = "MAP", requires = "from")]
    pub to: Option<MapSource>,
    /// Make just the changes of a reviewed manifest; whatever is not as it says is a conflict
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "maps", "subid", "map_from", "reverse", "exclude", "cross_mounts", "assume_unshifted", "immutable"])]
    pub from_manifest: Option<PathBuf>,
    /// The rest
    #[command(flatten)]
    pub run: RunArgs,
}
