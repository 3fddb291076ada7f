//! `idshift manifest diff`

use console::style;
use serde_json::{Value, json};

use super::report::source_file;
use crate::cli::args::{DiffArgs, ManifestArgs, ManifestCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::say;
use crate::cli::output::text::{columns, count, path};
use crate::fs::escape::one_line;
use crate::html_report::compare::{Comparison, Difference, compare};

/// Rows of a list without `--verbose`.
const FEW: usize = 10;

/// Rows of a list in JSON.
const MOST: usize = 1000;

/// Runs it.
pub fn run(args: &ManifestArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.command {
        ManifestCommand::Diff(args) => diff(args, invocation),
    }
}

fn diff(args: &DiffArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let file = |name| source_file(name, &args.store);
    let (first, second) = (file(&args.first)?, file(&args.second)?);
    let comparison = compare(&first, &second).map_err(Failure::refused)?;
    invocation.print("done", object(&comparison));
    if !args.output.json && !args.output.quiet {
        print(&comparison, args.output.verbose);
    }
    Ok(match comparison.is_same() {
        true => Exit::Done,
        false => Exit::SomeLeft,
    })
}

fn print(comparison: &Comparison, verbose: bool) {
    for (side, (name, origin)) in ["A", "B"]
        .iter()
        .zip(comparison.names.iter().zip(&comparison.origins))
    {
        say!("{side}: {name} ({origin})");
    }
    if comparison.is_same() {
        let same = style("The same").green().bold();
        say!("{same}: {} compared.", count(comparison.compared));
        return;
    }
    let [only_first, only_second, different] = comparison.counts();
    say!(
        "{}: {} only in A, {} only in B, {} differ, of {}.",
        style("Different").yellow().bold(),
        count(only_first),
        count(only_second),
        count(different),
        count(comparison.compared)
    );
    list("Settings", &comparison.settings, verbose);
    list("What differs", &comparison.entries, verbose);
    list(
        "Renames and rewrites of one of them",
        &comparison.steps,
        verbose,
    );
}

fn list(title: &str, differences: &[Difference], verbose: bool) {
    if differences.is_empty() {
        return;
    }
    say!("\n{title}:");
    let most = if verbose { usize::MAX } else { FEW };
    let mut rows = vec![["", "A", "B"].map(String::from).to_vec()];
    let cell = |side: &Option<String>| side.as_deref().map_or("-".into(), one_line);
    for one in differences.iter().take(most) {
        rows.push(vec![
            path(one.what.as_path()),
            cell(&one.first),
            cell(&one.second),
        ]);
    }
    say!("{}", columns(&rows).trim_end());
    let more = differences.len().saturating_sub(most);
    if more > 0 {
        say!("  and {} more; -v lists them", count(more as u64));
    }
}

fn object(comparison: &Comparison) -> Value {
    let [only_first, only_second, different] = comparison.counts();
    let all = |differences: &[Difference]| {
        let shown = differences.iter().take(MOST);
        shown
            .map(|one| json!({"what": one.what, "a": one.first, "b": one.second}))
            .collect::<Vec<Value>>()
    };
    json!({
        "a": comparison.names[0],
        "b": comparison.names[1],
        "same": comparison.is_same(),
        "compared": comparison.compared,
        "only_in_a": only_first,
        "only_in_b": only_second,
        "different": different,
        "settings": all(&comparison.settings),
        "differences": all(&comparison.entries),
        "steps": all(&comparison.steps),
    })
}
