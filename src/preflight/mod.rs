//! What is checked before anything is changed.
//!
//! - [`accounts`]: the accounts of this host that people log in to
//! - [`homes`]: whether a tree is theirs

pub mod accounts;
pub mod homes;
