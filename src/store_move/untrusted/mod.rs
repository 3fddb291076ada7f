//! What a user wrote and root's engine is to use: a store that comes back from a rootless engine.
//!
//! - `json`: pure: JSON as a program in Go understands it
//! - `entries`: kinds and names of entries
//! - `overlay`: where the files of an overlay driver say that layers are
//! - `tar_split`: which files of a layer an engine reads
//! - `place`: whether others could change what root's engine gets
//! - `reading`: whether paths led to one tree as long as it was read

mod entries;
pub mod json;
mod overlay;
mod place;
mod reading;
mod tar_split;

pub use entries::{first_not_plain, is_plain_file, is_volume_name};
pub use overlay::{is_layer_name, not_layer_directory, overlay_leads_out};
pub use place::check_is_roots;
pub use reading::{begin_reading, check_was_read};
pub use tar_split::first_that_leads_out;
