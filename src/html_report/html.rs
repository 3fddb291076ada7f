//! The page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::contents::{Grade, Report, Table, count_text, shown};
use super::picture::picture;
use super::tree::{Dir, Tree};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The report as one HTML document.
pub fn page(report: &Report) -> String {
    let grade = match report.grade {
        Grade::Good => "good",
        Grade::Warning => "warning",
        Grade::Bad => "bad",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (report.title) }
                    p class={ "verdict " (grade) } { (report.verdict) }
                }
                dl {
                    @for (name, value) in &report.facts {
                        div { dt { (name) } dd { (value) } }
                    }
                }
                @if let Some(problems) = report.problems.as_ref().filter(|table| !table.rows.is_empty()) {
                    (table_of(problems))
                }
                @if let Some(tree) = report.tree.as_ref().filter(|tree| tree.inodes() > 0) {
                    (owners(tree))
                    (picture(tree))
                    (directories(tree))
                }
                @for table in report.tables.iter().filter(|table| !table.rows.is_empty()) {
                    (table_of(table))
                }
                footer { "Made by idshift " (env!("CARGO_PKG_VERSION")) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn table_of(table: &Table) -> Markup {
    html! {
        section {
            h2 { (table.title) }
            @if let Some(note) = &table.note { p { (note) } }
            div.wide {
                table {
                    thead {
                        tr {
                            @for (n, column) in table.columns.iter().enumerate() {
                                th class=[has_numbers(table, n).then_some("number")] { (column) }
                            }
                        }
                    }
                    tbody {
                        @for row in &table.rows {
                            tr { @for cell in row { td class=[is_number(cell).then_some("number")] { (cell) } } }
                        }
                    }
                }
            }
            @if table.more > 0 { p { "And " (table.more) " more." } }
        }
    }
}

/// Whether all cells of this column are numbers.
fn has_numbers(table: &Table, column: usize) -> bool {
    let mut cells = table.rows.iter().filter_map(|row| row.get(column));
    cells.all(|cell| is_number(cell))
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty()
        && cell
            .chars()
            .all(|letter| letter.is_ascii_digit() || letter == ',')
}

/// Owners before and after.
fn owners(tree: &Tree) -> Markup {
    let mut table = Table::new("Owners", &["before", "after", "inodes"]);
    for (((uid, gid), (new_uid, new_gid)), count) in tree.owners() {
        table.push(vec![
            format!("{uid}:{gid}"),
            format!("{new_uid}:{new_gid}"),
            count_text(count),
        ]);
    }
    table_of(&table)
}

/// Directories of most inodes, with their paths.
fn directories(tree: &Tree) -> Markup {
    const SHOWN: usize = 500;
    let mut all: Vec<(Vec<u8>, &Dir)> = Vec::new();
    let mut stack: Vec<(Vec<u8>, &Dir)> = tree
        .roots
        .iter()
        .map(|(path, dir)| (path.clone(), dir))
        .collect();
    while let Some((path, dir)) = stack.pop() {
        for (name, below) in &dir.dirs {
            let mut path = path.clone();
            path.push(b'/');
            path.extend_from_slice(name);
            stack.push((path, below));
        }
        all.push((path, dir));
    }
    all.sort_by(|(path, dir), (other_path, other)| {
        other
            .inodes
            .cmp(&dir.inodes)
            .then_with(|| path.cmp(other_path))
    });
    let more = all.len().saturating_sub(SHOWN);
    let mut table = Table {
        note: Some("Inodes that change, in a directory and below it.".into()),
        more: more as u64,
        ..Table::new("Directories", &["directory", "inodes"])
    };
    for (path, dir) in all.into_iter().take(SHOWN) {
        table.push(vec![shown(&path), count_text(dir.inodes)]);
    }
    table_of(&table)
}
