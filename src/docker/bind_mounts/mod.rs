//! Host directories and files that containers bind: what a remapped container could do there, and
//! what is to be done about it.

pub mod survey;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::guidance::{self, PrepareOption};
use super::owner_stats::OwnerStats;
use super::path_rewriter::real;
use super::remap::Remap;
use crate::fs::escape::shell_word;
use crate::journal::name;
use crate::preflight::accounts::Account;
use crate::preflight::homes::{self, Claim};
use crate::preflight::mount_views::idmapped;
use crate::volume::user::ContainerUser;

/// What to do about a bind mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Nothing: there is no such path.
    NotThere,
    /// Nothing: the container is not remapped.
    NotRemapped,
    /// Nothing: a remapped daemon does not start the service that binds it.
    DoesNotStart,
    /// Nothing: it is in the range already.
    InRange,
    /// Nothing: the container's user can use it as it is.
    Usable,
    /// Never shift it: a socket.
    Socket,
    /// Never shift it: a device.
    Device,
    /// Never shift it: a part of the system, or a directory that contains one.
    System,
    /// Never shift it by hand: it is in the data-root, and the migration handles it.
    DataRoot,
    /// Only shifted with an option: a login account of this host uses it.
    Account,
    /// Nothing: it is in the data-root, and the migration shifts it.
    #[serde(rename = "carried")]
    Moved,
    /// Never shift it through this path: it is seen through an idmapped mount, and its owners on
    /// disk are others.
    Idmapped,
    /// It is to be shifted.
    Prepare,
    /// This container needs it shifted, but that one, which is not remapped, does not.
    Shared(String),
}

/// A host directory or file that a container binds.
#[derive(Clone, Debug, Serialize)]
pub struct BindMount {
    /// The container.
    pub container: String,
    /// On the host.
    #[serde(serialize_with = "name::serialize_path")]
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// The container may not write to it.
    pub read_only: bool,
    /// Its owner and mode on the host; `None` where it is not there.
    pub owner: Option<String>,
    /// Its owner as a remapped container sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_inside: Option<String>,
    /// Whose the entries in it are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<OwnerStats>,
    /// Whom the container runs as; `None` where that cannot be looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<ContainerUser>,
    /// Whether that user, remapped, can read it as it is; `None` where it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// Whether it can write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
    /// Directories above that the container's root may not search; only runc before 1.1 minds.
    #[serde(serialize_with = "name::serialize_paths")]
    pub closed_parents: Vec<PathBuf>,
    /// What to do about it.
    pub kind: Advice,
    /// The account that would lose access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// What that account has to do with it.
    #[serde(skip)]
    pub claim: Option<Claim>,
    /// What to do, for people: a command, where one helps.
    pub advice: String,
}

/// The command that shifts a path out of the range.
pub fn reverse_command(remap: &Remap, path: &Path) -> String {
    if let Some(error) = idmapped(path)
        && let Some(point) = error.idmapped_point()
    {
        return format!(
            "`umount {}`, as an idmapped mount shows it,",
            shell_word(point)
        );
    }
    let home = homes::flag(path);
    let option = PrepareOption::Reverse(&home);
    prepare_command(Some(remap), &option, path)
}

/// The command that shifts a directory into the range though it is an account's of this host.
pub fn prepare_claimed(remap: Option<&Remap>, source: &Path) -> String {
    prepare_command(remap, &PrepareOption::AllowHome, &real(source))
}

/// The command that shifts a directory into the range, or out of it.
fn prepare_command(remap: Option<&Remap>, option: &PrepareOption<'_>, path: &Path) -> String {
    guidance::prepare(remap, option, path)
}

/// The sources that are to be shifted, each tree once.
pub fn to_prepare(mounts: &[BindMount]) -> Vec<PathBuf> {
    let wanted = mounts.iter().filter(|it| it.kind == Advice::Prepare);
    let all: HashSet<PathBuf> = wanted
        .filter_map(|it| std::fs::canonicalize(&it.source).ok())
        .collect();
    let is_inner = |path: &PathBuf| path.ancestors().skip(1).any(|above| all.contains(above));
    let mut outer: Vec<PathBuf> = all.iter().filter(|path| !is_inner(path)).cloned().collect();
    outer.sort();
    outer
}
