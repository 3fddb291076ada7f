//! What this host offers to remapped containers, tried where it can be.
//!
//! - [`finding`]: one thing that was looked at
//! - [`idmapped_trial`]: whether directories can be shown with other owners by a mount
//! - [`kernel`]: user namespaces and the calls this program likes to have
//! - [`missing_ranges`]: what a user lacks to be remapped to
//! - [`range_users`]: who else has ids of a map
//! - [`systemd_unit`]: what a unit of systemd may name, and how
//! - [`subid_source`]: where a user's ranges are kept
//! - [`subids`]: `/etc/subuid` and `/etc/subgid` as a whole
//! - [`filesystem`]: what can be kept on a filesystem
//! - [`runtime`]: the installed container runtime and the daemon
//! - [`security`]: SELinux and AppArmor

pub mod filesystem;
pub mod finding;
pub mod idmapped_trial;
pub mod kernel;
pub mod missing_ranges;
pub mod range_users;
pub mod runtime;
pub mod security;
pub mod subid_source;
pub mod subids;
pub mod systemd_unit;

pub use finding::{Finding, Level};
