//! What the names of idshift's own entries in a store begin with.

/// Something that was set aside.
pub const ASIDE: &str = "idshift-aside-";

pub use crate::journal::step::COPY;

/// What a run keeps out of sight as long as it goes on.
pub const MOVING: &str = "idshift-moving-";
