//! Root's store of a real Podman becomes that of a user's rootless one.

use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::podman_host::{PodmanHost, STORE, USER};
use crate::support::{long, need_root};

/// Podman 5.4, and in the long form 5.8.
pub(super) fn releases() -> Vec<Release> {
    let mut releases = vec![Release::Trixie];
    releases.extend(long().then_some(Release::Forky));
    releases
}

#[test]
fn all_runs_in_the_users_podman() {
    need_root();
    for release in releases() {
        let host = PodmanHost::new(release);
        host.populate();
        let before = host.seen_by_root();
        let there = host.state();
        let audit = host.idshift(&["podman", "audit", "--user", USER]).exits(0);
        assert!(audit.text().contains(STORE), "{audit}");
        migrate(&host, &["--dry-run"]).exits(0);
        same(&there, &host.state(), "after a dry run");

        migrate(&host, &[]).exits(0);
        host.idshift(&["verify", "latest"]).exits(0);
        host.log_out();
        host.idshift(&["rollback", "latest"]).exits(0);
        same(&there, &host.state(), "after a rollback");
        assert_eq!(host.seen_by_root(), before);

        migrate(&host, &[]).exits(0);
        host.log_in();
        assert_eq!(host.seen_by_user(), before);
        host.use_as_user("one");
        host.use_as_user("two");
        assert_eq!(host.root("podman ps -aq; podman images -q"), "");
        host.log_out();
        host.idshift(&["rollback", "latest"])
            .exits(4)
            .says("does not become root's");
    }
}

fn migrate(host: &PodmanHost, more: &[&str]) -> crate::support::Run {
    host.idshift(&[&["podman", "migrate", "--to-user", USER, "--yes"], more].concat())
}
