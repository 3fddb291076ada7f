//! A report for people.

mod headline;
mod owners;

use std::fmt::Write as _;

use crate::cli::output::run_words::RunWords;
use crate::cli::output::table::{said_of, sentences, width, width_of_stderr};
use crate::cli::output::text::{bytes, count, one_line, path};
use crate::engine::stats::RenamedObstacle;
use crate::engine::{Ending, Problem, ProblemKind, Report};
use crate::journal::id::argument;
use crate::journal::{Journal, JournalError};
use headline::headline;
use owners::owners;

/// The kind of run, which decides the words of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryKind {
    /// `shift`, `resume`
    Shift,
    /// `shift --dry-run`
    DryRun,
    /// `rollback`
    Rollback,
    /// `rollback --dry-run`
    RollbackDryRun,
    /// `verify`
    Verify,
}

/// Problems shown without `--verbose`.
const FEW: usize = 10;

/// Options of a summary.
#[derive(Clone, Copy, Debug)]
pub struct SummaryOptions {
    /// The trees are a Docker daemon's own.
    pub service: bool,
    /// The words for the run.
    pub words: RunWords,
    /// All of long lists.
    pub verbose: bool,
    /// It goes to stderr, not to stdout.
    pub to_stderr: bool,
}

/// How problems are listed: how many, and in how many columns.
#[derive(Clone, Copy)]
struct Listed {
    most: usize,
    width: Option<usize>,
}

/// The summary of a run, several lines.
pub fn summary(report: &Report, of: SummaryKind, options: SummaryOptions) -> String {
    let most = if options.verbose { usize::MAX } else { FEW };
    let width = match options.to_stderr {
        true => width_of_stderr(),
        false => width(),
    };
    let listed = Listed { most, width };
    let mut text = headline(report, of, options);
    text.push('\n');
    let stands = matches!(report.ending, Ending::Done | Ending::Interrupted);
    if of != SummaryKind::Verify && stands {
        owners(&mut text, report);
    }
    if stands {
        rest(&mut text, report, of, options.words);
    }
    list(
        &mut text,
        "mount points not crossed",
        &report.stats.mount_paths,
        report.stats.mounts,
        most,
    );
    list(
        &mut text,
        "new since the run, and left",
        &report.stats.created_paths,
        report.stats.created,
        most,
    );
    match &report.ending {
        Ending::RolledBack { why } => {
            let _ = writeln!(text, "\nWhy it failed:");
            problems(&mut text, why, why.len() as u64, listed);
        }
        Ending::Stuck { why } => {
            let _ = writeln!(text, "\nWhy it failed:");
            problems(&mut text, why, why.len() as u64, listed);
            let left = &report.stats.problems;
            if !left.is_empty() {
                let _ = writeln!(text, "\nWhat could not be undone:");
                problems(&mut text, left, left.len() as u64, listed);
            }
        }
        _ if report.stats.left() > 0 => {
            let title = match of {
                SummaryKind::Verify => "Not as it should be:",
                SummaryKind::DryRun => "What cannot be shifted:",
                _ => "Left as they were:",
            };
            let _ = writeln!(text, "\n{title}");
            problems(
                &mut text,
                &report.stats.problems,
                report.stats.left(),
                listed,
            );
        }
        _ => {}
    }
    if let Some(help) = outside_map_help(report, of, options) {
        let _ = writeln!(text, "\n{}", sentences(&help, width));
    }
    for one in &report.would_refuse {
        let refusal = format!("A real run would be refused now: {one}");
        let _ = writeln!(text, "\n{}", sentences(refusal.trim_end(), width));
    }
    set_aside(&mut text, &report.stats.set_aside, width);
    next_step(&mut text, report, of);
    let goes_on = matches!(report.ending, Ending::Interrupted | Ending::Stuck { .. });
    if options.service && goes_on && report.journal.is_some() {
        text.push_str("\n  Do not start Docker or Podman on it before one of these has ended.\n");
    }
    text
}

/// What helps where a run ends, or would, because an id is outside the map.
fn outside_map_help(report: &Report, of: SummaryKind, options: SummaryOptions) -> Option<String> {
    let (problems, words) = match (&report.ending, of) {
        (Ending::RolledBack { why }, SummaryKind::Shift) => (why, options.words),
        (Ending::Done, SummaryKind::DryRun) => (&report.stats.problems, options.words),
        _ => return None,
    };
    let is_outside = |one: &Problem| one.kind == ProblemKind::OutsideMap;
    if !problems.iter().any(is_outside) {
        return None;
    }
    let mut help = Vec::new();
    if !words.reverse {
        help.push("Give the user a larger range in /etc/subuid and /etc/subgid");
    }
    // Its trees are named on the command line, and so is its map.
    if words.options.exclude {
        help.push("Name a larger map with --map");
        help.push("--exclude leaves paths out");
    }
    if words.options.keep_going {
        help.push("--keep-going leaves these inodes as they are");
    }
    (!help.is_empty()).then(|| help.join(". ") + ".")
}

fn rest(text: &mut String, report: &Report, of: SummaryKind, words: RunWords) {
    let stats = &report.stats;
    let as_wanted = match of {
        SummaryKind::Shift | SummaryKind::DryRun if words.reverse => "already out of the range",
        SummaryKind::Shift | SummaryKind::DryRun => "already shifted",
        SummaryKind::Rollback | SummaryKind::RollbackDryRun => "already as before the run",
        SummaryKind::Verify => "as they should be",
    };
    if stats.steps > 0 {
        let done = match of {
            SummaryKind::Rollback => "also undid",
            SummaryKind::RollbackDryRun => "would also undo",
            SummaryKind::DryRun | SummaryKind::Shift | SummaryKind::Verify => "also",
        };
        let _ = writeln!(text, "  {done} {}", words.steps(stats.steps));
    }
    let facts = [
        (stats.already, as_wanted),
        (stats.excluded, "left out by --exclude"),
        (stats.vanished, "gone before they could be looked at"),
    ];
    for (n, what) in facts {
        if n > 0 && !(of == SummaryKind::Verify && stats.left() == 0 && what == as_wanted) {
            let _ = writeln!(text, "  {} {what}", count(n));
        }
    }
    for glob in &stats.unmatched_excludes {
        let glob = crate::cli::output::text::path(glob.as_path());
        let _ = writeln!(text, "  Warning: --exclude {glob} matched nothing");
    }
}

fn list(text: &mut String, what: &str, paths: &[std::path::PathBuf], all: u64, most: usize) {
    if all == 0 {
        return;
    }
    let _ = writeln!(text, "  {} {what}:", count(all));
    for one in paths.iter().take(most) {
        let _ = writeln!(text, "    {}", path(one));
    }
    let hidden = all - paths.len().min(most) as u64;
    if hidden > 0 {
        let _ = writeln!(text, "    and {} more", count(hidden));
    }
}

fn problems(text: &mut String, problems: &[Problem], all: u64, listed: Listed) {
    let Listed { most, width } = listed;
    for problem in problems.iter().take(most) {
        let place = format!("{}:", path(&problem.path));
        let _ = writeln!(
            text,
            "{}",
            said_of(&place, &one_line(&problem.reason), width)
        );
    }
    let hidden = all - (problems.len().min(most) as u64).min(all);
    if hidden > 0 {
        let _ = writeln!(
            text,
            "  and {} more{}",
            count(hidden),
            match most == FEW {
                true => "; -v lists them",
                false => "",
            }
        );
    }
}

fn set_aside(text: &mut String, all: &[RenamedObstacle], width: Option<usize>) {
    if all.is_empty() {
        return;
    }
    let what = "Other entries were in the way of a step. They were renamed and kept:";
    let _ = writeln!(text, "\n{}", sentences(what, width));
    for RenamedObstacle { from, to } in all {
        let now = format!("is now {}", path(to));
        let _ = writeln!(text, "{}", said_of(&path(from), &now, width));
    }
}

/// The command to run next.
fn next_step(text: &mut String, report: &Report, of: SummaryKind) {
    let Some(journal) = &report.journal else {
        return;
    };
    let name = argument(journal);
    let show = |text: &mut String, what: &str, verb: &str| {
        let _ = writeln!(text, "  {what} idshift {verb} {name}");
    };
    match (&report.ending, of) {
        (Ending::Interrupted, SummaryKind::Shift | SummaryKind::Rollback)
        | (Ending::Stuck { .. }, _) => {
            text.push('\n');
            match Journal::outline(journal) {
                Ok(outline) if outline.can_resume => {
                    show(text, "Go on with:", "resume");
                    show(text, "Undo with: ", "rollback");
                }
                Ok(_) => show(text, "Go on with:", "rollback"),
                Err(JournalError::Io { .. }) => {
                    show(text, "When the journal can be read again:", "rollback");
                }
                Err(error) => _ = writeln!(text, "  The journal cannot be used any more: {error}"),
            }
        }
        (Ending::Done, SummaryKind::Shift) => {
            let size = std::fs::metadata(journal).map_or(0, |metadata| metadata.len());
            let _ = writeln!(text, "\n  Journal:   {} ({})", path(journal), bytes(size));
            show(text, "Undo with:", "rollback");
        }
        (Ending::Done, SummaryKind::Rollback) if report.stats.forcible > 0 => {
            text.push('\n');
            show(
                text,
                "To also restore what was changed since:",
                "rollback --force",
            );
        }
        _ => {}
    }
}
