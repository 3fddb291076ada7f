//! A remapped daemon was tried on a host whose images are in containerd: audit, dry run and run judge its root alike.

use super::{DAEMON_JSON, REMAPPED, SNAPSHOTTER, host_with_store};
use crate::support::Run;
use crate::support::engine_host::EngineHost;
use crate::support::need_root;

const MIGRATE: &[&str] = &["docker", "migrate", "--write-daemon-json"];
const STOP: &str = "systemctl stop docker.socket docker containerd";
const MERGED: &str = "wo roots cannot be merged";

/// A remapped daemon runs, does this, and ends.
fn remapped_daemon(host: &EngineHost, what: impl FnOnce(&EngineHost)) {
    host.write(DAEMON_JSON, REMAPPED);
    host.sh("systemctl start containerd");
    host.start_docker();
    what(host);
    host.sh(STOP);
    host.write(DAEMON_JSON, SNAPSHOTTER);
}

fn text(run: &Run) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_unused_remapped_root_beside_the_store_is_set_aside() {
    need_root();
    let host = host_with_store();
    host.sh("systemctl stop docker.socket docker");
    remapped_daemon(&host, |_| {});

    let dry_run = [MIGRATE, &["--dry-run"]].concat();
    let audit = host.idshift(&["docker", "audit"]).exits(0);
    assert!(
        text(&audit).contains("100000.100000 is there and unused; it is renamed and kept"),
        "{audit}"
    );
    assert!(!text(&audit).contains(MERGED), "{audit}");
    let revert = host.idshift(&["docker", "revert", "--dry-run"]).exits(4);
    assert!(
        text(&revert).contains("is plain already. `idshift docker migrate` moves it"),
        "{revert}"
    );
    host.idshift(&dry_run).exits(0);
    let run = host.idshift(MIGRATE).exits(0);
    assert!(text(&run).contains("idshift-aside-100000.100000"), "{run}");
    host.idshift(&["rollback", "latest"]).exits(0);

    // With an image, it is used, though no container or volume tells.
    remapped_daemon(&host, |host| host.import_tiny("remapped:1"));
    let holds = "images in the containerd image store";
    let audit = host.idshift(&["docker", "audit"]).exits(3);
    let both = format!("100000.100000 holds {holds}; the plain root holds {holds}");
    assert!(text(&audit).contains(&both), "{audit}");
    assert_eq!(text(&audit).matches(MERGED).count(), 1, "{audit}");
    for args in [&dry_run[..], MIGRATE] {
        let run = host.idshift(args).exits(4);
        assert!(
            text(&run).contains(&format!(
                "100000.100000: holds {holds} of a daemon that ran remapped. T{MERGED}"
            )),
            "{run}"
        );
    }
}
