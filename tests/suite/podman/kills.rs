//! A move of a real Podman's store is killed before and after system calls that change the disk.

use serde_json::Value;

use crate::support::engine_host::Release;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::podman_host::{PodmanHost, USER, state};
use crate::support::switched_off::SwitchedOff;
use crate::support::{Idshift, need_root};

#[test]
fn a_move_survives_a_kill_anywhere() {
    need_root();
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    let host = SwitchedOff::new(host.host);
    let state = || state(|place| host.path(place));
    let made = || {
        state()
            .iter()
            .map(|line| without_what_is_new(line))
            .collect()
    };
    let command =
        |idshift: &Idshift| idshift.command(["podman", "migrate", "--to-user", USER, "--yes"]);
    killed_at_any_place(
        &Killed {
            part: "Podman",
            what: "podman migrate",
            idshift: &|| host.idshift(),
            command: &command,
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`podman migrate` of a real store is finished or undone to the byte",
    );
}

/// Files and directories that a run makes are others each time.
pub(super) fn without_what_is_new(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let object = value.as_object_mut().unwrap();
    for key in ["ino", "atime_ns", "mtime_ns"] {
        object.remove(key);
    }
    value.to_string()
}
