//! A rootless data-root becomes that of the plain daemon again, with all that was made in it.
//!
//! Its user wrote every byte of it. So it is taken away before anything becomes root's, and only if nobody has changed it
//! since it was read. What a plain daemon would do more with it than run a plain container is refused:
//!
//! - `powers`: pure: what metadata asks of the host
//! - `containers`: the metadata of all containers, as the plain daemon will read it; `networks`: pure: what it says of those
//! - `layers`: where the daemon's own files say that layers are; `shape`: kinds of entries
//! - `places`: the two data-roots; `plan`: all of it together, and what is renamed
//!
//! [`crate::store_move::untrusted`] has what is asked of Podman's stores, too. Contents of images and volumes are not looked
//! at: whoever trusts no image of the user's removes it before.

mod containers;
mod layers;
mod networks;
mod places;
mod plan;
mod powers;
mod shape;

use crate::docker::steps::CONTAINERS;

/// What is taken over of a docker root, beside the directory of the storage driver. Everything else stays: databases that
/// the daemon reads without checks, plugins, caches of builds and of pulls.
const TAKEN: [&str; 3] = [CONTAINERS, "image", "volumes"];
