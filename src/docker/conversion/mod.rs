//! Images and containers of the containerd image store become layers of the overlay2 graph driver, offline.
//!
//! A remapped daemon does not use the store (Docker 29), or sees nothing of the plain daemon's in it (23 to 28). So a
//! migration makes of it what the daemon has with a storage driver.
//!
//! - [`plan`]: which snapshot becomes which layer, for every image and container
//! - `reader`: what of the store a plan is made of
//! - [`names`]: pure: what Docker calls what containerd calls `docker.io/library/NAME:TAG`
//! - [`staging`]: all that is new, made in a directory of its own before anything is changed
//!
//! Files of layers are not copied: a snapshot's `fs` is, byte for byte, what the storage driver has as a layer's
//! `diff`, whiteouts and attributes included. It is renamed as a step of the run, and back when that is undone.

pub mod names;
pub mod plan;
mod reader;
pub mod staging;
