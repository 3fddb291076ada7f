//! Medians, spreads and ratios: for people, and as JSON.

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
        limit: Option<f64>,
    },
    /// A figure that has a limit.
    Figure {
        what: String,
        value: f64,
        limit: f64,
    },
    /// A tree of some size.
    Growth(Growth),
    /// The rows that follow were measured on this filesystem.
    Filesystem(&'static str),
}

/// What a tree of some size takes: seconds of each program, and memory.
pub struct Growth {
    pub inodes: usize,
    pub shift: f64,
    /// `chown -R` and `sync -f`.
    pub chown: f64,
    pub find: f64,
    pub fuidshift: f64,
    /// `docker migrate --idmapped` of a data-root that holds it.
    pub idmapped: f64,
    pub memory_kib: i64,
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
    /// Adds one program's time to another's; below `limit`, where there is one, is good.
    pub fn ratio(
        &mut self,
        (what, series): (&str, &Series),
        (to, other): (&str, &Series),
        limit: impl Into<Option<f64>>,
    ) {
        self.rows.push(Row::Ratio {
            what: what.into(),
            to: to.into(),
            median: series.median().seconds,
            spread: series.spread(),
            other_median: other.median().seconds,
            other_spread: other.spread(),
            limit: limit.into(),
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
                    "{what:<27} {median:>6.3} ({:.3}-{:.3})   {to:<18} {other_median:>6.3} ({:.3}-{:.3})   {:>5.2}  {}",
                    spread.0,
                    spread.1,
                    other_spread.0,
                    other_spread.1,
                    median / other_median,
                    limit.map_or_else(String::new, |limit| format!("{limit:.2}"))
                ),
                Row::Figure { what, value, limit } => {
                    writeln!(text, "{what:<90} {value:>5.2}  {limit:.2}")
                }
                Row::Growth(it) => writeln!(
                    text,
                    "{:>9} inodes: shift {:.3} s ({:.2} us each, {:.1} MiB), chown -R and sync -f {:.3} s, find {:.3} s, \
                     fuidshift {:.3} s, migrate --idmapped {:.3} s",
                    it.inodes,
                    it.shift,
                    it.shift / it.inodes as f64 * 1e6,
                    it.memory_kib as f64 / 1024.0,
                    it.chown,
                    it.find,
                    it.fuidshift,
                    it.idmapped,
                ),
                Row::Filesystem(name) => writeln!(text, "\n{name}"),
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
                Row::Growth(it) => json!({
                    "inodes": it.inodes, "shift_s": it.shift, "chown_sync_s": it.chown, "find_s": it.find,
                    "fuidshift_s": it.fuidshift, "migrate_idmapped_s": it.idmapped,
                    "memory_kib": it.memory_kib,
                }),
                Row::Filesystem(name) => json!({"filesystem": name}),
            })
            .collect()
    }
}
