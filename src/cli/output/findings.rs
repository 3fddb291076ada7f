//! What was looked at on a host, for people.

use console::style;

use crate::cli::output::say;
use crate::cli::output::text::one_line;
use crate::host::{Finding, Level};

/// All of one width, with colour and without.
pub fn word(level: Level) -> String {
    match level {
        Level::Ok => style("ok     ").green(),
        Level::Warning => style("warning").yellow(),
        Level::Error => style("error  ").red(),
    }
    .to_string()
}

/// A line each, and another for what helps.
pub fn print(findings: &[Finding]) {
    let widest = findings.iter().map(|finding| finding.what.len()).max();
    let width = widest.unwrap_or(0) + 1;
    for finding in findings {
        let (level, what) = (word(finding.level), finding.what);
        say!("  {level} {what:<width$} {}", one_line(&finding.found));
        if let Some(remedy) = &finding.remedy {
            let mut mark = "->";
            for line in remedy.lines() {
                say!(
                    "  {:indent$} {mark} {}",
                    "",
                    one_line(line),
                    indent = width + 8
                );
                mark = "  ";
            }
        }
    }
}
