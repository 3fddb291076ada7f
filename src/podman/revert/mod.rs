//! A user's store becomes that of root's Podman: its images, containers, volumes and secrets.
//!
//! Its user wrote every byte of it. So it is taken away before anything becomes root's, and only if nobody has changed it
//! since it was read, as with Docker ([`crate::docker::rootless::revert`]). What root's Podman would do more with it than use
//! an image, a volume or a secret, or run a plain container, is refused:
//!
//! - `places`: the two stores
//! - `members`: pure: which members a text of Podman's may have
//! - `layers`: files of layers and images, and what lists them
//! - `volumes`, `secrets`: likewise
//! - `containers`: their settings and files
//! - `steps`: what is renamed, made and written; [`plan`]: all of it together
//!
//! The database is made anew from checked rows ([`super::database::tables`]); the user's stays behind. Contents of images
//! and volumes are not looked at.

mod containers;
mod layers;
mod members;
mod places;
pub mod plan;
mod secrets;
mod steps;
mod volumes;

/// What is taken over of a store. Everything else stays: networks, artifacts.
const TAKEN: [&str; 6] = [
    "overlay",
    "overlay-containers",
    "overlay-images",
    "overlay-layers",
    "secrets",
    "volumes",
];
