//! What this host offers to remapped containers, tried where it can be.
//!
//! - [`finding`]: one thing that was looked at
//! - [`kernel`]: user namespaces and the calls this program likes to have
//! - [`calls`]: whether the kernel has a system call
//! - [`subids`]: `/etc/subuid` and `/etc/subgid` as a whole
//! - [`filesystem`]: what can be kept on a filesystem
//! - [`runtime`]: the installed container runtime and the daemon
//! - [`security`]: SELinux and AppArmor

pub mod calls;
pub mod filesystem;
pub mod finding;
pub mod kernel;
pub mod runtime;
pub mod security;
pub mod subids;

pub use finding::{Finding, Level};
