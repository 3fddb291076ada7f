//! What containerd keeps on disk, read while it is stopped. Nothing here writes.
//!
//! - [`bolt`]: the database files of containerd and its snapshotters

pub mod bolt;
