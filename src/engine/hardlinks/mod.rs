//! Inodes of several names.
//!
//! - `table`: what is known of them while the trees are walked
//! - `verify`: deciding on those whose names all had to be met first

mod table;
pub mod verify;

pub use table::{Deferred, HardLinkTable, Key, LinkedOutside, OutsideLinks, key};
