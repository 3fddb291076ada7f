//! What the daemon is told of images beside `features`: where that would hide them, audit, dry run and run refuse alike.

use super::{DAEMON_JSON, SNAPSHOTTER};
use crate::docker::store_images::{MIGRATE, STOP};
use crate::docker::store_refusals::all_refuse;
use crate::support::engine_host::{EngineHost, Release};
use crate::support::need_root;

const DROP_IN: &str = "/etc/systemd/system/docker.service.d/options.conf";

fn dockerd(host: &EngineHost, options: &str) {
    let unit = format!("[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// {options}\n");
    host.write(DROP_IN, unit);
}

#[test]
fn options_that_would_hide_images_are_refused() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    dockerd(&host, "--containerd-namespace prod");
    host.boot();
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.import_tiny("prod:1");
    host.docker(&["volume", "create", "data"]);
    host.sh(STOP);
    // An image that no daemon would show any more.
    all_refuse(&host, &[DROP_IN, "--containerd-namespace=prod"]);
    // Nothing tells which daemon it is of.
    let other = [MIGRATE, &["--daemon-json", "/root/other.json"]].concat();
    let run = host.idshift(&other).exits(4);
    assert!(run.stderr.contains("has no namespace moby"), "{run}");

    dockerd(&host, "");
    host.sh("systemctl start containerd");
    host.start_docker();
    host.import_tiny("tiny:1");
    host.sh(STOP);
    for (options, word) in [
        ("-s overlayfs", "--storage-driver=overlayfs"),
        (
            "--feature containerd-snapshotter",
            "--feature=containerd-snapshotter",
        ),
    ] {
        dockerd(&host, options);
        all_refuse_or_not_ready(&host, &[DROP_IN, word]);
    }
    dockerd(&host, "-s overlay2 --feature containerd-snapshotter=false");
    let run = host.idshift(MIGRATE).exits(0);
    assert!(run.stderr.contains("1 image and 0 containers"), "{run}");
}

/// The audit has what is no matter of the store among its findings.
fn all_refuse_or_not_ready(host: &EngineHost, words: &[&str]) {
    let dry_run = [MIGRATE, &["--dry-run"]].concat();
    for args in [MIGRATE, &dry_run, &["docker", "audit"]] {
        let run = host.idshift(args);
        assert!(matches!(run.code, Some(3 | 4)), "{run}");
        let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        for word in words {
            assert!(told.contains(word), "{word} in {run}");
        }
    }
}
