//! What starts dockerd on a host: units with drop-ins, init scripts and the snap, as hand-made trees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::isolation::isolate;
use crate::support::{Idshift, Run, data_root, need_root};
use nix::mount::{MsFlags, mount};

/// A host on which nothing starts dockerd, and a data-root that its daemon is to be on.
struct Host {
    root: PathBuf,
    _place: tempfile::TempDir,
}

const SNAP_ROOT: &str = "/var/snap/docker/common/var-lib-docker";

impl Host {
    fn new() -> Host {
        need_root();
        isolate();
        for dir in [
            "/usr/lib/systemd/system",
            "/usr/local/lib",
            "/var",
            "/etc/init.d",
        ] {
            if Path::new(dir).is_dir() {
                let kind = Some("tmpfs");
                mount(kind, dir, kind, MsFlags::empty(), Some("mode=0755")).unwrap();
            }
        }
        for dir in ["/etc/systemd/system", "/etc/conf.d"] {
            let _ = fs::remove_dir_all(dir);
        }
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let root = data_root::filled(&place.path().join("root"));
        Host {
            root,
            _place: place,
        }
    }

    /// `ROOT` stands for the data-root.
    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text.replace("ROOT", self.root.to_str().unwrap())).unwrap();
    }

    fn audit(&self) -> Run {
        Idshift::new().run(["docker", "audit"])
    }

    /// The audit finds the data-root, and says by what.
    fn is_found(&self, source: &str) {
        self.is_found_at(&self.root, source);
    }

    fn is_found_at(&self, root: &Path, source: &str) {
        let run = self.audit();
        let text = run.text();
        let (root, by) = (
            root.display(),
            format!("--data-root={} ({source})", root.display()),
        );
        assert!(text.contains(&format!("{root} has ")), "{run}");
        assert!(text.contains(&by), "{by:?} in {run}");
    }
}

const UNIT: &str = "/usr/lib/systemd/system/docker.service";

#[test]
fn a_unit_with_drop_ins_and_an_environment_file() {
    let host = Host::new();
    host.write(
        UNIT,
        "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n",
    );
    host.write("/etc/default/docker", "DOCKER_OPTS=\"-g ROOT\"\n");
    host.is_found("/etc/default/docker");
    // A drop-in starts it otherwise, and one of the same name in /etc counts before it.
    let run_one = "/run/systemd/system/docker.service.d/50-root.conf";
    host.write(
        run_one,
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --data-root ROOT\n",
    );
    host.is_found(run_one);
    let etc_one = "/etc/systemd/system/docker.service.d/50-root.conf";
    host.write(
        etc_one,
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd \\\n  --data-root=ROOT\n",
    );
    host.is_found(etc_one);
    // What is for all services does not come before that, wherever it is.
    fs::remove_file(etc_one).unwrap();
    host.write(
        "/etc/systemd/system/service.d/50-root.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -g /no\n",
    );
    host.is_found(run_one);
}

#[test]
fn a_unit_that_is_masked_for_the_migration() {
    let host = Host::new();
    host.write(UNIT, "[Service]\nExecStart=/usr/bin/dockerd -g ROOT\n");
    fs::create_dir_all("/etc/systemd/system").unwrap();
    symlink("/dev/null", "/etc/systemd/system/docker.service").unwrap();
    host.is_found(UNIT);
}

#[test]
fn what_the_scripts_of_other_init_systems_read() {
    let host = Host::new();
    host.write("/etc/init.d/docker", "#!/bin/sh\n");
    host.write(
        "/etc/default/docker",
        "# comment\nexport DOCKER_OPTS=\"-D\"\nDOCKER_OPTS=\"$DOCKER_OPTS -g ROOT\" # here\n",
    );
    host.is_found("/etc/default/docker");
    fs::remove_file("/etc/default/docker").unwrap();
    host.write("/etc/conf.d/docker", "DOCKER_OPTS=\"--data-root=ROOT\"\n");
    host.is_found("/etc/conf.d/docker");
}

#[test]
fn the_snap_and_what_a_package_of_before_has_left() {
    let host = Host::new();
    let root = data_root::filled(Path::new(SNAP_ROOT));
    let config = "/var/snap/docker/512/config/daemon.json";
    host.write(config, "{\"userns-remap\":\"nobody-here\"}");
    symlink("512", "/var/snap/docker/current").unwrap();
    // A package that is removed, and not purged, leaves it.
    host.write("/etc/default/docker", "DOCKER_OPTS=\"-g /no\"\n");
    host.is_found_at(&root, "the docker snap");
    let run = host.audit();
    let text = run.text();
    assert!(
        text.contains("nobody-here"),
        "its daemon.json is read: {run}"
    );
    assert!(
        text.contains("--config-file=/var/snap/docker/current/config/daemon.json"),
        "{run}"
    );

    fs::write(config, "{}").unwrap();
    let idshift = Idshift::new();
    let migrate = [
        "docker",
        "migrate",
        "--set-userns-host",
        "--write-daemon-json",
    ];
    idshift.run(migrate).exits(0);
    let text = fs::read_to_string(config).unwrap();
    assert!(text.contains("userns-remap"), "{text}");
    assert!(root.join("100000.100000/overlay2").is_dir());
    idshift.rollback();
    assert_eq!(fs::read_to_string(config).unwrap(), "{}");
}
