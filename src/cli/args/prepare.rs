//! `idshift prepare`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::binds::BindsArgs;
use super::run::RunArgs;
use crate::volume::user::ContainerUser;

/// `idshift prepare`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    Each file keeps its owner, as an id of the container:\n    \
    idshift prepare /srv/app\n  \
    Everything for the user of the RabbitMQ image:\n    \
    idshift prepare /root/data/rabbitmq --owner 999:999 --create\n    \
    idshift prepare /root/data/rabbitmq --image-user rabbitmq:3 --create\n  \
    Also for a runtime that searches the directories above (runc before 1.1):\n    \
    idshift prepare /root/data/rabbitmq --owner 999:999 --fix-parents\n  \
    All binds of a Compose project, each for the user of its service:\n    \
    idshift prepare --compose compose.yaml --create\n  \
    A directory that a user of the host works with too (no owner changes):\n    \
    idshift prepare --share /home/leo/site --owner 33:33\n  \
    Back, for a daemon without userns-remap:\n    \
    idshift prepare --reverse /root/data/rabbitmq")]
pub struct PrepareArgs {
    /// Directories to prepare, or single files
    #[arg(
        value_name = "PATH",
        required_unless_present_any = ["compose", "run_command"],
        conflicts_with_all = ["compose", "run_command", "profiles", "services"]
    )]
    pub paths: Vec<PathBuf>,
    /// Binds of containers
    #[command(flatten)]
    pub binds: BindsArgs,
    /// Give everything to this user and group of the container; ids in ACLs and capabilities are
    /// shifted
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group, conflicts_with_all = ["compose", "run_command"])]
    pub owner: Option<ContainerUser>,
    /// Let the container's user (--owner, --image-user, --container; else its root) use PATH too, by ACL entries. No owner
    /// changes; new files of either side are for both
    #[arg(long, conflicts_with_all = ["reverse", "create", "cross_mounts"])]
    pub share: bool,
    /// With --share: the container's user only reads
    #[arg(long, requires = "share", conflicts_with_all = ["compose", "run_command"])]
    pub read_only: bool,
    /// Give everything to the user that this image runs as (name or id of the image)
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with_all = ["owner", "container", "compose", "run_command"],
        add = ArgValueCompleter::new(candidates::images)
    )]
    pub image_user: Option<String>,
    /// Give everything to the user that this container runs as (name or id of the container)
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["owner", "compose", "run_command"],
        add = ArgValueCompleter::new(candidates::containers)
    )]
    pub container: Option<String>,
    /// For --image-user, --container, --compose and --run: Docker's data-root [default: from the options of dockerd on this
    /// host, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Create missing directories, for --owner or else for the container's root
    #[arg(long)]
    pub create: bool,
    /// Let the container's root search closed directories above PATH: adds the ACL entry u:ID:--x to each
    #[arg(long, conflicts_with = "reverse")]
    pub fix_parents: bool,
    /// Assume a runtime that searches the directories above (runc before 1.1), whatever is installed
    #[arg(long)]
    pub old_runtime: bool,
    /// Shift out of the range: host ids become container ids
    #[arg(long, conflicts_with_all = ["compose", "run_command"])]
    pub reverse: bool,
    /// The rest
    #[command(flatten)]
    pub run: RunArgs,
}
