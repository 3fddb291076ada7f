//! Data-roots to carry, and what a user sees of them.

use super::PYTHON;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::daemon::{Daemon, Host};
use super::{Idshift, Run, output, script};

pub const REMAPPED: &[&str] = &["--userns-remap=default"];

/// What a user sees of a daemon's data.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub images: String,
    pub volumes: String,
    pub networks: String,
    /// Container names with what each changed in its image.
    pub containers: BTreeMap<String, Vec<String>>,
    pub saved: String,
}

pub fn seen(daemon: &Daemon<'_>) -> Seen {
    let names = daemon.docker(&["ps", "-a", "--format", "{{.Names}}"]);
    let changes = |name: &str| {
        let mut lines: Vec<String> = daemon
            .docker(&["diff", name])
            .lines()
            .map(String::from)
            .collect();
        lines.sort();
        (name.to_string(), lines)
    };
    let list = |args: &[&str]| {
        let mut lines: Vec<String> = daemon.docker(args).lines().map(String::from).collect();
        lines.sort();
        lines.join("\n")
    };
    Seen {
        images: list(&[
            "images",
            "--no-trunc",
            "--format",
            "{{.ID}} {{.Repository}}:{{.Tag}}",
        ]),
        volumes: list(&["volume", "ls", "-q"]),
        networks: list(&[
            "network",
            "ls",
            "--no-trunc",
            "--format",
            "{{.ID}} {{.Name}}",
        ]),
        containers: names.lines().map(changes).collect(),
        saved: saved(daemon),
    }
}

/// The checksum of an image as `docker save` gives it.
pub fn saved(daemon: &Daemon<'_>) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    daemon.docker(&["save", "-o", path, "app:1"]);
    String::from_utf8(output("sha256sum", [path]).stdout).unwrap()[..64].to_string()
}

/// Containers and volumes of every kind; none runs when it ends.
pub fn populate(daemon: &Daemon<'_>, bind: &Path) {
    daemon.build_images();
    daemon.docker(&["network", "create", "--internal", "net1"]);
    daemon.docker(&["volume", "create", "named"]);
    let work = "echo hi > /home/app/f; chown app /home/app/f; echo v > /n/v; chown 1000:1000 /n /n/v; \
                setfacl -m u:1000:rwx /home/app/f; rm -f /opt/dir/y; echo anon > /data/a; \
                setcap cap_net_raw+ep /usr/local/bin/asroot; mkdir -p /opt/new; mkfifo -m 600 /opt/new/p || true";
    daemon.docker(&[
        "run",
        "--network",
        "none",
        "--name",
        "written",
        "-v",
        "named:/n",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        work,
    ]);
    let bind = format!("{}:/bind", bind.display());
    daemon.docker(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "sleeper",
        "-v",
        &bind,
        "app:1",
        "sleep",
        "1000",
    ]);
    daemon.docker(&["stop", "-t", "0", "sleeper"]);
    daemon.docker(&[
        "create",
        "--name",
        "privileged",
        "--privileged",
        "app:1",
        "true",
    ]);
    daemon.docker(&[
        "create",
        "--name",
        "hostns",
        "--userns=host",
        "--network",
        "none",
        "app:1",
        "true",
    ]);
    // Mounted when it is used: what is in there is somebody else's.
    let device = format!("device={}", bind.split(':').next().unwrap());
    daemon.docker(&[
        "volume",
        "create",
        "--opt",
        "type=none",
        "--opt",
        "o=bind",
        "--opt",
        &device,
        "elsewhere",
    ]);
}

/// Every inode of a tree, told by a program that shares no code with ours. Left out is what renames
/// and rewrites cannot keep: times and sizes of directories, inode numbers of rewritten files.
pub fn snapshot(top: &Path) -> Vec<String> {
    let out = output(PYTHON, [script("snapshot.py").as_path(), top]).stdout;
    let mut lines: Vec<String> = Vec::new();
    for line in String::from_utf8(out).unwrap().lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let object = value.as_object_mut().unwrap();
        let path = object
            .get("path")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_string();
        if object["type"] == "directory" {
            for key in ["mtime_ns", "size", "blocks", "nlink"] {
                object.remove(key);
            }
        }
        if path.ends_with("config.v2.json") || path.ends_with("hostconfig.json") {
            object.remove("ino");
            object.remove("atime_ns");
        }
        // A volume that is a symlink is made anew where its target is rewritten.
        if path.ends_with("/_data") && object["type"] == "symlink" {
            object.remove("ino");
        }
        lines.push(value.to_string());
    }
    lines
}

pub fn assert_same_lines(expected: &[String], found: &[String], when: &str) {
    let missing: Vec<_> = expected
        .iter()
        .filter(|line| !found.contains(line))
        .take(5)
        .collect();
    let new: Vec<_> = found
        .iter()
        .filter(|line| !expected.contains(line))
        .take(5)
        .collect();
    assert!(
        missing.is_empty() && new.is_empty() && expected.len() == found.len(),
        "{when}: expected\n{missing:#?}\nfound\n{new:#?}"
    );
}

/// Fast: comparing lists of ten thousand lines is quadratic only when they differ.
pub fn same(expected: &[String], found: &[String], when: &str) {
    if expected != found {
        assert_same_lines(expected, found, when);
    }
}

/// Without times: what was written anew, or made anew, has new ones.
pub fn timeless(lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let object = value.as_object_mut().unwrap();
        object.remove("mtime_ns");
        object.remove("atime_ns");
        if object
            .get("path")
            .is_some_and(|path| path == "100000.100000")
        {
            object.remove("ino");
        }
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

pub fn docker_args<'a>(what: &'a str, host: &'a Host) -> Vec<&'a str> {
    // Nothing of this machine's own daemon is looked at.
    let data_root = host.data_root.to_str().unwrap();
    vec![
        "docker",
        what,
        "--data-root",
        data_root,
        "--daemon-json",
        "/nonexistent/daemon.json",
    ]
}

fn carry(what: &str, idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    let args = [&docker_args(what, host)[..], more].concat();
    idshift.run(args)
}

pub fn migrate(idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    carry("migrate", idshift, host, more)
}

pub fn audit(host: &Host) -> Run {
    audit_with(host, &[])
}

pub fn audit_with(host: &Host, more: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    command.args(docker_args("audit", host)).args(more);
    Run::of(&mut command)
}

pub fn revert(idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    carry("revert", idshift, host, more)
}

/// The uid on the host that a container's first process runs as.
pub fn host_uid(daemon: &Daemon<'_>, container: &str) -> u32 {
    let pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", container]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A data-root with little in it, its daemon stopped.
pub fn small_host() -> Host {
    let host = Host::new();
    let daemon = host.start(&[]);
    daemon.build_images();
    daemon.docker(&[
        "run",
        "--network",
        "none",
        "--name",
        "one",
        "-v",
        "named:/n",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        "echo 1 > /n/1; chown 1000 /n/1; rm /opt/dir/y",
    ]);
    daemon.docker(&["create", "--name", "two", "app:1", "true"]);
    daemon.stop();
    host
}

/// Runs a command that is killed as it makes a system call for the `n`-th time; whether it came to
/// that.
pub fn killed_at(command: Command, call: &str, n: u64) -> bool {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:signal=SIGKILL:when={n}"))
        .arg(command.get_program())
        .args(command.get_args());
    let run = Run::of(&mut strace);
    match (run.code, run.signal) {
        (Some(0), _) => false,
        (Some(137), _) | (_, Some(9)) => true,
        _ => panic!("{run}"),
    }
}
