//! What was looked at on a host, for people.

use console::style;
use serde::Serialize;
use serde_json::Value;

use crate::cli::exit::Failure;
use crate::cli::output::text::one_line;
use crate::cli::output::{say, table};
use crate::host::{Finding, Level};

/// Columns of the longest word.
const WORD: usize = "warning".len();

/// A narrower column would be of no use.
const NARROWEST: usize = 20;

/// All of one width, with colour and without.
pub fn word(level: Level) -> String {
    match level {
        Level::Ok => style("ok     ").green(),
        Level::Warning => style("warning").yellow(),
        Level::Error => style("error  ").red(),
    }
    .to_string()
}

/// What an audit comes to, in two or three words.
pub fn verdict(worst: Level) -> String {
    match worst {
        Level::Ok => style("Ready").green(),
        Level::Warning => style("Ready, with warnings").yellow(),
        Level::Error => style("Not ready").red(),
    }
    .bold()
    .to_string()
}

/// The object of an audit: what it found, and what that comes to.
///
/// # Errors
/// It cannot be written as JSON.
pub fn object(audit: &impl Serialize, verdict: Level) -> Result<Value, Failure> {
    let mut object = serde_json::to_value(audit).map_err(Failure::refused)?;
    object["verdict"] = serde_json::to_value(verdict).map_err(Failure::refused)?;
    Ok(object)
}

/// A line each, and another for what helps. A command is to be copied, and never wrapped.
pub fn print(findings: &[Finding]) {
    let widest = findings.iter().map(|finding| finding.what.len()).max();
    let width = widest.unwrap_or(0) + 1;
    for finding in findings {
        let (level, what) = (word(finding.level), finding.what);
        let indent = "  ".len() + WORD + 1 + width + 1;
        let room = table::width().map_or(usize::MAX, |columns| columns.saturating_sub(indent));
        let fitting = |text: &str| table::sentences(&one_line(text), Some(room.max(NARROWEST)));
        let found = fitting(&finding.found);
        let mut lines = found.lines();
        let first = lines.next().unwrap_or_default();
        say!("  {level} {what:<width$} {first}");
        for line in lines {
            say!("{:indent$}{line}", "");
        }
        if let Some(remedy) = &finding.remedy {
            let sentences = remedy.lines().map(|line| match line.contains('`') {
                true => {
                    table::sentences(&one_line(line), Some(room.saturating_sub(3).max(NARROWEST)))
                }
                false => one_line(line),
            });
            let sentences = sentences.collect::<Vec<String>>().join("\n");
            let mut mark = "->";
            for line in sentences.lines() {
                say!("{:indent$}{mark} {line}", "");
                mark = "  ";
            }
        }
    }
}
