//! Inodes of several names, of which not all were met at once.
//!
//! - `look_up`: whether all names of an inode are in the trees at one moment
//! - [`verify`]: deciding on them after the walk

mod look_up;
pub mod verify;
