//! Migrations on whole hosts: systemd starts Docker, as it is configured there.

mod support;

use support::engine_host::{EngineHost, Release};
use support::need_root;

#[test]
fn a_host_that_is_migrated_and_rebooted_has_all_it_had() {
    need_root();
    for release in [Release::Bookworm, Release::Trixie] {
        let mut host = EngineHost::new(release);
        host.import_tiny("tiny:1");
        host.docker(&[
            "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
        ]);
        host.stop_docker();
        host.idshift(&["docker", "migrate", "--create-user", "--write-daemon-json"])
            .exits(0);
        host.reboot();
        assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");
        host.docker(&["start", "-a", "one"]);
        let map = ["run", "--rm", "tiny:1", "cat", "/proc/self/uid_map"];
        assert!(host.docker(&map).contains("100000"), "it is remapped");
    }
}
