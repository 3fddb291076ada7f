//! A plain data-root becomes that of a user's rootless daemon.
//!
//! Everything in it belongs to the ids of that user then: the user is the container's root, and the user's ranges in
//! `/etc/subuid` and `/etc/subgid` follow from 1 on. `docs/rootless.md` has what was measured.
//!
//! - [`user`]: whose daemon it is, and the map; [`user_config`]: what that daemon is told
//! - [`obstacles`]: pure: what is different about a container in a rootless daemon, or does not work
//! - [`recognise`]: whether a data-root is a rootless daemon's
//! - `layout`: which inode goes through the map
//! - `place`: where the docker root is, and where it is to be
//! - `steps`: what is renamed and made; `rewrite`: what is written anew
//! - `checks`: what must be so before
//! - `metadata`: containers and volumes with the paths that they have there
//! - [`plan`]: all of it together; [`copied_move`]: of a copy; [`revert`]: the way back

mod checks;
pub mod copied_move;
pub(crate) mod layout;
mod metadata;
pub mod obstacles;
pub mod place;
pub mod plan;
pub mod recognise;
pub mod revert;
mod rewrite;
mod steps;
pub mod user;
pub mod user_config;

pub use checks::DRIVERS;
