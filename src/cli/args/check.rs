//! `idshift check`, and the child it starts.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::binds::BindsArgs;
use super::common::{MapArgs, OutputArgs};
use super::docker::DaemonArgs;
use crate::volume::user::ContainerUser;

/// `idshift check`
#[derive(Debug, Args)]
#[command(
    mut_arg("subid", |subid| subid.help("Take the map from the lines of USER in /etc/subuid and /etc/subgid \
                                         [default: the user in userns-remap of the daemon, else dockremap]")),
    group = clap::ArgGroup::new("who").required(true).args(["as", "container", "image_user", "compose", "run_command"]),
    after_help = "Starts a process as that user, in a user namespace with the map. The process lists the directory, and creates, writes, reads, renames and deletes a file in it. Nothing is left behind; only the ctime of the directory changes.\n\n\
    Exit codes: 0 usable · 3 not usable · 4 could not be tested\n\n\
    Examples:\n  \
    idshift check /root/data/rabbitmq --as 999:999\n  \
    idshift check /srv/www --as 33:33 --read-only --recursive\n  \
    idshift check /srv/app --container web\n  \
    idshift check --compose compose.yaml --service web\n  \
    idshift check --run 'docker run -v /srv/app:/app:ro -u 33 nginx'"
)]
pub struct CheckArgs {
    /// Directory or file that a container mounts
    #[arg(
        required_unless_present_any = ["compose", "run_command"],
        conflicts_with_all = ["compose", "run_command", "profiles", "services"],
        add = ArgValueCompleter::new(candidates::volumes_and_paths)
    )]
    pub path: Option<PathBuf>,
    /// Binds of containers
    #[command(flatten)]
    pub binds: BindsArgs,
    /// User of the container, in numbers. Without GID the group is 0, as with `docker run --user`
    #[arg(long, value_name = "UID[:GID]")]
    pub r#as: Option<ContainerUser>,
    /// The user that this container runs as (name or id of the container)
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::containers))]
    pub container: Option<String>,
    /// The user that this image runs as (name or id of the image)
    #[arg(long, value_name = "IMAGE", add = ArgValueCompleter::new(candidates::images))]
    pub image_user: Option<String>,
    /// Additional group of the user
    #[arg(long = "group", value_name = "GID", conflicts_with_all = ["compose", "run_command"])]
    pub groups: Vec<u32>,
    /// Do not test writing: the container mounts it read-only
    #[arg(long, conflicts_with_all = ["compose", "run_command"])]
    pub read_only: bool,
    /// Find every entry below PATH that the user cannot use
    #[arg(long)]
    pub recursive: bool,
    /// Assume a runtime that searches the directories above (runc before 1.1), whatever is installed
    #[arg(long)]
    pub old_runtime: bool,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// The daemon, for --container, --image-user, --compose and --run
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The child of `idshift check`; not for people
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What is to be tried with standard input
    pub question: String,
}
