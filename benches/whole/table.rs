//! Medians, spreads and ratios: for people, as JSON, as a plot.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::runs::Series;

/// One line of the result.
pub enum Row {
    /// One program's time to another's.
    Ratio {
        what: String,
        to: String,
        median: f64,
        spread: (f64, f64),
        other_median: f64,
        other_spread: (f64, f64),
        limit: f64,
    },
    /// A figure that has a limit.
    Figure {
        what: String,
        value: f64,
        limit: f64,
    },
    /// A tree of some size.
    Growth {
        inodes: usize,
        idshift: f64,
        chown: f64,
        find: f64,
        fuidshift: f64,
        memory_kib: i64,
    },
}

/// All of them.
#[derive(Default)]
pub struct Table {
    /// Rows in the order they were measured.
    pub rows: Vec<Row>,
    /// Seconds an inode of the mixed tree takes.
    pub per_inode: f64,
}

impl Table {
    /// Adds one program's time to another's; below `limit` is good.
    pub fn ratio(&mut self, what: &str, series: &Series, to: &str, other: &Series, limit: f64) {
        self.rows.push(Row::Ratio {
            what: what.into(),
            to: to.into(),
            median: series.median().seconds,
            spread: series.spread(),
            other_median: other.median().seconds,
            other_spread: other.spread(),
            limit,
        });
    }

    /// Adds a figure; below `limit` is good.
    pub fn figure(&mut self, what: &str, value: f64, limit: f64) {
        self.rows.push(Row::Figure {
            what: what.into(),
            value,
            limit,
        });
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "what                        median s (min-max)    to                 median s (min-max)    ratio  goal\n",
        );
        for row in &self.rows {
            let _ = match row {
                Row::Ratio {
                    what,
                    to,
                    median,
                    spread,
                    other_median,
                    other_spread,
                    limit,
                } => writeln!(
                    text,
                    "{what:<27} {median:>6.3} ({:.3}-{:.3})   {to:<18} {other_median:>6.3} ({:.3}-{:.3})   {:>5.2}  {limit:.2}",
                    spread.0,
                    spread.1,
                    other_spread.0,
                    other_spread.1,
                    median / other_median
                ),
                Row::Figure { what, value, limit } => {
                    writeln!(text, "{what:<90} {value:>5.2}  {limit:.2}")
                }
                Row::Growth {
                    inodes,
                    idshift,
                    chown,
                    find,
                    fuidshift,
                    memory_kib,
                } => writeln!(
                    text,
                    "{inodes:>9} inodes: shift {idshift:.3} s ({:.2} us each, {:.1} MiB), chown -R {chown:.3} s, find {find:.3} s, fuidshift {fuidshift:.3} s",
                    idshift / *inodes as f64 * 1e6,
                    *memory_kib as f64 / 1024.0
                ),
            };
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        self.rows
            .iter()
            .map(|row| match row {
                Row::Ratio {
                    what,
                    to,
                    median,
                    spread,
                    other_median,
                    other_spread,
                    limit,
                } => json!({
                    "what": what, "median_s": median, "spread_s": spread,
                    "to": to, "to_median_s": other_median, "to_spread_s": other_spread,
                    "ratio": median / other_median, "goal": limit,
                }),
                Row::Figure { what, value, limit } => {
                    json!({"what": what, "value": value, "goal": limit})
                }
                Row::Growth {
                    inodes,
                    idshift,
                    chown,
                    find,
                    fuidshift,
                    memory_kib,
                } => json!({
                    "inodes": inodes, "shift_s": idshift, "chown_s": chown, "find_s": find,
                    "fuidshift_s": fuidshift,
                    "memory_kib": memory_kib,
                }),
            })
            .collect()
    }

    /// Time against inodes, as SVG.
    pub fn plot(&self) -> String {
        let points: Vec<(f64, [f64; 4])> = self
            .rows
            .iter()
            .filter_map(|row| match row {
                Row::Growth {
                    inodes,
                    idshift,
                    chown,
                    find,
                    fuidshift,
                    ..
                } => Some((*inodes as f64, [*idshift, *chown, *find, *fuidshift])),
                _ => None,
            })
            .collect();
        let most_inodes = points.iter().map(|point| point.0).fold(1.0, f64::max);
        let most_seconds = points
            .iter()
            .flat_map(|point| point.1)
            .fold(0.001, f64::max);
        let (left, top, width, height) = (60.0, 20.0, 520.0, 300.0);
        let x = |inodes: f64| left + width * inodes / most_inodes;
        let y = |seconds: f64| top + height * (1.0 - seconds / most_seconds);
        let mut svg = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"370\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"720\" height=\"370\" fill=\"white\"/>\n",
        );
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {top} V{} H{}\" fill=\"none\" stroke=\"black\"/>",
            top + height,
            left + width
        );
        for step in 0..=4 {
            let part = f64::from(step) / 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.1} s</text>",
                left - 6.0,
                y(most_seconds * part) + 4.0,
                most_seconds * part
            );
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.0}k</text>",
                x(most_inodes * part),
                top + height + 18.0,
                most_inodes * part / 1000.0
            );
        }
        let names = [
            ("idshift shift", "#1060c0"),
            ("chown -R", "#c03010"),
            ("find -printf", "#888888"),
            ("fuidshift", "#308030"),
        ];
        for (n, (name, colour)) in names.into_iter().enumerate() {
            let line: Vec<String> = std::iter::once((0.0, [0.0; 4]))
                .chain(points.iter().copied())
                .map(|(inodes, seconds)| format!("{:.1},{:.1}", x(inodes), y(seconds[n])))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                line.join(" ")
            );
            if let Some((inodes, seconds)) = points.last() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
                    x(*inodes) + 6.0,
                    y(seconds[n]) + 4.0
                );
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">inodes</text>\n</svg>",
            left + width / 2.0,
            top + height + 40.0
        );
        svg
    }
}
