//! A host with real Podman: root's store, and a user whose rootless Podman runs under a systemd session of its own.
//! `podman/` has the scripts that fill a store, look at it and use it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::docker::snapshot;
use super::engine_host::{EngineHost, Release};
use super::{Run, output, script};

/// The user's name.
pub const USER: &str = "ann";

/// Root's store, as the host sees it.
pub const STORE: &str = "/var/lib/containers/storage";

/// The user's.
pub const USER_STORE: &str = "/home/ann/.local/share/containers/storage";

/// Docker is in the same host, and starts by itself.
const NOT_NEEDED: [&str; 3] = ["docker.service", "docker.socket", "containerd.service"];

/// Limits that root may set without `CAP_SYS_RESOURCE`, and without controllers of control groups.
const CONTAINERS_CONF: &str = r#"[containers]
pids_limit = 0
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
"#;

/// What pam_systemd gets from systemd-logind, which no host of a test has.
const RUNTIME_DIR: &str = "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n";

/// The user's ids. No two tests share any: some look at all processes of a user.
#[derive(Clone, Copy, Debug)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
    /// The first of both of its ranges, with a hole between them.
    ranges: [u32; 2],
}

impl UserIds {
    fn next() -> UserIds {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id() % 500;
        let number = process * 40 + COUNT.fetch_add(1, Ordering::Relaxed) % 40;
        let first = 10_000_000 + number * 200_000;
        UserIds {
            uid: 2100 + number * 2,
            gid: 2101 + number * 2,
            ranges: [first, first + 100_000],
        }
    }

    /// The user's lines in both files of ranges.
    pub fn lines(&self) -> String {
        let [first, second] = self.ranges;
        format!("{USER}:{first}:500\n{USER}:{second}:65036\n")
    }

    /// What uid 1000 of a container is.
    pub fn app(&self) -> u32 {
        self.ranges[1] + 499
    }
}

/// A host that runs, with the user logged in.
pub struct PodmanHost {
    pub host: EngineHost,
    pub ids: UserIds,
}

impl PodmanHost {
    pub fn new(release: Release) -> PodmanHost {
        let host = EngineHost::off(release);
        for unit in NOT_NEEDED {
            symlink("/dev/null", host.path("/etc/systemd/system").join(unit)).unwrap();
        }
        host.write(
            "/etc/systemd/system/user@.service.d/runtime-dir.conf",
            RUNTIME_DIR,
        );
        host.write("/etc/containers/containers.conf", CONTAINERS_CONF);
        let ids = UserIds::next();
        create_user(&host, ids);
        let mut host = PodmanHost { host, ids };
        host.boot();
        host
    }

    /// Switches it on, and logs the user in.
    pub fn boot(&mut self) {
        self.host.boot();
        self.host
            .sh("mkdir /dev/net && mknod -m 666 /dev/net/tun c 10 200");
        self.log_in();
    }

    /// Starts the user's session.
    pub fn log_in(&self) {
        self.host
            .sh(&format!("systemctl start user@{}", self.ids.uid));
    }

    /// Ends all that the user runs, as logging out does.
    pub fn log_out(&self) {
        // systemd-logind removes what the user has in /dev/shm (`RemoveIPC=`).
        self.host.sh(&format!(
            "systemctl stop user@{0} user-runtime-dir@{0}; rm -f /dev/shm/libpod_rootless_lock_{0}",
            self.ids.uid
        ));
    }

    /// A shell script of root's that must work; what it prints.
    pub fn root(&self, text: &str) -> String {
        self.host.sh(text)
    }

    /// A shell script of the user's, whatever comes of it.
    pub fn try_user(&self, text: &str) -> Run {
        let UserIds { uid, gid, .. } = self.ids;
        let run = format!("/run/user/{uid}");
        self.host.run(&[
            "setpriv",
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--clear-groups",
            "env",
            "-C",
            "/home/ann",
            "HOME=/home/ann",
            "USER=ann",
            &format!("XDG_RUNTIME_DIR={run}"),
            &format!("DBUS_SESSION_BUS_ADDRESS=unix:path={run}/bus"),
            "bash",
            "-euo",
            "pipefail",
            "-c",
            text,
        ])
    }

    /// A shell script of the user's that must work; what it prints.
    #[track_caller]
    pub fn user(&self, text: &str) -> String {
        let run = self.try_user(text);
        assert_eq!(run.code, Some(0), "{run}");
        run.text().trim().to_string()
    }

    /// Puts a script of `podman/` into `/shared`; the command that runs it.
    pub fn script(&self, name: &str, args: &str) -> String {
        fs::copy(script("podman").join(name), self.host.shared().join(name)).unwrap();
        format!("bash /shared/{name} {args}")
    }

    /// Fills root's store with one of everything (`populate.sh`).
    pub fn populate(&self) {
        let tar = std::env::var_os("IDSHIFT_TEST_DEBIAN_TAR")
            .expect("IDSHIFT_TEST_DEBIAN_TAR names no root filesystem: run tests/run");
        let plain = self.host.shared().join("debian.tar");
        output(
            "zstd",
            ["-dqf".as_ref(), &*tar, "-o".as_ref(), plain.as_os_str()],
        );
        self.root(&self.script("populate.sh", ""));
        fs::remove_file(plain).unwrap();
        self.wait_for_the_last_podman();
    }

    /// Waits until nothing of root's store is mounted: what cleans up after a container may outlive the command that ran it.
    fn wait_for_the_last_podman(&self) {
        self.root(
            "for _ in $(seq 300); do
                grep -q ' /var/lib/containers/storage/' /proc/self/mountinfo || exit 0; sleep 0.1
             done; cat /proc/self/mountinfo; exit 1",
        );
    }

    /// Fills root's store with little: an image of one program, a container that was run and one that was not, a volume, a
    /// network, a secret.
    pub fn populate_tiny(&self) {
        self.root(
            "mkdir -p /root/tiny/bin; cd /root/tiny; cp /usr/bin/busybox bin
             for name in sh sleep cat ls stat true touch rm chown; do ln -sf busybox bin/$name; done
             tar -c bin | podman import -q - tiny:1
             podman network create net
             echo -n word | podman secret create word -
             podman run --name one --network none --secret word -v vol:/vol tiny:1 sh -c \
                'echo x > /x && chown 7:7 /x && echo y > /vol/y && chown 1000:1000 /vol/y && rm /bin/ls'
             podman create --name two --network net -v vol:/vol tiny:1 sleep 100000",
        );
        self.wait_for_the_last_podman();
    }

    /// What root sees of its Podman, a line for each thing (`see.sh`).
    pub fn seen_by_root(&self) -> BTreeSet<String> {
        lines(&self.root(&self.script("see.sh", "")))
    }

    /// What the user sees of its own.
    #[track_caller]
    pub fn seen_by_user(&self) -> BTreeSet<String> {
        lines(&self.user(&self.script("see.sh", "")))
    }

    /// Uses all that there is, as the user (`use.sh`).
    #[track_caller]
    pub fn use_as_user(&self, name: &str) {
        let args = format!("{name} {} {}", self.ids.uid, self.ids.app());
        self.user(&self.script("use.sh", &args));
    }

    /// The program, in the host.
    pub fn idshift(&self, args: &[&str]) -> Run {
        self.host.idshift(args)
    }

    /// Every inode of the directories that a move changes.
    pub fn state(&self) -> Vec<String> {
        state(|place| self.host.path(place))
    }
}

/// Every inode of the directories that a move changes, where they are seen. The list of secrets, which is written anew, is
/// another inode when that is undone.
pub fn state(path: impl Fn(&str) -> PathBuf) -> Vec<String> {
    let places = ["/var/lib/containers", "/home", "/etc/containers"];
    let all = places.iter().flat_map(|place| snapshot(&path(place)));
    let without_inode = |line: String| {
        let mut value: Value = serde_json::from_str(&line).unwrap();
        let path = value["path"].as_str().unwrap_or_default();
        if !path.ends_with("secrets/secrets.json") {
            return line;
        }
        let object = value.as_object_mut().unwrap();
        object.remove("ino");
        object.remove("atime_ns");
        value.to_string()
    };
    all.map(without_inode).collect()
}

fn create_user(host: &EngineHost, ids: UserIds) {
    let UserIds { uid, gid, .. } = ids;
    append(
        host,
        "/etc/passwd",
        &format!("{USER}:x:{uid}:{gid}::/home/ann:/bin/bash\n"),
    );
    append(host, "/etc/group", &format!("{USER}:x:{gid}:\n"));
    append(
        host,
        "/etc/shadow",
        &format!("{USER}:*:19000:0:99999:7:::\n"),
    );
    for file in ["/etc/subuid", "/etc/subgid"] {
        append(host, file, &ids.lines());
    }
    let home = host.path("/home/ann");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
}

fn append(host: &EngineHost, file: &str, text: &str) {
    let before = fs::read_to_string(host.path(file)).unwrap_or_default();
    host.write(file, before + text);
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(String::from).collect()
}
