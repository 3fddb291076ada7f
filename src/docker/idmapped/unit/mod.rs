//! What mounts an idmapped root at boot: a unit of systemd, and a drop-in by which docker.service needs it.
//!
//! - `text`: what the two files hold
//! - `steps`: how a run makes and removes them
//! - `problem`: what is the matter with those that are there

mod problem;
mod steps;
mod text;

pub use problem::problem;
pub use steps::{make, remove};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::docker::daemon_start::DaemonStart;
use crate::fs::escape::shell_word;
use crate::journal::record::Header;
use crate::journal::root_line::RootLine;

/// Where units of this host are.
pub const UNITS: &str = "/etc/systemd/system";

/// The unit.
pub const UNIT: &str = "idshift-docker-mount.service";

/// The directory of drop-ins for docker.service, and ours in it.
const DROP_INS: &str = "docker.service.d";
const DROP_IN: &str = "idshift-mount.conf";

/// That [`reload`] could not.
pub const NOT_RELOADED: &str =
    "systemd could not be told to read its units again: run `systemctl daemon-reload`.";

/// The command that mounts an idmapped root.
pub fn mount_command(data_root: &Path) -> String {
    format!("idshift docker mount --data-root {}", shell_word(data_root))
}

/// What the operator has to do if no unit mounts a root.
pub fn at_boot(data_root: &Path) -> String {
    format!(
        "At boot, run `{}` before the daemon starts, for example in its init script. Without the mount the \
        daemon does not start.",
        mount_command(data_root)
    )
}

/// Where one of the two files is.
fn path_of(names: &[&str]) -> PathBuf {
    let units = PathBuf::from(UNITS);
    names.iter().fold(units, |at, name| at.join(name))
}

/// Whether systemd runs this host.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Makes systemd read its units again if a run has changed some. Returns whether that worked.
pub fn reload(header: &Header) -> bool {
    let of_units = |root: &RootLine| root.path.as_path() == Path::new(UNITS);
    if !has_systemd() || !header.roots.iter().any(of_units) {
        return true;
    }
    let mut systemctl = Command::new("systemctl");
    systemctl.arg("daemon-reload").stdin(Stdio::null());
    let output = systemctl.output();
    output.is_ok_and(|output| output.status.success())
}

/// The directory that holds units, for a plan; `None` where systemd does not run this host.
pub fn units_root() -> Option<PathBuf> {
    let units = fs::canonicalize(UNITS).ok()?;
    (has_systemd() && units == Path::new(UNITS)).then_some(units)
}

/// Whether a run makes the unit for a root of this data-root: docker.service starts a daemon on it.
pub fn is_made(start: &DaemonStart, data_root: &Path) -> bool {
    units_root().is_some() && start.is_service_on(data_root)
}
