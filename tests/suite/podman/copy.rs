//! `podman migrate --copy`: root's store stays, and a copy of it becomes a user's, also on another filesystem.

use serde_json::Value;

use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::podman_host::{PodmanHost, USER, state};
use crate::support::switched_off::SwitchedOff;
use crate::support::{Idshift, Run, long, need_root};

const COPY: &str = "/srv/idshift-copy-podman-ann";

/// Reading changes access times.
pub(super) fn unread(lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("atime_ns");
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

fn migrate_to(host: &PodmanHost, target: &str, more: &[&str]) -> Run {
    let args = ["podman", "migrate", "--yes", "--to-user", USER, "--target"];
    host.idshift(&[&args[..], &[target], more].concat())
}

#[test]
fn another_filesystem_gets_a_copy_that_runs() {
    need_root();
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    host.root(
        "mount -t tmpfs -o mode=755 none /srv; mount -t tmpfs -o mode=755,size=64k none /mnt",
    );
    let target = "/srv/ann/store";
    let migrate = |more: &[&str]| migrate_to(&host, target, more);
    // What cleans up after a container goes on when `podman run` has ended.
    host.root("while grep -qsx -e podman -e conmon /proc/[0-9]*/comm; do sleep 0.1; done");
    let start = unread(&host.state());
    migrate(&[]).exits(4).says("Add --copy");
    let audit = |more: &[&str]| {
        let args = ["podman", "audit", "--user", USER, "--target", target];
        host.idshift(&[&args[..], more].concat())
    };
    let without = audit(&[]).exits(3);
    assert!(without.text().contains("Add --copy"), "{without}");
    let with = audit(&["--copy"]).exits(0);
    assert!(with.text().contains("Ready"), "{with}");
    migrate(&["--copy", "--dry-run"])
        .exits(0)
        .says("would stay as it is");
    for more in [&["--copy"][..], &["--copy", "--dry-run"]] {
        migrate_to(&host, "/mnt/ann/store", more)
            .exits(4)
            .says("a copy needs");
    }
    assert_eq!(host.root("ls /srv /mnt").trim(), "/mnt:\n\n/srv:");

    migrate(&["--copy"]).exits(0).says("stays as it is");
    same(&start, &unread(&host.state()), "root's store");
    host.idshift(&["verify", "latest"]).exits(0);
    for more in [&["--copy"][..], &["--copy", "--dry-run"]] {
        migrate_to(&host, "/srv/ann/second", more)
            .exits(4)
            .says("is what a rollback of an earlier --copy needs")
            .says(&format!("`rm -r {COPY}`"));
    }
    host.log_out();
    host.idshift(&["rollback", "latest"])
        .exits(0)
        .says(&format!("rm -rf {COPY}"));
    // What is not Podman's is not copied.
    let all = |top: &str| {
        host.root(&format!(
            "cd {top}; find . -mindepth 1 -path ./tmp -prune -o -type d -printf '%P %m %U:%G %T@\n' \
             -o -printf '%P %y %m %U:%G %n %s %T@ %l\n' | sort; \
             find . -type f -print0 | sort -z | xargs -0 sha256sum; getfattr -dhRm - . | sort"
        ))
    };
    assert_eq!(all("/var/lib/containers/storage"), all(COPY));
    migrate(&["--copy"]).exits(4).says("may be nowhere else");
    host.root(&format!("rm -rf {COPY}"));

    migrate(&["--copy"]).exits(0);
    host.log_in();
    host.user(&format!(
        "mkdir -p .config/containers; printf '[storage]\\ndriver = \"overlay\"\\ngraphroot = \"{target}\"\\n' \
         >.config/containers/storage.conf"
    ));
    let seen = "podman ps -a --format '{{.Names}}' | sort; podman run --rm --network none -v vol:/vol tiny:1 cat /vol/y; \
                podman start two; podman stop -t 0 two";
    assert_eq!(host.user(seen), "one\ntwo\ny\ntwo\ntwo");
    assert_eq!(host.root(seen).trim(), "one\ntwo\ny\ntwo\ntwo");
}

/// Files and directories that a run makes are others each time, and so is the copy.
fn without_what_is_new(lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let object = value.as_object_mut().unwrap();
        for key in ["ino", "atime_ns", "mtime_ns", "blocks"] {
            object.remove(key);
        }
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

/// The short form has that of Docker, whose engine is the same.
#[test]
fn a_move_of_a_copy_survives_a_kill_anywhere() {
    need_root();
    if !long() {
        return;
    }
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    let host = SwitchedOff::new(host.host);
    let is_other = |line: &String| !line.contains("\"path\":\"idshift-copy-podman-ann");
    let state = || {
        let mut lines = unread(&state(|place| host.path(place)));
        lines.retain(is_other);
        lines
    };
    let made = || without_what_is_new(&state());
    let command = |idshift: &Idshift| {
        idshift.command(["podman", "migrate", "--to-user", USER, "--yes", "--copy"])
    };
    let without_copy = || {
        host.sh("rm -rf /home/idshift-copy-podman-ann");
        host.idshift()
    };
    killed_at_any_place(
        &Killed {
            part: "Podman",
            what: "podman migrate --copy",
            idshift: &without_copy,
            command: &command,
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`podman migrate --copy` of a real store is finished or undone to the byte",
    );
}
