//! The question before a store of Podman's becomes a user's, and root's again.

use std::process::Command;

use super::copy::unread;
use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::need_root;
use crate::support::podman_host::{PodmanHost, USER};
use crate::support::terminal::OnTerminal;

#[test]
fn a_store_changes_hands_only_after_a_yes() {
    need_root();
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    host.root("while grep -qsx -e podman -e conmon /proc/[0-9]*/comm; do sleep 0.1; done");
    let run = |command: &[&str], answer: &str| {
        // nsenter(1), which waits for the program, is not ended by Ctrl-C; the program can be.
        let program = ["env", "--default-signal=INT", "idshift", "podman"];
        let entered = host.host.command(&[&program, command].concat());
        let mut entering = Command::new("env");
        entering
            .arg("--ignore-signal=INT")
            .arg(entered.get_program())
            .args(entered.get_args());
        OnTerminal::run(&entering, 100, answer)
    };
    let asked = |command: &[&str]| {
        let there = unread(&host.state());
        for (answer, code) in [("n\n", 4), ("\x03", 130)] {
            let said = run(command, answer).exits(code).lines().join("\n");
            assert!(said.contains("Continue? [y/N]"), "{command:?}: {said}");
            assert!(said.contains("othing was changed"), "{command:?}: {said}");
            same(
                &there,
                &unread(&host.state()),
                &format!("{command:?} {answer:?}"),
            );
        }
    };
    let (migrate, revert) = (
        ["migrate", "--to-user", USER],
        ["revert", "--from-user", USER],
    );
    asked(&[&migrate[..], &["--copy"]].concat());
    asked(&migrate);
    let moved = run(&[&migrate[..], &["--yes"]].concat(), "").exits(0);
    assert!(!moved.drawn.contains("Continue?"), "{}", moved.drawn);
    host.log_in();
    host.user("podman pod rm --all --force; podman rm --all --force");
    host.log_out();
    host.root("rm -f /run/libpod/alive /dev/shm/libpod_lock");
    asked(&revert);
    run(&revert, "y\n").exits(0);
}
