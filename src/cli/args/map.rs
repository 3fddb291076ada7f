//! `idshift map`

use clap::Args;

use super::common::MapArgs;

/// `idshift map`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    The map that userns-remap has here:\n    \
    idshift map\n  \
    What a container's configuration gives:\n    \
    idshift map --map-from /var/lib/lxc/web/config\n    \
    idshift map --map-from /etc/pve/lxc/101.conf\n    \
    incus config show --expanded web | idshift map --map-from -\n  \
    What a process has:\n    \
    idshift map --map-from /proc/4711/uid_map\n  \
    Whose files are those of 101000, and what is the container's 1000 on the host?\n    \
    idshift map --map b:0:100000:65536 --id 101000 --id 1000")]
pub struct MapCommandArgs {
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Tell what this id is on the other side, taken for one of the container and for one of the host
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<u32>,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
