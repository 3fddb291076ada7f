//! A command inside a user namespace.

use super::PYTHON;
use std::path::Path;
use std::process::Command;

use super::idshift::Run;
use super::script;

/// Runs a command with `root` as its root directory and as root of a user namespace with this map:
/// as in a container.
pub fn enter(root: &Path, maps: &[&str], command: &[&str]) -> Run {
    let mut helper = Command::new(PYTHON);
    helper
        .arg(script("enter.py"))
        .arg(root)
        .args(maps)
        .arg("--")
        .args(command);
    Run::of(&mut helper)
}
