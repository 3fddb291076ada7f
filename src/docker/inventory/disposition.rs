//! What becomes of what is in and around a data-root.

use serde::Serialize;

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// It goes along with the data-root, and its owners are shifted.
    Carried,
    /// It stays where it is, and its owners are shifted.
    ShiftedInPlace,
    /// It stays as it is.
    Left,
    /// Nothing is carried as long as it is so.
    Refused,
}

/// What becomes of what containers bind of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBinds {
    /// It is looked at, for people.
    LookedAt,
    /// It is shifted where that is safe.
    Shifted,
    /// Nothing.
    Left,
}
