//! Move file ownership into and out of user-namespace id ranges.

pub mod cli;
pub mod engine;
pub mod fs;
pub mod idmap;
pub mod ownership;
pub mod record;
