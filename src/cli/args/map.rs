//! `idshift map`

use clap::Args;

use super::common::MapArgs;

/// `idshift map`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    The map of the daemon on this host:\n    \
    idshift map\n  \
    The map in the configuration of a container:\n    \
    idshift map --map-from /var/lib/lxc/web/config\n    \
    idshift map --map-from /etc/pve/lxc/101.conf\n    \
    incus config show --expanded web | idshift map --map-from -\n  \
    The map of a process:\n    \
    idshift map --map-from /proc/4711/uid_map\n  \
    Which container id is host id 101000, and which host id is container id 1000?\n    \
    idshift map --map b:0:100000:65536 --id 101000 --id 1000")]
pub struct MapCommandArgs {
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Show this id on the other side: as a container id, and as a host id
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<u32>,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// List all lines, accounts and groups
    #[arg(short, long)]
    pub verbose: bool,
}
