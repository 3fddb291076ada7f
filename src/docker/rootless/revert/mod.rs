//! A rootless data-root becomes that of the plain daemon again, with all that was made in it.
//!
//! Its user wrote every byte of it. So it is taken away before anything becomes root's, and only if nobody has changed it
//! since it was read. What a plain daemon would do more with it than run a plain container is refused:
//!
//! - `json`: pure: metadata as dockerd understands it; `powers`: pure: what it asks of the host
//! - `containers`: the metadata of all containers, as the plain daemon will read it; `networks`: pure: what it says of those
//! - `layers`: where the daemon's own files say that layers are; `tar_split`: which files of them it reads; `shape`: kinds of
//!   entries
//! - `places`: the two data-roots; `steps`: what is renamed; `plan`: all of it together
//!
//! Contents of images and volumes are not looked at: whoever trusts no image of the user's removes it before.

mod containers;
pub(crate) mod json;
mod layers;
mod networks;
mod places;
mod plan;
mod powers;
mod shape;
mod steps;
pub(crate) mod tar_split;

pub(crate) use self::layers::{is_layer_name, overlay_leads_out};
pub(crate) use self::places::check_is_roots;
pub(crate) use self::plan::check_was_read;
pub(crate) use self::shape::{first_not_plain, is_directory, is_volume_name};
pub(crate) use self::steps::{close_step, restrict_step};
use crate::docker::steps::CONTAINERS;

/// What is taken over of a docker root, beside the directory of the storage driver. Everything else stays: databases that
/// the daemon reads without checks, plugins, caches of builds and of pulls.
const TAKEN: [&str; 3] = [CONTAINERS, "image", "volumes"];
