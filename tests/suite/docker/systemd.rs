//! Migrations on whole hosts: systemd starts Docker, as it is configured there.

use std::time::Duration;

use crate::support::engine_host::{EngineHost, Release};
use crate::support::need_root;

#[test]
fn a_migrated_host_has_all_it_had_after_a_reboot() {
    need_root();
    for release in Release::all() {
        let mut host = EngineHost::new(release);
        host.import_tiny("tiny:1");
        host.docker(&[
            "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
        ]);
        // What is mounted for a container that runs goes without saying.
        host.docker(&[
            "run", "-d", "--rm", "--name", "two", "tiny:1", "sleep", "1000",
        ]);
        let audit = host.idshift(&["docker", "audit"]).exits(0);
        assert!(audit.text().contains("1 running: two"), "{audit}");
        assert!(!audit.text().contains("is a mount"), "{audit}");
        host.docker(&["rm", "-f", "two"]);
        host.stop_docker();
        audited(&host, "plain");
        host.idshift(&["docker", "migrate", "--create-user", "--write-daemon-json"])
            .exits(0);
        host.reboot();
        audited(&host, "remapped");
        let audit = host.idshift(&["docker", "audit"]).exits(3);
        assert!(audit.text().starts_with("Remapped already: "), "{audit}");
        let again = host.idshift(&["docker", "migrate"]).exits(4);
        let told = "100000.100000, which is remapped already";
        assert!(again.stderr.contains(told), "{again}");
        assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");
        host.docker(&["start", "-a", "one"]);
        let map = ["run", "--rm", "tiny:1", "cat", "/proc/self/uid_map"];
        assert!(host.docker(&map).contains("100000"), "it is remapped");
    }
}

/// Whose data the audit says there is, with all that the daemon has.
#[track_caller]
fn audited(host: &EngineHost, state: &str) {
    let audit = host.idshift(&["docker", "audit", "--json"]).json();
    assert_eq!(audit["state"], state);
    let counts = ["images", "containers_total", "volumes"];
    assert_eq!(counts.map(|count| audit[count].as_u64()), [Some(1); 3]);
}

/// A container and a volume, its daemon stopped; the user exists.
fn populated(release: Release) -> EngineHost {
    let host = EngineHost::new(release);
    host.import_tiny("tiny:1");
    host.docker(&[
        "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
    ]);
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.stop_docker();
    host
}

const UNIT: &str = "/etc/systemd/system/docker.service.d/override.conf";

/// A drop-in that starts dockerd with these options.
fn drop_in(host: &EngineHost, options: &str) {
    let start = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock";
    host.write(
        UNIT,
        format!("[Service]\nExecStart=\nExecStart={start} {options}\n"),
    );
}

#[test]
fn a_daemon_whose_unit_remaps_is_not_told_so_twice() {
    need_root();
    let host = populated(Release::Bookworm);
    // Debian's unit takes options from there.
    host.write(
        "/etc/default/docker",
        "DOCKER_OPTS=\"--userns-remap=default\"\n",
    );
    let audit = host.idshift(&["docker", "audit"]);
    let text = String::from_utf8_lossy(&audit.stdout);
    assert!(
        text.contains("--userns-remap=default (/etc/default/docker)"),
        "{audit}"
    );
    let migrate = host
        .idshift(&["docker", "migrate", "--write-daemon-json"])
        .exits(0);
    assert!(
        migrate
            .stderr
            .contains("Now start the daemon on /var/lib/docker: /etc/default/docker has"),
        "{migrate}"
    );
    assert!(!host.path("/etc/docker/daemon.json").exists());
    host.start_docker();
    assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");

    // The way back: it would be remapped again.
    host.stop_docker();
    let revert = host
        .idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(4);
    assert!(
        revert
            .stderr
            .contains("/etc/default/docker has --userns-remap=default"),
        "{revert}"
    );
    let revert = host.idshift(&["docker", "revert"]).exits(0);
    assert!(
        revert
            .stderr
            .contains("Remove --userns-remap=default from /etc/default/docker"),
        "{revert}"
    );
    host.write("/etc/default/docker", "");
    host.start_docker();
    assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");
}

#[test]
fn the_daemon_starts_with_what_a_drop_in_says() {
    need_root();
    let host = populated(Release::Trixie);
    // On another data-root, with another configuration file.
    host.sh("mkdir -p /srv && mv /var/lib/docker /srv/docker");
    drop_in(
        &host,
        "--data-root=/srv/docker --config-file /etc/docker/other.json",
    );
    host.write("/etc/docker/other.json", "{}");
    host.start_docker();
    assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");
    // Also from the process that runs.
    let audit = host.idshift(&["docker", "audit", "--json"]);
    assert_eq!(audit.json()["data_root"], "/srv/docker", "{audit}");
    host.stop_docker();
    host.idshift(&["docker", "migrate", "--write-daemon-json"])
        .exits(0);
    assert!(!host.path("/etc/docker/daemon.json").exists());
    host.start_docker();
    assert_eq!(host.docker(&["ps", "-a", "--format", "{{.Names}}"]), "one");
    host.stop_docker();
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);

    // Both say it: the daemon does not start, before as after.
    host.write("/etc/docker/other.json", r#"{"data-root": "/srv/docker"}"#);
    assert!(!host.try_start_docker());
    host.sh("systemctl stop docker.socket docker");
    let run = host
        .idshift(&["docker", "migrate", "--write-daemon-json"])
        .exits(4);
    assert!(
        run.stderr.contains(UNIT) && run.stderr.contains("data-root"),
        "{run}"
    );

    // A root that this daemon does not use.
    host.write("/etc/docker/other.json", "{}");
    drop_in(
        &host,
        "--data-root=/srv/elsewhere --config-file /etc/docker/other.json",
    );
    let args = [
        "docker",
        "migrate",
        "--data-root",
        "/srv/docker",
        "--write-daemon-json",
    ];
    let run = host.idshift(&args).exits(4);
    assert!(
        run.stderr.contains("uses the data-root /srv/elsewhere"),
        "{run}"
    );
    drop_in(
        &host,
        "--data-root=/srv/docker --config-file /etc/docker/other.json",
    );

    // What dockerd itself does not take.
    host.write("/etc/docker/other.json", r#"{"no-such-setting": true}"#);
    let run = host
        .idshift(&["docker", "migrate", "--write-daemon-json"])
        .exits(4);
    assert!(run.stderr.contains("no-such-setting"), "{run}");
    assert!(host.path("/srv/docker/containers").exists());
}

#[test]
fn daemon_json_is_read_as_the_hosts_docker_reads_it() {
    need_root();
    let utf16: Vec<u8> = "\u{feff}{}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let files: [&[u8]; 8] = [
        b"{\"data-root\": \"/var/lib/docker\"}\n{\"userns-remap\": 1}",
        b"{\"userns-remap\": \"nobody-at-all\", \"userns-remap\": \"\"}",
        b"{\"features\": null, \"data-root\": null}",
        b"{\"features\": {\"buildkit\": null}}",
        b"\xef\xbb\xbf{}",
        b"",
        b"{\"debug\": tru}",
        &utf16,
    ];
    for release in Release::all() {
        let host = populated(release);
        for file in files {
            host.write("/etc/docker/daemon.json", file);
            let starts = host.try_start_docker();
            host.sh("systemctl stop docker.socket docker");
            let migrate = host.idshift(&["docker", "migrate", "--dry-run"]);
            let text = String::from_utf8_lossy(file);
            let expected = if starts { Some(0) } else { Some(4) };
            assert_eq!(migrate.code, expected, "{release:?} {text:?} {migrate}");
            // Written, or nothing is done.
            let write = ["docker", "migrate", "--write-daemon-json"];
            let run = host.idshift(&write);
            if run.code == Some(0) {
                host.start_docker();
                assert_eq!(
                    host.docker(&["ps", "-a", "--format", "{{.Names}}"]),
                    "one",
                    "{text:?}"
                );
                host.stop_docker();
                host.idshift(&["docker", "revert"]).exits(0);
            } else {
                assert_eq!(run.code, Some(4), "{text:?} {run}");
                assert_eq!(
                    std::fs::read(host.path("/etc/docker/daemon.json")).unwrap(),
                    file
                );
            }
        }
    }
}

/// Docker is enabled, so it tries to start by itself at each boot.
#[test]
fn a_migration_cut_by_a_reboot_is_finished_or_undone() {
    need_root();
    let args = ["docker", "migrate", "--create-user", "--write-daemon-json"];
    for release in Release::all() {
        let mut host = EngineHost::new(release);
        host.import_tiny("tiny:1");
        host.docker(&[
            "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
        ]);
        host.stop_docker();
        for way in ["resume", "rollback"] {
            let slowly = [&["idshift"], &args[..], &["--rate", "3"]].concat();
            let mut migration = host.command(&slowly).spawn().unwrap();
            let moving = host.path("/var/lib/docker/idshift-moving-100000.100000");
            while !moving.exists() {
                assert!(migration.try_wait().unwrap().is_none(), "too fast");
                std::thread::sleep(Duration::from_millis(5));
            }
            host.cut_power();
            migration.wait().unwrap();
            host.boot();
            assert!(!host.try_start_docker(), "it came up on half of its data");
            let log = host.engine_log();
            assert!(log.contains("not a directory"), "{log}");
            host.idshift(&[way, "latest"]).exits(0);
            host.start_docker();
            let all = host.docker(&["ps", "-a", "--format", "{{.Names}}"]);
            assert_eq!(all, "one", "{way}");
            host.docker(&["start", "-a", "one"]);
            host.stop_docker();
            if way == "resume" {
                host.idshift(&["docker", "revert", "--write-daemon-json"])
                    .exits(0);
            }
        }
    }
}

const MOUNT_UNIT: &str = "/etc/systemd/system/idshift-docker-mount.service";
const MOUNT_DROP_IN: &str = "/etc/systemd/system/docker.service.d/idshift-mount.conf";

fn is_up(host: &EngineHost, container: &str) -> bool {
    let running = ["inspect", "-f", "{{.State.Running}}", container];
    host.docker(&running) == "true"
}

#[test]
fn an_idmapped_root_is_mounted_at_each_boot() {
    need_root();
    for release in Release::all() {
        let mut host = EngineHost::new(release);
        host.import_tiny("tiny:1");
        start_a_container(&host);
        host.stop_docker();
        let args = [
            "docker",
            "migrate",
            "--idmapped",
            "--create-user",
            "--write-daemon-json",
        ];
        host.idshift(&args).exits(0);
        // Undone, and done again.
        host.idshift(&["rollback", "latest"]).exits(0);
        assert!(!host.path(MOUNT_UNIT).exists() && !host.path(MOUNT_DROP_IN).exists());
        host.start_docker();
        assert!(is_up(&host, "up"), "{release:?}: plain");
        host.stop_docker();
        host.idshift(&args).exits(0);
        host.start_docker();
        it_is_mounted_at_boot(&mut host, release);
        without_the_mount_no_daemon_starts(&mut host, release);

        host.stop_docker();
        host.idshift(&["docker", "revert", "--write-daemon-json"])
            .exits(0);
        let drop_ins = host.path("/etc/systemd/system/docker.service.d");
        assert!(!host.path(MOUNT_UNIT).exists() && !drop_ins.exists());
        host.start_docker();
        assert!(is_up(&host, "up"), "{release:?}: reverted");
        host.reboot();
        assert!(is_up(&host, "up"), "{release:?}: reverted, after a reboot");
        let found = host.sh("find /var/lib/docker -xdev -uid +99999 -o -xdev -gid +99999");
        assert_eq!(found, "", "{release:?}");
    }
}

fn start_a_container(host: &EngineHost) {
    let run = [
        "run",
        "-d",
        "--restart",
        "always",
        "--name",
        "up",
        "-v",
        "data:/d",
        "tiny:1",
    ];
    host.docker(&[&run[..], &["sh", "-c", "touch /d/f; sleep 100000"]].concat());
}

fn it_is_mounted_at_boot(host: &mut EngineHost, release: Release) {
    for reboot in [false, true] {
        if reboot {
            host.reboot();
        }
        assert!(is_up(host, "up"), "{release:?}: {}", host.engine_log());
        let map = ["exec", "up", "cat", "/proc/self/uid_map"];
        assert!(
            host.docker(&map).contains("100000"),
            "{release:?}: it is remapped"
        );
    }
    // A power cut is no different.
    host.cut_power();
    host.boot();
    assert!(is_up(host, "up"), "{release:?}: {}", host.engine_log());
}

/// The unit is masked, or fails: the daemon stays down, and says why.
fn without_the_mount_no_daemon_starts(host: &mut EngineHost, release: Release) {
    let unit = host.path(MOUNT_UNIT);
    let text = std::fs::read_to_string(&unit).unwrap();
    let failing = text.replace("ExecStart=", "ExecStart=/bin/false ");
    for (broken, told) in [
        (Some(failing), "A dependency job for docker.service failed"),
        (None, "Unit idshift-docker-mount.service is masked"),
    ] {
        std::fs::remove_file(&unit).unwrap();
        match broken {
            None => std::os::unix::fs::symlink("/dev/null", &unit).unwrap(),
            Some(broken) => std::fs::write(&unit, &broken).unwrap(),
        }
        host.reboot();
        let state = host.run(&["systemctl", "is-active", "docker"]);
        assert_ne!(state.text().trim(), "active", "{release:?} {told}");
        let start = host.run(&["systemctl", "start", "docker"]);
        assert_ne!(start.code, Some(0));
        assert!(start.stderr.contains(told), "{start}");
        let audit = host.idshift(&["docker", "audit"]);
        assert_eq!(audit.code, Some(3), "{audit}");
        for told in ["is missing: no daemon starts on it", MOUNT_UNIT] {
            assert!(audit.text().contains(told), "{told} {audit}");
        }
    }
    // Masked, it is not a file of ours to remove.
    host.idshift(&["docker", "mount"]).exits(0);
    host.idshift(&["docker", "revert"])
        .exits(4)
        .says("systemctl unmask idshift-docker-mount.service");
    std::fs::remove_file(&unit).unwrap();
    std::fs::write(&unit, &text).unwrap();
    host.reboot();
    assert!(is_up(host, "up"), "{release:?}: mended");
}
