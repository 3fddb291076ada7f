//! `idshift podman`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::candidates;
use super::common::{ExecutionArgs, GuardedArgs, LimitArgs, OutputArgs, PreviewArgs, StoreArgs};

/// `idshift podman`
#[derive(Debug, Args)]
pub struct PodmanArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PodmanCommand,
}

/// The subcommands of `idshift podman`
#[derive(Debug, Subcommand)]
pub enum PodmanCommand {
    /// Check whether the store of root's Podman can become a user's, and what will be different; change nothing
    Audit(PodmanAuditArgs),
    /// Give the store of root's Podman to a user's rootless Podman: images, containers, volumes and secrets
    Migrate(PodmanMigrateArgs),
    /// Give the store of a user's rootless Podman to root's: images, containers, volumes and secrets
    Revert(PodmanRevertArgs),
}

/// The two stores.
#[derive(Clone, Debug, Args)]
pub struct StoresArgs {
    /// The store of root's Podman [default: graphroot in storage.conf, else /var/lib/containers/storage]
    #[arg(long, value_name = "DIR")]
    pub storage: Option<PathBuf>,
    /// The store of the user, on the same filesystem (with --copy, on any) [default: graphroot in the
    /// user's storage.conf, else .local/share/containers/storage in the user's home]
    #[arg(long, value_name = "DIR")]
    pub target: Option<PathBuf>,
}

/// `idshift podman audit`
#[derive(Debug, Args)]
#[command(
    mut_arg("target", |target| target.help("The store of the user [default: graphroot in the user's storage.conf, else \
                                            .local/share/containers/storage in the user's home]")),
    mut_arg("journal_dir", |dir| dir.help("Directory of the journals: a run that is not finished is reported")),
    after_help = "Exit codes: 0 ready · 3 not ready · 4 it is no store of root's Podman, or cannot be read\n\n\
    Examples:\n  \
    idshift podman audit\n  \
    idshift podman audit --user ann\n  \
    idshift podman audit --user ann --copy"
)]
pub struct PodmanAuditArgs {
    /// The user whose rootless Podman is to have the store
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(candidates::subid_users))]
    pub user: Option<String>,
    /// Check for `podman migrate --copy`, also to another filesystem
    #[arg(long, requires = "user")]
    pub copy: bool,
    /// The stores
    #[command(flatten)]
    pub stores: StoresArgs,
    /// Journals, for runs that are not finished
    #[command(flatten)]
    pub store: StoreArgs,
    /// Its limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift podman migrate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    What will be different, and every change:\n    \
    idshift podman audit --user ann\n    \
    idshift podman migrate --to-user ann --dry-run --manifest plan.jsonl\n  \
    Stop the containers, and give the store to ann:\n    \
    podman stop --all\n    \
    idshift podman migrate --to-user ann\n  \
    The same where the home of ann is on another filesystem:\n    \
    idshift podman migrate --to-user ann --copy\n  \
    Undo it, before ann works with it:\n    \
    idshift rollback latest")]
pub struct PodmanMigrateArgs {
    /// The user whose rootless Podman gets the store: root in containers is this user, all other ids are those
    /// of the user's lines in /etc/subuid and /etc/subgid
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(candidates::subid_users))]
    pub to_user: String,
    /// Keep root's store as it is, and move a copy of it (reflinks where the filesystem has them), which may be on
    /// another filesystem
    #[arg(long, conflicts_with = "manifest")]
    pub copy: bool,
    /// What is not changed by default
    #[command(flatten)]
    pub guarded: GuardedArgs,
    /// Both ways
    #[command(flatten)]
    pub both: PodmanMoveArgs,
}

/// `idshift podman revert`
#[derive(Debug, Args)]
#[command(
    mut_arg("target", |target| target.help("The store of the user's rootless Podman, which is given to root [default: \
                                            graphroot in the user's storage.conf, else .local/share/containers/storage in the \
                                            user's home]")),
    mut_arg("storage", |storage| storage.help("Where root's store will be, on the same filesystem [default: graphroot in \
                                               storage.conf, else /var/lib/containers/storage]")),
    after_help = "Refused: pods, and containers that ask for more of the host than a plain one has.\n\
    Remove them first, and create them again as root.\n\n\
    Examples:\n  \
    End all that ann runs, and see every change:\n    \
    loginctl terminate-user ann\n    \
    idshift podman revert --from-user ann --dry-run --manifest plan.jsonl\n  \
    Give the store of ann to root's Podman:\n    \
    idshift podman revert --from-user ann\n  \
    Undo it, before root works with it:\n    \
    idshift rollback latest"
)]
pub struct PodmanRevertArgs {
    /// The user whose rootless Podman has the store: what belongs to this user becomes root's
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(candidates::subid_users))]
    pub from_user: String,
    /// Both ways
    #[command(flatten)]
    pub both: PodmanMoveArgs,
}

/// What `migrate` and `revert` have in common.
#[derive(Debug, Args)]
pub struct PodmanMoveArgs {
    /// The stores
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The dry run
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// The run
    #[command(flatten)]
    pub execution: ExecutionArgs,
}
