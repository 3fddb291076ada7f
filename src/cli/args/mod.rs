//! What can be said on the command line: one file for each command.

mod check;
mod common;
mod completions;
mod docker;
mod doctor;
mod journal;
mod map;
mod mount;
mod prepare;
mod report;
mod resume;
mod rollback;
mod shift;
mod verify;
mod version;

use clap::{Parser, Subcommand};

pub use check::{CheckArgs, ProbeArgs};
pub use common::{Immutable, LimitArgs, MapArgs, OutputArgs, RunArgs};
pub use completions::{CompletionsArgs, ManArgs, Shell};
pub use docker::{
    AuditArgs, DockerArgs, DockerCommand, MigrateArgs, MigrationArgs, MountRootArgs, RebaseArgs,
    RevertArgs,
};
pub use doctor::DoctorArgs;
pub use journal::{JournalArgs, JournalCommand};
pub use map::MapCommandArgs;
pub use mount::{MountArgs, MountsArgs, UmountArgs};
pub use prepare::PrepareArgs;
pub use report::ReportArgs;
pub use resume::ResumeArgs;
pub use rollback::RollbackArgs;
pub use shift::ShiftArgs;
pub use verify::VerifyArgs;

/// Move file ownership into and out of user-namespace id ranges.
#[derive(Debug, Parser)]
#[command(
    name = "idshift",
    version = version::SHORT.as_str(),
    long_version = version::LONG.as_str(),
    max_term_width = 100,
    after_help = "Exit codes: 0 done · 1 failed, and undone · 2 usage · 3 done, some inodes left as they were, or verify, check, audit, doctor or a dry run found problems \
                  · 4 refused before anything was changed · 5 failed, and could not be undone completely · 74 done, but output was lost · 130 interrupted\n\n\
                  Look first, then shift, and undo:\n  \
                  idshift shift --dry-run /srv/data\n  \
                  idshift shift /srv/data\n  \
                  idshift rollback latest"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shift trees into an id range, or out of it with --reverse
    Shift(ShiftArgs),
    /// Undo a run: give every inode back what it had before, to the byte
    Rollback(RollbackArgs),
    /// Finish a run that was interrupted or killed
    Resume(ResumeArgs),
    /// Compare the disk with what a journal or a map says it should be; change nothing
    Verify(VerifyArgs),
    /// Look at journals, and remove old ones
    Journal(JournalArgs),
    /// Make host directories ready for `docker run -v` with userns-remap
    Prepare(PrepareArgs),
    /// Make a host directory ready for containers at once, whatever its size: by an idmapped mount
    Mount(MountArgs),
    /// Take down an idmapped mount
    Umount(UmountArgs),
    /// List idmapped mounts, and who uses them
    Mounts(MountsArgs),
    /// Tell whether a container's user can use a host directory, by trying
    Check(CheckArgs),
    /// Show a map, who else has ids of it, and what one id is on the other side
    Map(MapCommandArgs),
    /// Tell whether this host can run remapped containers
    Doctor(DoctorArgs),
    /// Carry a Docker data-root into userns-remap, or back
    Docker(DockerArgs),
    /// Make a page for people of a manifest, an audit or a journal
    Report(ReportArgs),
    /// Print the script by which a shell completes idshift's command lines
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
    #[command(hide = true)]
    Probe(ProbeArgs),
}
