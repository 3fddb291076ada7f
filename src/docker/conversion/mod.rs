//! Images and containers of the containerd image store become layers of the overlay2 graph driver, offline.
//!
//! A remapped daemon does not use the store (Docker 29), or sees nothing of the plain daemon's in it (23 to 28). So a
//! migration makes of it what the daemon has with a storage driver.
//!
//! - [`plan`]: which snapshot becomes which layer, for every image and container; [`planner`] works it out
//! - [`lookup`]: one image or container
//! - `reader`: what of the store a plan is made of; `images`: which manifest an image is carried by
//! - [`names`]: pure: what Docker calls what containerd calls `docker.io/library/NAME:TAG`
//! - `containers`, `gone_image`: containers, also those whose image is gone; `init_layer`: what Docker puts into them
//! - [`summary`]: what an operator should know of it
//! - [`staging`]: all that is new, made in a directory of its own before anything is changed; `fill`, `copy_files`: what is
//!   in it; [`check`]: the same reading, for a dry run; `layer_reader`: reading one layer
//! - [`leftover`]: what one that was cut short left
//! - [`requirements`]: what it asks of the host
//!
//! A snapshot's `fs` is, byte for byte, what the storage driver has as a layer's `diff`, whiteouts and attributes
//! included. It is renamed as a step of the run, and back when that is undone; or copied, where it lies on another
//! filesystem or is to stay. A layer that has no snapshot is unpacked from its blob.

pub mod check;
mod containers;
mod copy_files;
mod fill;
mod gone_image;
mod images;
mod init_layer;
mod layer_reader;
pub mod leftover;
pub mod lookup;
pub mod names;
pub mod plan;
pub mod planner;
pub mod reader;
pub mod requirements;
pub mod staging;
pub mod summary;

pub use reader::SNAPSHOTTER;
