//! Docker roots that a rollback of an earlier run finds by their inodes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::data_root::{canonical, is_remapped_name, names};
use super::idmapped;
use crate::fs::{Identity, PinnedFile};
use crate::journal::{Journal, JournalState, Step, Store};
use crate::preflight::in_use::IDMAPPED_ROOT;

/// The remapped roots in this data-root that a run renamed as a whole, where its journal is still there and it was not
/// undone: a converted image store was filled elsewhere first. Made anew in its place, such a root would be another inode,
/// and that run could not be rolled back any more.
pub fn known_roots(store: &Store, data_root: &Path) -> HashSet<Identity> {
    let Ok(top) = canonical(data_root) else {
        return HashSet::new();
    };
    let roots = remapped_roots(&top);
    let mut known = HashSet::new();
    for file in store.files().unwrap_or_default() {
        let Ok(outline) = Journal::outline(&file) else {
            continue;
        };
        let is_of_this = |line: &crate::journal::root_line::RootLine| line.path.as_path() == top;
        let is_first = outline.header.roots.first().is_some_and(is_of_this);
        // What a run makes itself is younger than its journal. A journal may be long.
        let begun = outline.header.time.as_millisecond();
        let is_older = |root: &&Identity| root.born <= begun;
        let mut older = roots.iter().filter(is_older).peekable();
        let is_undone = outline.state == JournalState::Undone;
        if !is_first || is_undone || older.peek().is_none() {
            continue;
        }
        match Journal::open(&file) {
            Ok(journal) => {
                let moved = journal.steps.iter().filter_map(Step::moved);
                let moved: HashSet<Identity> = moved.map(|it| it.identity).collect();
                known.extend(older.filter(|root| moved.contains(root)));
            }
            // It may name any of them.
            Err(_) => known.extend(older),
        }
    }
    known
}

/// Where a daemon has, or had, a root of its own.
fn remapped_roots(top: &Path) -> Vec<Identity> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in names(top).unwrap_or_default() {
        if is_remapped_name(&name) {
            paths.push(top.join(&name));
        }
        if let Some(range) = name.strip_prefix(IDMAPPED_ROOT) {
            let [holder, content] = idmapped::place(range);
            paths.extend([top.join(&holder), top.join(holder).join(content)]);
        }
    }
    let identity = |path: &PathBuf| Some(PinnedFile::path(path).ok()?.stat().ok()?.identity);
    paths.iter().filter_map(identity).collect()
}
