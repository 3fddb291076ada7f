//! Tables, and lines, that fit the terminal. What does not go to a terminal is not wrapped.

use console::{Alignment, Term, measure_text_width, pad_str};

/// No column gets narrower than this: what is left of it would be of no use.
const NARROWEST: usize = 8;

/// Indent of each line.
const INDENT: &str = "  ";

/// Rows with their columns under one another; the last is numbers and goes to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    aligned(rows, " ", Alignment::Right, width())
}

/// Rows with their columns under one another.
pub fn columns(rows: &[Vec<String>]) -> String {
    aligned(rows, "  ", Alignment::Left, width())
}

/// A table with what helps in the last column. Where that does not fit, it is below each row, in one piece: it is
/// to be copied.
pub fn columns_and_remedy(rows: &[Vec<String>]) -> String {
    with_remedy(rows, width())
}

fn with_remedy(rows: &[Vec<String>], fits: Option<usize>) -> String {
    let in_one = aligned(rows, "  ", Alignment::Left, None);
    if fits.is_none_or(|fits| in_one.lines().all(|line| measure_text_width(line) <= fits)) {
        return in_one;
    }
    let heads: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row[..row.len().saturating_sub(1)].to_vec())
        .collect();
    let texts = aligned_rows(&heads, "  ", Alignment::Left, fits);
    let mut text = String::new();
    for (n, (head, row)) in texts.iter().zip(rows).enumerate() {
        text.push_str(head);
        if let Some(remedy) = row.last().filter(|_| n > 0) {
            text.push_str(&format!("{INDENT}  -> {remedy}\n"));
        }
    }
    text
}

/// Columns of the terminal that stdout is.
pub fn width() -> Option<usize> {
    columns_of(&Term::stdout())
}

/// Columns of the terminal that stderr is.
pub fn width_of_stderr() -> Option<usize> {
    columns_of(&Term::stderr())
}

fn columns_of(terminal: &Term) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    Some(columns.into())
}

fn aligned(rows: &[Vec<String>], gap: &str, last: Alignment, fits: Option<usize>) -> String {
    aligned_rows(rows, gap, last, fits).concat()
}

/// The text of each row.
fn aligned_rows(
    rows: &[Vec<String>],
    gap: &str,
    last: Alignment,
    fits: Option<usize>,
) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| measure_text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(width).collect();
    if let Some(fits) = fits {
        let gaps = INDENT.len() + gap.len() * columns.saturating_sub(1);
        shrink(&mut widths, fits.saturating_sub(gaps));
    }
    let mut texts = Vec::new();
    for row in rows {
        let mut text = String::new();
        let cells = row.iter().zip(&widths);
        let cells: Vec<Vec<String>> = cells.map(|(cell, width)| wrap(cell, *width)).collect();
        let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..lines {
            let mut line = String::from(INDENT);
            for (i, cell) in cells.iter().enumerate() {
                let side = match i + 1 == columns {
                    true => last,
                    false => Alignment::Left,
                };
                if i > 0 {
                    line.push_str(gap);
                }
                let part = cell.get(n).map_or("", String::as_str);
                line.push_str(&pad_str(part, widths[i], side, None));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        texts.push(text);
    }
    texts
}

/// Takes from the widest columns until all fit.
fn shrink(widths: &mut [usize], fits: usize) {
    while widths.iter().sum::<usize>() > fits {
        let Some(widest) = widths.iter_mut().max() else {
            return;
        };
        if *widest <= NARROWEST {
            return;
        }
        *widest -= 1;
    }
}

/// Sentences in lines of at most so many columns, each with the indent of the text. What is to be copied stays in one
/// piece, however long: words, and commands in backticks.
pub fn sentences(text: &str, width: Option<usize>) -> String {
    let lines = text.split('\n').map(|line| fold(line, width));
    lines.collect::<Vec<String>>().join("\n")
}

fn fold(text: &str, width: Option<usize>) -> String {
    let (indent, text) = text.split_at(text.len() - text.trim_start_matches(' ').len());
    in_lines(pieces(text), [indent, indent], width)
}

/// What is said of a path, indented, in lines of at most so many columns; those after the first are indented deeper. The
/// path stays in one piece, also with spaces in it.
pub fn said_of(path: &str, text: &str, width: Option<usize>) -> String {
    let all = [vec![path.to_string()], pieces(text)].concat();
    let deeper = format!("{INDENT}{INDENT}");
    in_lines(all, [INDENT, &deeper], width)
}

/// Words, and commands in backticks.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut is_command = false;
    for word in text.split(' ') {
        match pieces.last_mut().filter(|_| is_command) {
            Some(command) => *command += &format!(" {word}"),
            None => pieces.push(word.to_string()),
        }
        is_command ^= word.matches('`').count() % 2 == 1;
    }
    pieces
}

/// The first line begins with the first indent, the others with the second.
fn in_lines(pieces: Vec<String>, indents: [&str; 2], width: Option<usize>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let fits = |line: &str| {
            let takes = measure_text_width(line) + 1 + measure_text_width(&piece);
            width.is_none_or(|width| takes <= width)
        };
        match lines.last_mut() {
            Some(line) if fits(line) => *line += &format!(" {piece}"),
            Some(_) => lines.push(format!("{}{piece}", indents[1])),
            None => lines.push(format!("{}{piece}", indents[0])),
        }
    }
    lines.join("\n")
}

/// Lines of at most so many columns, cut at spaces; a word that is longer is cut anywhere.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    if measure_text_width(text) <= width {
        return vec![text.to_string()];
    }
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = measure_text_width(word);
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        for c in word.chars() {
            let c = c.to_string();
            let wide = measure_text_width(&c);
            if used > 0 && used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, &c);
            used += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

/// Text of at most so many columns, with `…` in the place of its middle: the begin says where, the end says what.
pub fn cut_middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_string();
    }
    let chars: Vec<char> = text.chars().collect();
    let kept = width.saturating_sub(1);
    let fitting = |chars: &mut dyn Iterator<Item = &char>, most: usize| {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += measure_text_width(&c.to_string());
                used <= most
            })
            .count()
    };
    let head = fitting(&mut chars.iter(), kept / 3);
    let tail = fitting(&mut chars.iter().rev(), kept - kept / 3);
    let (head, tail) = (&chars[..head], &chars[chars.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests;
