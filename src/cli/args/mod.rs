//! What can be said on the command line: one file for each command.

mod binds;
pub mod candidates;
mod check;
mod common;
mod completions;
mod docker;
mod doctor;
mod journal;
mod manifest;
mod map;
pub mod map_source;
mod mount;
mod podman;
mod prepare;
mod report;
mod resume;
mod rollback;
mod rootless;
mod run;
mod shift;
#[cfg(test)]
mod tests;
mod verify;

use clap::{ArgAction, Parser, Subcommand};

use super::version;
pub use binds::BindsArgs;
pub use check::{CheckArgs, ProbeArgs};
pub use common::{
    ConfirmArgs, ExecutionArgs, Immutable, LimitArgs, MapArgs, OutputArgs, PreviewArgs, QuietArgs,
    StoreArgs,
};
pub use completions::{CompletionsArgs, ManArgs, Shell};
pub use docker::{
    AuditArgs, DaemonArgs, DockerArgs, DockerCommand, MigrateArgs, MigrationArgs, MountRootArgs,
    RebaseArgs, RevertArgs, UndatedArg,
};
pub use doctor::DoctorArgs;
pub use journal::{JournalArgs, JournalCommand};
pub use manifest::{DiffArgs, ManifestArgs, ManifestCommand};
pub use map::MapCommandArgs;
pub use mount::{MountArgs, MountsArgs, UmountArgs};
pub use podman::{
    PodmanArgs, PodmanAuditArgs, PodmanCommand, PodmanMigrateArgs, PodmanMoveArgs, PodmanRevertArgs,
};
pub use prepare::PrepareArgs;
pub use report::ReportArgs;
pub use resume::ResumeArgs;
pub use rollback::RollbackArgs;
pub use run::{RunArgs, direction};
pub use shift::ShiftArgs;
pub use verify::VerifyArgs;

/// Move file ownership into and out of user-namespace id ranges.
#[derive(Debug, Parser)]
#[command(
    name = "idshift",
    version = version::SHORT.as_str(),
    long_version = version::LONG.as_str(),
    disable_version_flag = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done · 1 failed and undone · 2 wrong usage · 3 done, but some inodes or files were left, or a check found problems \
                  or differences · 4 refused before the first change · 5 failed, rollback incomplete · 74 done, but output was lost · \
                  130 interrupted\n\n\
                  Look first, then shift, and undo:\n  \
                  idshift shift --dry-run /srv/data\n  \
                  idshift shift /srv/data\n  \
                  idshift rollback latest"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print version; --version also prints features, with --json for programs
    #[arg(short = 'V', long, action = ArgAction::Version, display_order = 1000)]
    version: Option<bool>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shift the ownership of files into an id range, or out of it with --reverse
    Shift(ShiftArgs),
    /// Undo a run: restore the ownership of every inode that it changed
    Rollback(RollbackArgs),
    /// Finish a run that was interrupted or killed
    Resume(ResumeArgs),
    /// Compare the disk with a journal or a map; change nothing
    Verify(VerifyArgs),
    /// List, show, check and remove journals
    Journal(JournalArgs),
    /// Shift host directories for `docker run -v` with userns-remap
    Prepare(PrepareArgs),
    /// Make a host directory of any size ready for containers at once, by an idmapped mount
    Mount(MountArgs),
    /// Unmount an idmapped mount
    Umount(UmountArgs),
    /// List idmapped mounts, and who uses them
    Mounts(MountsArgs),
    /// Test whether a container user can use a host directory
    Check(CheckArgs),
    /// Show an id map, who else has ids of it, and both sides of an id
    Map(MapCommandArgs),
    /// Check whether this host can run remapped containers
    Doctor(DoctorArgs),
    /// Audit and migrate a Docker data-root: userns-remap, rootless, another range, and back
    Docker(DockerArgs),
    /// Give the store of root's Podman to a user's rootless Podman, or back
    Podman(PodmanArgs),
    /// Compare manifests, journals or audits
    Manifest(ManifestArgs),
    /// Make an HTML page of a manifest, an audit or a journal, or of two compared
    Report(ReportArgs),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
    #[command(hide = true)]
    Probe(ProbeArgs),
}
