//! A plain data-root becomes that of a user's rootless daemon.
//!
//! Everything in it belongs to the ids of that user then: the user is the container's root, and the user's ranges in
//! `/etc/subuid` and `/etc/subgid` follow from 1 on. `docs/rootless.md` has what was measured.
//!
//! - [`user_config`]: what the user's daemon is told
//! - [`obstacles`]: pure: what is different about a container in a rootless daemon, or does not work
//! - [`recognise`]: whether a data-root is a rootless daemon's
//! - `steps`: what is renamed and made; `rewrite`: what is written anew
//! - `checks`: what must be so before
//! - `metadata`: containers and volumes with the paths that they have there
//! - [`plan`]: all of it together; [`revert`]: the way back
//!
//! What both engines have in common is in [`crate::store_move`].

mod checks;
mod metadata;
pub mod obstacles;
pub mod plan;
pub mod recognise;
pub mod revert;
mod rewrite;
mod steps;
pub mod user_config;

pub use checks::DRIVERS;
