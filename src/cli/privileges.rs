//! What a command needs of whoever runs it, told before anything else: what root alone can read would otherwise be
//! taken for missing.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::args::{Command, JournalCommand};
use crate::cli::exit::Failure;
use crate::cli::output::text::path;

/// Refuses a command that would fail because of missing privileges.
///
/// # Errors
/// It takes root.
pub fn check(command: &Command) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    match command {
        Command::Rollback(args) if args.dry_run => {
            journals(&args.execution.store.journal_dir, &args.journal)
        }
        Command::Rollback(_) => Err(takes_root("rollback: changing owners")),
        Command::Resume(_) => Err(takes_root("resume: changing owners")),
        Command::Mount(_) => Err(takes_root(
            "mount: making a mount, and testing whether it can be made,",
        )),
        Command::Umount(_) => Err(takes_root("umount: unmounting")),
        Command::Mounts(_) => Err(takes_root("mounts: finding out who uses a mount")),
        Command::Docker(_) => Err(takes_root("docker: reading a data-root")),
        Command::Podman(_) => Err(takes_root("podman: reading root's store")),
        Command::Verify(args) if !args.map.is_given() => {
            let name = args.what.first().map_or(Path::new(""), |name| name);
            journals(&args.store.journal_dir, name)
        }
        Command::Journal(args) => match &args.command {
            JournalCommand::Show { store, journal, .. }
            | JournalCommand::Check { store, journal, .. } => journals(&store.journal_dir, journal),
            JournalCommand::List { store, .. } | JournalCommand::Prune { store, .. } => {
                journals(&store.journal_dir, Path::new(""))
            }
        },
        // They say so themselves, of what they need.
        Command::Verify(_)
        | Command::Shift(_)
        | Command::Prepare(_)
        | Command::Check(_)
        | Command::Map(_)
        | Command::Doctor(_)
        | Command::Manifest(_)
        | Command::Report(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Probe(_) => Ok(()),
    }
}

/// Journals are private. One that is named by its path may be this user's.
fn journals(dir: &Path, name: &Path) -> Result<(), Failure> {
    let is_roots = match std::fs::metadata(dir) {
        Ok(there) => there.uid() == 0,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    let is_one_name = !name.as_os_str().as_bytes().contains(&b'/');
    match is_roots && is_one_name {
        true => Err(takes_root(&format!(
            "{}: reading root's journals",
            path(dir)
        ))),
        false => Ok(()),
    }
}

fn takes_root(what: &str) -> Failure {
    Failure::refused(format!(
        "{what} needs root, and this process runs as uid {}. Run it with sudo. Nothing was changed",
        nix::unistd::geteuid()
    ))
}
