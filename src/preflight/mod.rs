//! Every check before the first change: one list, which dry run, audit and run all ask.
//!
//! What a check finds is of one of two types, and the type says what a dry run makes of it:
//!
//! - [`PermanentBlocker`]: time does not cure it. The dry run is refused as the run is.
//! - [`TransientBlocker`]: it is so now and can be over later. The dry run goes on and says that a run would be refused now.
//!
//! What the checks need to know of a host:
//!
//! - `system_path`: whether a tree belongs to the running system
//! - `data_root`: whether it is, holds or is part of a Docker data-root
//! - `filesystem`: whether its filesystem keeps the owners that it is given
//! - [`in_use`]: who is using it
//! - [`accounts`]: the accounts of this host that people log in to
//! - [`mount_views`]: whether what is seen of a tree is what is on disk, and is seen once
//! - [`homes`]: whether a tree is theirs
//! - [`host`]: what every run needs of the host and of the process's limits
//! - [`rename_flags`]: whether a filesystem renames as the steps of a migration need it
//! - [`user_namespace`]: whether the ids exist that files are to be given to

pub mod accounts;
mod data_root;
mod filesystem;
pub mod homes;
pub mod host;
pub mod in_use;
pub mod mount_views;
mod permanent;
mod refused_types;
pub mod rename_flags;
mod system_path;
pub mod transient;
mod unsuitable_root;
pub mod user_namespace;

use std::path::Path;

use crate::fs::Root;
use crate::journal::Store;
use accounts::LoginAccounts;

pub use data_root::check_no_data_root;
pub use filesystem::{
    check_filesystem, check_mounts, check_writable, has_project_quotas, help_on_type,
};
pub use permanent::{PermanentBlocker, Places};
pub use system_path::check_system_path;
pub use transient::{TransientBlocker, check_no_other_run};
pub use unsuitable_root::{UnsuitableRoot, check_kind};

/// The trees and the options for the preflight checks.
#[derive(Clone, Copy)]
pub struct Preflight<'a> {
    /// The trees whose inodes change owners.
    pub trees: &'a [Root],
    /// Where the journal goes.
    pub store: &'a Store,
    /// Login accounts whose trees are not changed.
    pub accounts: Option<&'a LoginAccounts>,
    /// Whether a path is left out, given the number of its tree and its place in that.
    pub is_excluded: &'a dyn Fn(usize, &Path) -> bool,
    /// What is mounted below the trees is changed too.
    pub cross_mounts: bool,
    /// Trees that are in use are changed too.
    pub allow_in_use: bool,
    /// System directories are changed too.
    pub allow_system_path: bool,
    /// Whether the trees belong to a service that must be stopped during the run.
    pub service: bool,
}
