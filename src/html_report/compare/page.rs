//! A comparison for people.

use super::{Comparison, Difference};
use crate::html_report::contents::shown;
use crate::html_report::contents::{Grade, Report, Table, count_text};

/// As a report of its own.
pub fn report(comparison: &Comparison) -> Report {
    let [only_first, only_second, different] = comparison.counts();
    let (grade, verdict) = match comparison.is_same() {
        true => (
            Grade::Good,
            format!("Both say the same of {}.", count_text(comparison.compared)),
        ),
        false => (
            Grade::Warning,
            format!(
                "Of {} compared, {} are only in A, {} only in B, and {} differ.",
                count_text(comparison.compared),
                count_text(only_first),
                count_text(only_second),
                count_text(different)
            ),
        ),
    };
    let facts = ["A", "B"]
        .iter()
        .zip(&comparison.names)
        .zip(&comparison.origins);
    let facts =
        facts.map(|((side, name), origin)| (side.to_string(), format!("{name} ({origin})")));
    Report {
        title: "A and B compared".into(),
        grade,
        verdict,
        facts: facts.collect(),
        tree: None,
        problems: Some(table("Settings that differ", &comparison.settings)),
        tables: vec![
            table("What differs", &comparison.entries),
            table("Renames and rewrites of one of them", &comparison.steps),
        ],
    }
}

fn table(title: &str, differences: &[Difference]) -> Table {
    let mut table = Table::new(title, &["what", "A", "B"]);
    let cell = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
    for one in differences {
        table.push(vec![
            shown(&one.what.0),
            cell(&one.first),
            cell(&one.second),
        ]);
    }
    table
}
