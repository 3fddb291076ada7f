//! What a store of Podman's holds, and what each part must become when root's is to be a user's, or the other way round.
//!
//! - [`config`]: what `storage.conf` says; `containers_conf`: what `containers.conf` does; `conf_file` reads both
//! - [`store`]: the directory, and what is in it
//! - [`paths`]: pure: the directories that Podman works with, and how paths change
//! - [`database`]: Podman's database, in memory
//! - [`networks`]: networks of Podman's own
//! - [`obstacles`]: pure: what is different about a container in a rootless Podman, or does not work
//! - `steps`: what is renamed, made and written
//! - `places`, `checks`, `in_use`: what must be so of the two places and of the content before, and who uses them
//! - `survey`: what the database says, and what is different there
//! - [`plan`]: all of it together
//! - [`revert`]: the way back
//! - [`audit`]: what an operator should know before
//!
//! What both engines have in common is in [`crate::store_move`]. `docs/podman.md` has what was measured.

pub mod audit;
mod checks;
mod conf_file;
pub mod config;
mod containers_conf;
pub mod database;
mod in_use;
pub mod networks;
pub mod obstacles;
pub mod paths;
mod places;
pub mod plan;
pub mod revert;
mod steps;
pub mod store;
mod survey;

/// How many more there are than the one that is named.
fn and_more(all: usize) -> String {
    match all {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}
