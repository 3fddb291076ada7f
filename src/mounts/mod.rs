//! Host directories seen through idmapped mounts: a container's user has its files, whose owners on disk stay.
//!
//! - [`request`]: what is asked for
//! - `planned_mount`: what a mount is to be; [`plan`]: every check before, and the mount
//! - `existing`: the mount that is there already
//! - [`unmount`]: unmounting it again
//! - [`large`]: directories that a mount spares a long run
//! - [`mod@list`]: which there are, and who uses them
//! - [`record`]: what is known of a mount until the next boot
//! - [`mod@unit`]: the systemd unit that makes it at each boot
//! - [`error`]: why not

pub mod error;
mod existing;
pub mod large;
pub mod list;
pub mod plan;
mod planned_mount;
pub mod record;
pub mod request;
pub mod unit;
pub mod unmount;

pub use error::MountError;
pub use list::list;
pub use planned_mount::PlannedMount;
pub use request::{GivenOwner, MountRequest};
pub use unmount::{UnmountRequest, Unmounted};
