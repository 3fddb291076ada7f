//! Move file ownership into and out of user-namespace id ranges.

pub mod idmap;
pub mod ownership;
