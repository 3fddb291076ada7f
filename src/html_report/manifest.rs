//! The report of a manifest.

use std::path::Path;

use super::contents::{Grade, Report, Table, count_text, shown};
use super::error::ReportError;
use super::tree::Tree;
use crate::fs::escape::one_line;
use crate::guidance::Guidance;
use crate::idmap::Direction;
use crate::journal::manifest::{self, ManifestHeader, ManifestLine, SummaryLine};
use crate::journal::root_line::RootLine;

/// Reads it once, line by line.
pub(super) fn read(path: &Path) -> Result<Report, ReportError> {
    let mut header = None;
    let mut summary = None;
    let mut tree = Tree::default();
    let mut problems = Table::new("Left as they are", &["path", "kind", "why"]);
    let mut steps = Table::new("Renames and rewrites", &["step"]);
    for line in manifest::lines(path)? {
        match line?.1 {
            ManifestLine::Header(line) => header = Some(*line),
            ManifestLine::Change(change) => {
                let Some(header) = &header else { continue };
                let (root, below) = split(&header.roots, &change.path.0);
                let mut names: Vec<&[u8]> = below.split(|byte| *byte == b'/').collect();
                // The last one is the inode itself.
                names.pop();
                let names = names.into_iter().filter(|name| !name.is_empty());
                tree.add(root, names, (&change.before, &change.after));
            }
            ManifestLine::Step(step) => {
                let roots = header.as_ref().map(|header| &header.roots[..]);
                steps.push(vec![one_line(&step.describe(roots.unwrap_or_default()))]);
            }
            ManifestLine::Note(note) => {
                let path = shown(&note.path.0);
                problems.push(vec![path, one_line(&note.note), one_line(&note.reason)]);
            }
            ManifestLine::Summary(line) => summary = Some(line),
        }
    }
    let cut = || ReportError::bad(path, "it has no header or no summary, so it is incomplete");
    let (header, summary) = header.zip(summary).ok_or_else(cut)?;
    Ok(report(path, &header, &summary, (tree, problems, steps)))
}

/// What a run does where so many inodes cannot be shifted. A manifest of a plan that also renames is not applied, and not every
/// command that makes such plans leaves inodes.
fn what_a_run_does(left: u64, can_be_applied: bool) -> String {
    let left = count_text(left);
    match can_be_applied {
        true => format!(
            "A run would undo itself, {} (which leaves these {left})",
            Guidance::ApplyKeepsGoing
        ),
        false => format!(
            "A run would undo itself, {} where the command takes it (which leaves these {left})",
            Guidance::KeepGoing
        ),
    }
}

fn report(
    path: &Path,
    header: &ManifestHeader,
    summary: &SummaryLine,
    (tree, problems, steps): (Tree, Table, Table),
) -> Report {
    let left = summary.unmapped + summary.failed;
    let grade = match (left, &summary.would_refuse[..]) {
        (1.., _) => Grade::Bad,
        (0, [_, ..]) => Grade::Warning,
        (0, []) => Grade::Good,
    };
    let seen = count_text(summary.seen);
    let verdict = match left {
        0 => format!(
            "{} of {seen} inodes would change. {}",
            count_text(summary.changed),
            match grade {
                Grade::Warning => "A real run would have been refused when the dry run was made.",
                _ => "No inode stands in the way.",
            }
        ),
        _ => format!(
            "{} of {seen} inodes cannot be shifted. {}.",
            count_text(left),
            what_a_run_does(left, steps.rows.is_empty())
        ),
    };
    let into = match header.direction {
        Direction::Into => "into the range",
        Direction::OutOf => "out of the range",
    };
    let facts = [
        ("Manifest", shown(path.as_os_str().as_encoded_bytes())),
        ("Host", one_line(&header.host)),
        ("Made", format!("{:.0}", header.time)),
        ("By", one_line(&header.tool)),
        ("Direction", into.to_string()),
        ("Map", header.map.to_string()),
        ("Trees", trees(&header.roots)),
        ("Shifted already", count_text(summary.already_shifted)),
    ];
    let mut refused = Table::new("Why a run would have been refused", &["why"]);
    for why in &summary.would_refuse {
        refused.push(vec![one_line(why)]);
    }
    Report {
        title: format!("Dry run on {}", one_line(&header.host)),
        grade,
        verdict,
        facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
        tree: Some(tree),
        problems: Some(problems),
        tables: vec![refused, steps],
    }
}

/// The trees, in words.
pub(super) fn trees(roots: &[RootLine]) -> String {
    let trees = roots.iter().filter(|root| !root.steps_only);
    let paths: Vec<String> = trees.map(|root| shown(&root.path.0)).collect();
    paths.join(", ")
}

/// The root that a path is below, and the rest of it.
fn split<'p>(roots: &'p [RootLine], path: &'p [u8]) -> (&'p [u8], &'p [u8]) {
    let below = |root: &'p RootLine| {
        let rest = path.strip_prefix(&root.path.0[..])?;
        (rest.is_empty() || rest[0] == b'/').then_some((&root.path.0[..], rest))
    };
    let longest = roots
        .iter()
        .filter_map(below)
        .max_by_key(|(root, _)| root.len());
    longest.unwrap_or((b"/", path))
}
