//! Inodes of several names.
//!
//! - [`table`]: what is known of them while the trees are walked
//! - `look_up`: whether all names of an inode are in the trees at one moment
//! - [`verify`]: deciding on those whose names all had to be met first

mod look_up;
pub mod table;
pub mod verify;
