//! `idshift mount`, `idshift umount`, `idshift mounts`

use std::path::PathBuf;

use clap::Args;

use super::common::{MapArgs, StoreArgs};
use crate::volume::user::ContainerUser;

/// `idshift mount`
#[derive(Debug, Args)]
#[command(
    after_help = "Whatever its size, the directory is ready at once: no owner on disk is changed. What belongs to container id 33 on disk is seen as host id 100033, which is 33 in the container; what is made through the mount is kept so on disk. Host ids and container ids change places, so that root of the host can make files, too.\n\n\
    Examples:\n  \
    A service's files, for a remapped container, until the next boot:\n    \
    idshift mount /srv/app\n  \
    At each boot, before Docker:\n    \
    idshift mount --persist /srv/app\n  \
    Seen elsewhere; the path itself stays as it is:\n    \
    idshift mount /home/ann/project /srv/project --owner 999:999\n  \
    Take it down:\n    \
    idshift umount /srv/app"
)]
pub struct MountArgs {
    /// Directory whose files a container is to use, or a single file
    pub path: PathBuf,
    /// Where they are seen so [default: over PATH itself]
    pub target: Option<PathBuf>,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Whoever owns PATH on disk is this user and group of the container, and the other way round
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group)]
    pub owner: Option<ContainerUser>,
    /// With --owner: not the owner of PATH, but this user and group on disk
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group, requires = "owner")]
    pub disk_owner: Option<ContainerUser>,
    /// Nothing can be changed through the mount
    #[arg(long)]
    pub read_only: bool,
    /// Also at each boot, before Docker is started: by a systemd unit
    #[arg(long)]
    pub persist: bool,
    /// Mount nothing, say what would be mounted; whether that can be is tried
    #[arg(long)]
    pub dry_run: bool,
    /// Mount although PATH or TARGET is part of the system, such as /etc
    #[arg(long)]
    pub allow_system_path: bool,
    /// Mount over what an account works with that people log in to: it cannot use it meanwhile
    #[arg(long)]
    pub allow_home: bool,
    /// Where runs on the files would have left a journal
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// `idshift umount`
#[derive(Debug, Args)]
#[command(
    after_help = "Takes down idmapped mounts only, whoever made them; `idshift mounts` lists them. A unit that makes it at each boot is removed, too.\n\n\
    Examples:\n  \
    idshift umount /srv/app\n  \
    idshift umount --dry-run /srv/app"
)]
pub struct UmountArgs {
    /// The mount point
    pub target: PathBuf,
    /// Unmount although a process or a container uses it: what is open stays open, as it is seen now
    #[arg(long)]
    pub allow_in_use: bool,
    /// Leave the unit: it is mounted again at the next boot
    #[arg(long)]
    pub keep_unit: bool,
    /// Unmount nothing, say what would be
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// `idshift mounts`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    idshift mounts\n  \
    idshift mounts --json | jq -r '.mounts[] | select(.state == \"missing\") | .target'")]
pub struct MountsArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
