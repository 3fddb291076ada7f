//! `idshift check`, and the child it starts.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use super::common::MapArgs;
use super::docker::DaemonArgs;
use crate::volume::user::ContainerUser;

/// `idshift check`
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("who").required(true).args(["as", "container", "image_user"]),
    after_help = "Becomes that user in a user namespace with the map, then lists the directory, and creates, writes, reads, renames and deletes a file in it. Nothing is left behind; of the directory's times only the ctime changes.\n\n\
    Exit codes: 0 everything works · 3 something does not · 4 could not be tried\n\n\
    Examples:\n  \
    idshift check /root/data/rabbitmq --as 999:999\n  \
    idshift check /srv/www --as 33:33 --read-only --recursive\n  \
    idshift check /srv/app --container web"
)]
pub struct CheckArgs {
    /// Directory or file that a container binds
    pub path: PathBuf,
    /// The container's user, in numbers; without GID the group is 0, as `docker run --user` has it
    #[arg(long, value_name = "UID[:GID]")]
    pub r#as: Option<ContainerUser>,
    /// The user that this container runs as: its name or id
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::containers))]
    pub container: Option<String>,
    /// The user that this image runs as: its name or id
    #[arg(long, value_name = "IMAGE", add = ArgValueCompleter::new(candidates::images))]
    pub image_user: Option<String>,
    /// Another group of the user
    #[arg(long = "group", value_name = "GID")]
    pub groups: Vec<u32>,
    /// Do not try to write: the container mounts it read-only
    #[arg(long)]
    pub read_only: bool,
    /// Find every entry below that the user cannot use
    #[arg(long)]
    pub recursive: bool,
    /// Assume a runtime that needs to search the directories above (runc before 1.1), whatever is installed
    #[arg(long)]
    pub old_runtime: bool,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// The daemon, for --container and --image-user
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// The child of `idshift check`; not for people
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What is to be tried with standard input
    pub question: String,
}
