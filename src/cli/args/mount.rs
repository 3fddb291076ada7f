//! `idshift mount`, `idshift umount`, `idshift mounts`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::{MapArgs, QuietArgs, StoreArgs};
use crate::volume::user::ContainerUser;

/// `idshift mount`
#[derive(Debug, Args)]
#[command(
    mut_arg("journal_dir", |dir| dir.help("Directory of the journals: the mount is refused while a run on these files is \
                                           unfinished")),
    after_help = "The directory is ready at once, whatever its size: no owner on disk changes. A file of uid 33 on disk is seen as 100033, which is 33 in the container. A file that user 33 of the container creates belongs to 33 on disk. The map exchanges both ranges, so that root of the host can create files too.\n\n\
    Examples:\n  \
    For a remapped container, until the next boot:\n    \
    idshift mount /srv/app\n  \
    Also at each boot, before containers are started:\n    \
    idshift mount --persist /srv/app\n  \
    Mounted at another path; the path itself stays as it is:\n    \
    idshift mount /home/ann/project /srv/project --owner 999:999\n  \
    Unmount it:\n    \
    idshift umount /srv/app"
)]
pub struct MountArgs {
    /// Directory or file for a container
    pub path: PathBuf,
    /// Mount point [default: over PATH itself]
    pub target: Option<PathBuf>,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// The owner of PATH on disk is seen as this user and group of the container, and the other way round
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group)]
    pub owner: Option<ContainerUser>,
    /// With --owner: this user and group on disk, instead of the owner of PATH
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group, requires = "owner")]
    pub disk_owner: Option<ContainerUser>,
    /// Mount read-only
    #[arg(long)]
    pub read_only: bool,
    /// Also mount it at each boot before containers are started, by a systemd unit
    #[arg(long)]
    pub persist: bool,
    /// Mount nothing; test whether it can be mounted, and show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Mount even if PATH or TARGET is part of the system, such as /etc
    #[arg(long)]
    pub allow_system_path: bool,
    /// Mount even over files of a login account: it cannot use them while they are mounted
    #[arg(long)]
    pub allow_home: bool,
    /// Where runs on the files would have left a journal
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: QuietArgs,
}

/// `idshift umount`
#[derive(Debug, Args)]
#[command(
    after_help = "Unmounts only idmapped mounts, whoever made them; `idshift mounts` lists them. Also removes the systemd unit that makes the mount at each boot.\n\n\
    Examples:\n  \
    idshift umount /srv/app\n  \
    idshift umount --dry-run /srv/app"
)]
pub struct UmountArgs {
    /// The mount point
    #[arg(add = ArgValueCompleter::new(candidates::mount_points))]
    pub target: PathBuf,
    /// Unmount even if a process or a container uses it: open files stay open, with the owners as they are
    /// seen now
    #[arg(long)]
    pub allow_in_use: bool,
    /// Keep the systemd unit: it is mounted again at the next boot
    #[arg(long)]
    pub keep_unit: bool,
    /// Unmount nothing; show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Output
    #[command(flatten)]
    pub output: QuietArgs,
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
