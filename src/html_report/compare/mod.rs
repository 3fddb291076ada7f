//! Two manifests, two journals or two audits, compared: two hosts, or before and after. Times, inode numbers, hosts and
//! ids of runs do not count.
//!
//! - `side`: what one file says of each path
//! - `difference`: what differs, and in what
//! - `page`: the same for people

mod difference;
mod page;
mod side;

use std::collections::BTreeSet;
use std::path::Path;

use super::error::ReportError;
pub use difference::Difference;
pub use page::report;
use side::Side;

/// What differs between two files.
#[derive(Debug)]
pub struct Comparison {
    /// The two files, as they are named.
    pub names: [String; 2],
    /// Where and when each was made.
    pub origins: [String; 2],
    /// Settings that differ: map, direction, trees, options.
    pub settings: Vec<Difference>,
    /// Paths, or members of an audit, that differ, in order.
    pub entries: Vec<Difference>,
    /// Renames and rewrites that only one of them has.
    pub steps: Vec<Difference>,
    /// Paths, or members, that both have or only one has.
    pub compared: u64,
}

impl Comparison {
    /// Whether they say the same.
    pub fn is_same(&self) -> bool {
        self.settings.is_empty() && self.entries.is_empty() && self.steps.is_empty()
    }

    /// How many paths only the first has, only the second has, and differ.
    pub fn counts(&self) -> [u64; 3] {
        let count = |is_counted: &dyn Fn(&Difference) -> bool| {
            self.entries.iter().filter(|one| is_counted(one)).count() as u64
        };
        [
            count(&|one| one.second.is_none()),
            count(&|one| one.first.is_none()),
            count(&|one| one.first.is_some() && one.second.is_some()),
        ]
    }
}

/// Compares two files of the same kind. Where each has one tree, paths are those below it. All paths of both are kept in
/// memory.
///
/// # Errors
/// [`ReportError`]: one of them cannot be used, or they are of different kinds.
pub fn compare(first: &Path, second: &Path) -> Result<Comparison, ReportError> {
    let (mut a, mut b) = (Side::read(first)?, Side::read(second)?);
    if a.kind != b.kind {
        let reason = format!("it is {}, and the other is {}", b.kind, a.kind);
        return Err(ReportError::bad(second, reason));
    }
    if let ([from], [to]) = (&a.trees[..], &b.trees[..])
        && from != to
    {
        a.name_from_tree();
        b.name_from_tree();
    }
    let listed_by_other_links = side::take_out_linked(&mut a, &mut b);
    let keys: BTreeSet<&Vec<u8>> = a.entries.keys().chain(b.entries.keys()).collect();
    let entries = keys.iter().filter_map(|key| {
        let (one, other) = (a.state(key), b.state(key));
        Difference::between(key, one, other)
    });
    let settings: BTreeSet<&String> = a.settings.keys().chain(b.settings.keys()).collect();
    let settings = settings
        .into_iter()
        .filter_map(|name| Difference::of_texts(name, a.settings.get(name), b.settings.get(name)));
    let steps: BTreeSet<&String> = a.steps.iter().chain(&b.steps).collect();
    let steps = steps
        .into_iter()
        .filter_map(|step| Difference::of_texts(step, a.steps.get(step), b.steps.get(step)));
    Ok(Comparison {
        compared: keys.len() as u64 + listed_by_other_links,
        settings: settings.collect(),
        entries: entries.collect(),
        steps: steps.collect(),
        origins: [a.origin.clone(), b.origin.clone()],
        names: [a.name.clone(), b.name.clone()],
    })
}
