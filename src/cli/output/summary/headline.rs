//! The first line of a summary.

use console::{StyledObject, style};

use super::{SummaryKind, SummaryOptions};
use crate::cli::output::text::{count, inodes, seconds};
use crate::engine::{Ending, Report};

pub(super) fn headline(report: &Report, of: SummaryKind, options: SummaryOptions) -> String {
    let (to_stderr, words) = (options.to_stderr, options.words);
    let stats = &report.stats;
    let rate = stats.seen as f64 / report.elapsed.as_secs_f64().max(1e-6);
    let pace = format!("in {} ({}/s)", seconds(report.elapsed), count(rate as u64));
    let of_seen = format!("{} of {}", count(stats.changed), inodes(stats.seen));
    let good = |text: &str| on(style(text).green().bold(), to_stderr);
    let warning = |text: &str| on(style(text).yellow().bold(), to_stderr);
    let bad = |text: &str| on(style(text).red().bold(), to_stderr);
    let dry_run = match stats.left() > 0 || !report.would_refuse.is_empty() {
        true => warning("Dry run"),
        false => good("Dry run"),
    };
    match (&report.ending, of) {
        (Ending::Nothing { why }, _) => format!("Nothing to do: {why}."),
        (Ending::Interrupted, _) => {
            format!("{} after {of_seen} {pace}.", bad("Interrupted"))
        }
        (Ending::RolledBack { .. }, _) => format!(
            "{}: everything is as it was before.",
            bad("Failed and undone")
        ),
        (Ending::Stuck { .. }, _) => {
            format!("{}.", bad("Failed; rollback incomplete"))
        }
        // By a mount.
        (Ending::Done, SummaryKind::Shift | SummaryKind::Rollback)
            if stats.seen <= 1 && stats.changed == 0 && stats.steps > 0 =>
        {
            let done = match of {
                SummaryKind::Rollback => "Rolled back",
                _ => "Done",
            };
            format!(
                "{} in {}; no owner had to change.",
                good(done),
                seconds(report.elapsed)
            )
        }
        (Ending::Done, SummaryKind::Shift) => {
            let done = match (words.shares, words.reverse) {
                (true, _) => "Added ACL entries to",
                (false, true) => "Shifted back",
                (false, false) => "Shifted",
            };
            format!("{} {of_seen} {pace}.", good(done))
        }
        (Ending::Done, SummaryKind::DryRun) => {
            format!("{dry_run}: {of_seen} would change. Scanned {pace}.")
        }
        (Ending::Done, SummaryKind::Rollback) => {
            format!("{} {of_seen} {pace}.", good("Rolled back"))
        }
        (Ending::Done, SummaryKind::RollbackDryRun) => {
            format!("{dry_run}: {of_seen} would be rolled back.")
        }
        (Ending::Done, SummaryKind::Verify) if stats.left() == 0 => format!(
            "{}: all {} are what they should be. Scanned {pace}.",
            good("Verified"),
            inodes(stats.seen)
        ),
        (Ending::Done, SummaryKind::Verify) => format!(
            "{}: {} of {} are not what they should be.",
            bad("Differs"),
            count(stats.left()),
            inodes(stats.seen)
        ),
    }
}

/// Coloured where the stream that it goes to is a terminal that takes colours.
fn on(text: StyledObject<&str>, to_stderr: bool) -> String {
    match to_stderr {
        true => text.for_stderr().to_string(),
        false => text.to_string(),
    }
}
