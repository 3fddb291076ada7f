//! `idshift docker`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use super::common::{Immutable, LimitArgs, OutputArgs, StoreArgs};

/// `idshift docker`
#[derive(Debug, Args)]
pub struct DockerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DockerCommand,
}

/// The subcommands of `idshift docker`
#[derive(Debug, Subcommand)]
pub enum DockerCommand {
    /// Tell whether a data-root is ready to be migrated, and what will be different. Changes nothing
    Audit(AuditArgs),
    /// Carry everything of a stopped plain daemon into the root of a remapped one
    Migrate(MigrateArgs),
    /// The other direction: for a host that turns userns-remap off again
    Revert(RevertArgs),
}

/// Which daemon.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// Docker's data-root [default: as dockerd is started here, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Whom the daemon remaps to, as dockerd takes it: default, USER, USER:GROUP, UID or UID:GID
    /// [default: as dockerd is started here, else default]
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(candidates::remap_users))]
    pub userns_remap: Option<String>,
    /// The daemon's configuration file [default: as dockerd is started here, else
    /// /etc/docker/daemon.json]
    #[arg(long, value_name = "FILE")]
    pub daemon_json: Option<PathBuf>,
}

/// `idshift docker audit`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 ready · 3 something stands in the way · 4 images are where they cannot be carried, or the data-root cannot \
                  be read\n\n\
    Examples:\n  \
    idshift docker audit\n  \
    idshift docker audit --data-root /srv/docker --userns-remap app --json"
)]
pub struct AuditArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Journals, for runs that are not finished
    #[command(flatten)]
    pub store: StoreArgs,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// What `idshift docker migrate` and `revert` both take
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See all that would be done:\n    \
    idshift docker migrate --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, migrate, start it remapped:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker migrate --create-user --write-daemon-json\n    \
    systemctl start docker\n  \
    Before the daemon was started again, undo it:\n    \
    idshift rollback latest\n  \
    Later, with all that was made since:\n    \
    idshift docker revert --write-daemon-json")]
pub struct MigrationArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Change nothing, say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write each rename, rewrite and change of an owner to FILE, or to stdout for
    /// `-`
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Make the user dockremap and its ranges where they are missing, as dockerd would
    #[arg(long)]
    pub create_user: bool,
    /// Also set userns-remap in daemon.json, or take it out for revert; all else in it stays
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Mark containers that cannot run remapped (privileged, --pid=host, --network=host, --ipc=host)
    /// with --userns=host
    #[arg(long)]
    pub set_userns_host: bool,
    /// Also shift the host directories that containers bind, or that are volumes (o=bind, symlinks),
    /// those for which the audit proposes it: none of the system's, no sockets. For revert: shift back
    /// those that are in the range
    #[arg(long)]
    pub bind_mounts: bool,
    /// Also change files that have further names (hard links) outside the data-root
    #[arg(long)]
    pub allow_outside_links: bool,
    /// Leave and report what cannot be shifted, instead of changing nothing
    #[arg(long)]
    pub keep_going: bool,
    /// What is immutable or append-only (chattr +i, +a) cannot be shifted; or the flag is cleared
    /// while it is, and put back
    #[arg(
        long,
        value_name = "refuse|clear",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub immutable: Immutable,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift docker revert`
#[derive(Debug, Args)]
pub struct RevertArgs {
    /// Back to the containerd image store that a migration converted: the rollback of that migration. Only as long as
    /// no daemon has been running on its result
    #[arg(long, conflicts_with_all = ["manifest", "bind_mounts", "keep_going", "create_user", "set_userns_host"])]
    pub to_containerd: bool,
    /// The rest
    #[command(flatten)]
    pub carry: MigrationArgs,
}

/// `idshift docker migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Leave the plain root as it is, and migrate a copy of it (shared content where the filesystem
    /// can)
    #[arg(long, conflicts_with = "manifest")]
    pub copy: bool,
    /// With --bind-mounts: also homes and files of accounts that people log in to, who can no longer use
    /// them
    #[arg(long, requires = "bind_mounts")]
    pub allow_home: bool,
    /// The rest
    #[command(flatten)]
    pub carry: MigrationArgs,
}
