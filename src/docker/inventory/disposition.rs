//! What becomes of what is in and around a data-root.

use serde::Serialize;

/// What happens to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// It moves with the data-root, and its owners are shifted.
    #[serde(rename = "carried")]
    Moved,
    /// It stays where it is, and its owners are shifted.
    ShiftedInPlace,
    /// It stays as it is.
    Left,
    /// The migration is refused because of it.
    Refused,
}

/// What happens to bind mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBinds {
    /// They are surveyed, for a report.
    LookedAt,
    /// They are shifted where that is safe.
    Shifted,
    /// Nothing.
    Left,
}
