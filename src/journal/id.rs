//! What journals are called, and where they are by default.

use std::path::Path;

use crate::fs::escape::shell_word;

/// Where journals are kept unless `--journal-dir` says otherwise.
pub const DEFAULT_PLACE: &str = "/var/lib/idshift";

/// The name of the newest run's journal.
pub const LATEST: &str = "latest";

/// How the file names of journals end.
pub(super) const SUFFIX: &str = ".jsonl.zst";

/// The journal id in a file's name.
pub fn id_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)
}

/// The argument that names a journal on a command line: its id if it is in the default directory,
/// else its path.
pub fn argument(journal: &Path) -> String {
    match (id_of(journal), journal.parent()) {
        (Some(id), Some(place)) if place == Path::new(DEFAULT_PLACE) => shell_word(Path::new(id)),
        _ => shell_word(journal),
    }
}

/// The number an id begins with; 0 for a file somebody named otherwise.
pub(super) fn number_of(path: &Path) -> u64 {
    let id = id_of(path).unwrap_or_default();
    let digits = id.split('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
