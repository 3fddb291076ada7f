//! Options of `idshift docker` about the rootless daemon of a user.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

/// The rootless daemon of a user.
#[derive(Clone, Debug, Args)]
pub struct RootlessArgs {
    /// The user whose rootless Docker gets the data: root in containers is this user, all other ids are those
    /// of the user's lines in /etc/subuid and /etc/subgid
    #[arg(
        long,
        value_name = "USER",
        conflicts_with_all = ["userns_remap", "create_user", "write_daemon_json", "bind_mounts", "keep_going"],
        add = ArgValueCompleter::new(candidates::subid_users)
    )]
    pub rootless: Option<String>,
    /// With --rootless: the data-root of that daemon, on the same filesystem unless there is --copy [default: as
    /// the user's daemon.json says, else .local/share/docker in the user's home]
    #[arg(long, value_name = "DIR", requires = "rootless")]
    pub to: Option<PathBuf>,
}

/// Options of the way back from a user's daemon.
#[derive(Clone, Debug, Args)]
pub struct RevertRootlessArgs {
    /// The user whose rootless Docker has the data, all of which becomes root's
    #[arg(
        long,
        value_name = "USER",
        conflicts_with_all = ["userns_remap", "create_user", "write_daemon_json", "bind_mounts", "keep_going", "to_containerd", "undated", "allow_outside_links"],
        add = ArgValueCompleter::new(candidates::subid_users)
    )]
    pub rootless: Option<String>,
    /// With --rootless: the data-root of that daemon, on the same filesystem [default: .local/share/docker in the
    /// user's home]
    #[arg(long, value_name = "DIR", requires = "rootless")]
    pub from: Option<PathBuf>,
}
