//! Paths and numbers as people can read them.

use std::path::Path;
use std::time::Duration;

/// Prints to stdout. A reader that has gone away has seen what it wanted: that is no error.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($what)*);
    }};
}
pub(super) use say;

pub use crate::volume::remedy::shell_word;

/// Text that can do a terminal no harm: control characters and those that reorder text are spelled
/// out, but for the newlines of the text itself.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\n' {
                c.to_string()
            } else {
                harmless(c)
            }
        })
        .collect()
}

/// A path on one line of a terminal: newlines are spelled out too.
pub fn path(path: &Path) -> String {
    path.to_string_lossy().chars().map(harmless).collect()
}

fn harmless(c: char) -> String {
    let reorders =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match c.is_control() || reorders {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    }
}

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 inode`, `2 inodes`.
pub fn inodes(n: u64) -> String {
    match n {
        1 => "1 inode".into(),
        _ => format!("{} inodes", count(n)),
    }
}

/// Bytes as B, KiB, MiB.
pub fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// `0.42 s`, `71 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds < 10.0 {
        true => format!("{seconds:.2} s"),
        false => format!("{seconds:.0} s"),
    }
}

/// Rows with their columns under one another; the last is numbers and goes to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    aligned(rows, " ", console::Alignment::Right)
}

/// Rows with their columns under one another.
pub fn columns(rows: &[Vec<String>]) -> String {
    aligned(rows, "  ", console::Alignment::Left)
}

fn aligned(rows: &[Vec<String>], gap: &str, last: console::Alignment) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| console::measure_text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (i, cell) in row.iter().enumerate() {
            let side = match i + 1 == columns {
                true => last,
                false => console::Alignment::Left,
            };
            if i > 0 {
                line.push_str(gap);
            }
            line.push_str(&console::pad_str(cell, widths[i], side, None));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let nasty = Path::new("a\x1b[2J\nb\u{9b}31m\u{202e}c");
        let shown = path(nasty);
        assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
        assert_eq!(shown, "a\\u{1b}[2J\\nb\\u{9b}31m\\u{202e}c");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        let shown = [0, 999, 1000, 12_345, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
