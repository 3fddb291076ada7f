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
    after_help = "Tries it, as that user, in a user namespace with the map: lists, makes a file of its own, writes, reads, renames and deletes it. Nothing of it is left; the directory keeps its times, but for the ctime.\n\n\
    Exit codes: 0 everything asked for works · 3 it does not · 4 could not be tried\n\n\
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
    /// The user that this container, a name or an id, runs as
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::containers))]
    pub container: Option<String>,
    /// The user that this image, a name or an id, runs as
    #[arg(long, value_name = "IMAGE", add = ArgValueCompleter::new(candidates::images))]
    pub image_user: Option<String>,
    /// Another group of the user
    #[arg(long = "group", value_name = "GID")]
    pub groups: Vec<u32>,
    /// It is mounted read-only: nothing is written
    #[arg(long)]
    pub read_only: bool,
    /// Find every entry below that the user cannot use
    #[arg(long)]
    pub recursive: bool,
    /// Take the runtime for one that stops at closed directories above, whatever is installed
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
