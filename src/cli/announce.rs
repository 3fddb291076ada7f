//! The run that a command acts on: which one is meant, and saying so before it acts.

use std::path::Path;

use crate::cli::args::OutputArgs;
use crate::cli::exit::Failure;
use crate::cli::output::tell;
use crate::cli::output::text;
use crate::idmap::Direction;
use crate::journal::id::{DEFAULT_PLACE, LATEST, argument};
use crate::journal::record::{Header, RunKind};
use crate::journal::{Journal, Store};

/// Roots that are listed on one line.
const FEW: usize = 5;

/// Prints on stderr which run the command acts on, unless the output is quiet.
pub fn announce(acting: &str, journal: &Journal, output: &OutputArgs) {
    if !output.quiet {
        tell!("{acting} {}", run(journal));
    }
}

/// `0007-20260102T030405Z (shift /srv/data, 2026-01-02 03:04:05 UTC)`
fn run(journal: &Journal) -> String {
    let Header {
        command,
        direction,
        roots,
        time,
        ..
    } = &journal.header;
    let reverse = match direction {
        Direction::OutOf if *command != RunKind::DockerRevert => " --reverse",
        _ => "",
    };
    let listed = roots.iter().take(FEW);
    let mut listed: Vec<String> = listed.map(|root| text::path(root.path.as_path())).collect();
    if roots.len() > FEW {
        listed.push(format!("and {} more", roots.len() - FEW));
    }
    format!(
        "{} ({}{reverse} {}, {})",
        argument(&journal.path),
        text::one_line(command.name()),
        listed.join(" "),
        time.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
}

/// Refuses `latest` if the newest run is over. An operator who repeats a command, or does not know
/// that the newest run was undone, does not mean the run before it.
pub fn check_not_over(
    name: &Path,
    journal: &Journal,
    is_over: bool,
    store: &Store,
) -> Result<(), Failure> {
    if name != Path::new(LATEST) || !is_over {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the newest run is {} already: {}. To use an older run, name it: `idshift journal list{}` lists all",
        journal.state,
        run(journal),
        journal_dir(store.place()),
    )))
}

/// The command that undoes a run that is about to be made with its journal in this directory.
pub fn rollback_latest(place: &Path) -> String {
    format!("`idshift rollback{} latest`", journal_dir(place))
}

/// The option that names a journal directory, where it takes one.
fn journal_dir(place: &Path) -> String {
    match place == Path::new(DEFAULT_PLACE) {
        true => String::new(),
        false => format!(" --journal-dir {}", text::shell_word(place)),
    }
}
