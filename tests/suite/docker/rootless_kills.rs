//! A move to a user's rootless daemon is killed before and after system calls that change the disk.

use serde_json::Value;

use super::kills::{Killed, killed_at_any_place, small_host_of_tiny_containers};
use crate::support::docker::*;
use crate::support::rootless::{RootlessUser, USER};
use crate::support::{Idshift, need_root};

const MADE: [&str; 3] = [".local", ".local/share", ".local/share/docker"];

fn without_made_inodes(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let path = value["path"].as_str().unwrap_or_default();
    let below = path.strip_prefix("home/ann/");
    if below.is_some_and(|below| MADE.contains(&below)) {
        value.as_object_mut().unwrap().remove("ino");
    }
    value.to_string()
}

#[test]
fn the_way_to_a_rootless_daemon_survives_a_kill_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let _user = RootlessUser::beside(&host, "ann:300000:65536\n");
    let state = || snapshot(host.beside());
    // Directories that the run makes on the way are others each time.
    let made = || {
        timeless(&state())
            .iter()
            .map(|line| without_made_inodes(line))
            .collect()
    };
    let command = |idshift: &Idshift| {
        let args = docker_args("migrate", &host);
        idshift.command([&args[..], &["--rootless", USER]].concat())
    };
    killed_at_any_place(
        &Killed {
            what: "migrate --rootless",
            command: &command,
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`docker migrate --rootless` of a real data-root is finished or undone to the byte",
    );
}
