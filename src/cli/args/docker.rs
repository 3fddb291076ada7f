//! `idshift docker`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use crate::cli::map::source::MapSource;

use super::common::{Immutable, LimitArgs, ObstacleArgs, OutputArgs, StoreArgs};

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
    /// Tell whether a data-root is ready to be migrated, and what will be different; change nothing
    Audit(AuditArgs),
    /// Carry everything of a stopped plain daemon into the root of a remapped one
    Migrate(MigrateArgs),
    /// Mount a data-root that was migrated with --idmapped, as its unit does at boot
    Mount(MountRootArgs),
    /// Carry everything back into the plain root, for a host that turns userns-remap off again
    Revert(RevertArgs),
    /// Move the root of a stopped remapped daemon to another range, because its lines in /etc/subuid change
    Rebase(RebaseArgs),
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

/// `idshift docker mount`
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it is mounted · 4 it cannot be\n\n\
    Examples:\n  \
    idshift docker mount\n  \
    idshift docker mount --data-root /srv/docker")]
pub struct MountRootArgs {
    /// Docker's data-root [default: as dockerd is started here, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// What `idshift docker migrate` and `revert` both take
#[derive(Debug, Args)]
pub struct MigrationArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Change nothing, say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write everything that would be done to FILE, or to stdout for `-`; compressed if
    /// FILE ends in .zst
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Make the user dockremap and its ranges where they are missing, as dockerd would
    #[arg(long)]
    pub create_user: bool,
    /// What cannot simply be shifted
    #[command(flatten)]
    pub obstacles: ObstacleArgs,
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

/// `idshift docker migrate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See all that would be done:\n    \
    idshift docker migrate --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, migrate, start it remapped:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker migrate --create-user --write-daemon-json\n    \
    systemctl start docker\n  \
    The same by a mount, whatever the size, and no owner is changed:\n    \
    idshift docker migrate --idmapped --create-user --write-daemon-json\n  \
    Later, make that permanent:\n    \
    idshift docker migrate\n  \
    Undo it, before the daemon was started again:\n    \
    idshift rollback latest\n  \
    Go back later, with everything that was made since:\n    \
    idshift docker revert --write-daemon-json")]
pub struct MigrateArgs {
    /// Change no owner: mount the data-root so that its ids are seen in the range (an idmapped mount, Linux 5.19), now
    /// and at every boot
    #[arg(long, conflicts_with = "copy")]
    pub idmapped: bool,
    /// Leave the plain root as it is, and migrate a copy of it (shared content where the filesystem
    /// can)
    #[arg(long, conflicts_with = "manifest")]
    pub copy: bool,
    /// Also set userns-remap in daemon.json; everything else in it stays
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Mark containers that cannot run remapped (privileged, --pid=host, --network=host, --ipc=host)
    /// with --userns=host
    #[arg(long)]
    pub set_userns_host: bool,
    /// Also shift the host directories that containers bind, or that are volumes (o=bind, symlinks),
    /// where the audit proposes it: never parts of the system, never sockets
    #[arg(long)]
    pub bind_mounts: bool,
    /// With --bind-mounts: also homes and files of accounts that people log in to, who can no longer use
    /// them
    #[arg(long, requires = "bind_mounts")]
    pub allow_home: bool,
    /// The rest
    #[command(flatten)]
    pub both: MigrationArgs,
}

/// `idshift docker revert`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See all that would be done:\n    \
    idshift docker revert --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, go back, start it without userns-remap:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker revert --write-daemon-json\n    \
    systemctl start docker")]
pub struct RevertArgs {
    /// Back to the containerd image store that a migration converted: the rollback of that migration. Only as long as
    /// no daemon has been running on its result
    #[arg(long, conflicts_with_all = ["manifest", "bind_mounts", "keep_going", "create_user"])]
    pub to_containerd: bool,
    /// Also take userns-remap out of daemon.json; everything else in it stays
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Also shift back the host directories that containers bind, that are volumes (o=bind, symlinks),
    /// or that a migration shifted, where they are in the range
    #[arg(long)]
    pub bind_mounts: bool,
    /// The rest
    #[command(flatten)]
    pub both: MigrationArgs,
}

/// `idshift docker rebase`
#[derive(Debug, Args)]
#[command(
    after_help = "A MAP is b:0:100000:65536 (several with commas), subid:USER, or the path of a file as for --map-from.\n\n\
    Examples:\n  \
    The lines of dockremap were changed from 165536 to 100000, and the daemon is stopped:\n    \
    idshift docker rebase --from b:0:165536:65536 --dry-run\n    \
    idshift docker rebase --from b:0:165536:65536\n  \
    Before they are changed:\n    \
    idshift docker rebase --from subid:dockremap --to b:0:100000:65536\n  \
    Before the daemon was started again, undo it:\n    \
    idshift rollback latest"
)]
pub struct RebaseArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// The range that the root is in
    #[arg(long, value_name = "MAP")]
    pub from: MapSource,
    /// The range that it is to be in [default: that of the user whom the daemon remaps to, as it is now]
    #[arg(long, value_name = "MAP")]
    pub to: Option<MapSource>,
    /// Change nothing, say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write everything that would be done to FILE, or to stdout for `-`
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Also change files that are hard-linked outside of the data-root
    #[arg(long)]
    pub allow_outside_links: bool,
    /// For files that are immutable or append-only (chattr +i, +a): refuse them, or clear the flag while
    /// they are changed and set it again
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
