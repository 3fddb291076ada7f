//! `idshift docker`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::candidates;
use super::common::{
    ExecutionArgs, GuardedArgs, LimitArgs, ObstacleArgs, OutputArgs, PreviewArgs, QuietArgs,
    StoreArgs,
};
use super::map_source::MapSource;
use super::rootless::{RevertRootlessArgs, RootlessArgs};

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
    /// Check whether a data-root can be migrated, and what will be different; change nothing
    Audit(AuditArgs),
    /// Migrate a stopped daemon to userns-remap, or with --rootless to a user's rootless daemon, with all images,
    /// containers and volumes
    Migrate(MigrateArgs),
    /// Mount a data-root that was migrated with --idmapped; its systemd unit does this at boot
    Mount(MountRootArgs),
    /// Migrate a stopped remapped daemon back, or with --rootless what a user's rootless daemon has, with
    /// everything that it made since
    Revert(RevertArgs),
    /// Move the root of a stopped remapped daemon to another id range
    Rebase(RebaseArgs),
}

/// Which daemon.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// Docker's data-root [default: from the options of dockerd on this host, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// The value of userns-remap: default, USER, USER:GROUP, UID or UID:GID [default: from the options of
    /// dockerd on this host, else default]
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(candidates::remap_users))]
    pub userns_remap: Option<String>,
    /// Configuration file of the daemon [default: from the options of dockerd on this host, else
    /// /etc/docker/daemon.json]
    #[arg(long, value_name = "FILE")]
    pub daemon_json: Option<PathBuf>,
}

/// `idshift docker audit`
#[derive(Debug, Args)]
#[command(
    mut_arg("journal_dir", |dir| dir.help("Directory of the journals: a run that is not finished is reported")),
    after_help = "Exit codes: 0 ready · 3 not ready · 4 images are in a store that cannot be migrated, or the data-root cannot be read\n\n\
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
    /// Its limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Skip reading the layers of the containerd image store. Faster, but damaged layers are not found
    #[arg(long)]
    pub quick: bool,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift docker mount`
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 mounted · 4 it cannot be mounted\n\n\
    Examples:\n  \
    idshift docker mount\n  \
    idshift docker mount --data-root /srv/docker")]
pub struct MountRootArgs {
    /// Docker's data-root [default: from the options of dockerd on this host, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Output
    #[command(flatten)]
    pub output: QuietArgs,
}

/// What `idshift docker migrate` and `revert` both take
#[derive(Debug, Args)]
pub struct MigrationArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// The dry run
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// Create the user dockremap and its ranges if they are missing, as dockerd does
    #[arg(long)]
    pub create_user: bool,
    /// What cannot simply be shifted
    #[command(flatten)]
    pub obstacles: ObstacleArgs,
    /// The run
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// `idshift docker migrate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    Show every change first:\n    \
    idshift docker migrate --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, migrate, start it remapped:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker migrate --create-user --write-daemon-json\n    \
    systemctl start docker\n  \
    The same by a mount, for a data-root of any size:\n    \
    idshift docker migrate --idmapped --create-user --write-daemon-json\n  \
    Later, make that permanent:\n    \
    idshift docker migrate\n  \
    Undo it, before the daemon is started:\n    \
    idshift rollback latest\n  \
    Go back later, with everything that the daemon made since:\n    \
    idshift docker revert --write-daemon-json\n  \
    Give it to the rootless Docker of the user ann:\n    \
    idshift docker migrate --rootless ann --dry-run\n    \
    idshift docker migrate --rootless ann\n  \
    The same where the home of ann is on another filesystem:\n    \
    idshift docker migrate --rootless ann --copy")]
pub struct MigrateArgs {
    /// Into the rootless daemon of a user
    #[command(flatten)]
    pub rootless: RootlessArgs,
    /// Shift no layers and volumes: show the data-root in the range by an idmapped mount, now and at each
    /// boot (Linux 5.19)
    #[arg(long, conflicts_with_all = ["copy", "rootless"])]
    pub idmapped: bool,
    /// Keep the data-root as it is, and migrate a copy of it (reflinks where the filesystem has them). With
    /// --rootless, the copy may be on another filesystem
    #[arg(long, conflicts_with = "manifest")]
    pub copy: bool,
    /// Also set userns-remap in daemon.json, and remove features.containerd-snapshotter and
    /// features.containerd-migration, which conflict with it. The rest of the file stays
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Set --userns=host for containers that cannot run remapped (privileged, --pid=host, --network=host,
    /// --ipc=host)
    #[arg(long, conflicts_with = "rootless")]
    pub set_userns_host: bool,
    /// Also shift the host directories that containers bind, or that volumes lead to (o=bind, symlinks),
    /// where the audit proposes it. Never parts of the system, never sockets
    #[arg(long)]
    pub bind_mounts: bool,
    /// With --bind-mounts: also homes and files of login accounts, which can no longer use them
    #[arg(long, requires = "bind_mounts")]
    pub allow_home: bool,
    /// The rest
    #[command(flatten)]
    pub both: MigrationArgs,
}

/// `idshift docker revert`
#[derive(Debug, Args)]
#[command(
    mut_arg("create_user", |create| create.help("Create the user dockremap and its ranges if they are missing, as dockerd \
                                                 does. Only helps if the range is that of the data-root again")),
    after_help = "Examples:\n  \
    Show every change first:\n    \
    idshift docker revert --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, migrate back, start it without userns-remap:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker revert --write-daemon-json\n    \
    systemctl start docker\n  \
    Take over what the rootless Docker of the user ann has:\n    \
    idshift docker revert --rootless ann --dry-run\n    \
    idshift docker revert --rootless ann"
)]
pub struct RevertArgs {
    /// From the rootless daemon of a user
    #[command(flatten)]
    pub rootless: RevertRootlessArgs,
    /// Go back to the containerd image store: roll back the migration that converted it. Only possible if
    /// no daemon has run on the result
    #[arg(
        long,
        conflicts_with_all = ["manifest", "bind_mounts", "keep_going", "create_user", "immutable", "allow_outside_links"]
    )]
    pub to_containerd: bool,
    /// Also remove userns-remap from daemon.json. The rest of the file stays. With --to-containerd, the file gets
    /// the content that it had before the migration
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Also shift back the host directories in the range that containers bind, that volumes lead to
    /// (o=bind, symlinks), or that a migration shifted
    #[arg(long)]
    pub bind_mounts: bool,
    /// For a data-root that was migrated with --idmapped: what to do with files that have an id of the range
    /// if idshift cannot tell whether they had it before the migration (for example after a copy of the
    /// data-root). keep: leave the owner. give-back: give them to root, as files that the daemon created
    /// [default: refuse]
    #[arg(
        long,
        value_name = "keep|give-back",
        value_enum,
        hide_possible_values = true,
        conflicts_with = "to_containerd"
    )]
    pub undated: Option<UndatedArg>,
    /// The rest
    #[command(flatten)]
    pub both: MigrationArgs,
}

/// What is done about inodes of which it is not known whether they had an id of the range before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UndatedArg {
    /// They keep their owners.
    Keep,
    /// They lose the range.
    GiveBack,
}

/// `idshift docker rebase`
#[derive(Debug, Args)]
#[command(
    after_help = "MAP is b:0:100000:65536 (several with commas), subid:USER, or a path as for --map-from.\n\n\
    Examples:\n  \
    The lines of dockremap in /etc/subuid and /etc/subgid were changed from 165536 to 100000:\n    \
    idshift docker rebase --from b:0:165536:65536 --dry-run\n    \
    idshift docker rebase --from b:0:165536:65536\n  \
    Before the lines are changed:\n    \
    idshift docker rebase --from subid:dockremap --to b:0:100000:65536\n  \
    Undo it, before the daemon is started:\n    \
    idshift rollback latest"
)]
pub struct RebaseArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// The range that the root is in now
    #[arg(long, value_name = "MAP")]
    pub from: MapSource,
    /// The new range [default: that of the user in userns-remap]
    #[arg(long, value_name = "MAP")]
    pub to: Option<MapSource>,
    /// The dry run
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// What is not changed by default
    #[command(flatten)]
    pub guarded: GuardedArgs,
    /// The run
    #[command(flatten)]
    pub execution: ExecutionArgs,
}
