//! How a record names a tree of its run.

use serde::{Deserialize, Serialize};

use super::name::Name;
use crate::fs::Identity;

/// One tree of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootLine {
    /// Absolute path.
    pub path: Name,
    /// Inode of the top.
    #[serde(flatten)]
    pub identity: Identity,
    /// Only steps are taken in it: no owner below it is changed, and others may be using it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steps_only: bool,
}
