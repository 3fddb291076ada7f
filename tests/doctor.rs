//! `idshift doctor` on hosts that something is the matter with. The host's own files are covered by
//! others, in a mount namespace.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Idshift, Run, need_root};
use tempfile::TempDir;

/// Files that a host may have otherwise.
struct Otherwise {
    dir: TempDir,
    covers: Vec<(String, String)>,
}

impl Otherwise {
    /// A host that is fine: one user, `dockremap`, with one range.
    fn new() -> Otherwise {
        need_root();
        let mut host = Otherwise {
            dir: tempfile::tempdir().unwrap(),
            covers: Vec::new(),
        };
        let account = "root:x:0:0::/root:/bin/sh\ndockremap:x:999:999::/:/bin/false\n";
        host.with("/etc/passwd", account);
        host.with("/etc/group", "root:x:0:\ndockremap:x:999:\n");
        host.with("/etc/subuid", "dockremap:100000:65536\n");
        host.with("/etc/subgid", "dockremap:100000:65536\n");
        host
    }

    fn with(&mut self, path: &str, text: &str) {
        let name = path.replace('/', "_");
        fs::write(self.dir.path().join(&name), text).unwrap();
        self.covers.retain(|(covered, _)| covered != path);
        self.covers.push((path.to_string(), name));
    }

    fn doctor(&self, args: &[&str]) -> Run {
        let mut script = String::from("set -e; ");
        for (path, name) in &self.covers {
            // What is not there cannot be covered.
            if !Path::new(path).exists() {
                fs::write(path, "").unwrap();
            }
            let file = self.dir.path().join(name);
            script += &format!("mount --bind {} {path}; ", file.display());
        }
        script += "exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(Idshift::program()).arg("doctor");
        if !args.contains(&"--data-root") {
            command.arg("--data-root").arg(self.dir.path());
        }
        if !args.contains(&"--daemon-json") {
            command.args(["--daemon-json", "/nonexistent"]);
        }
        command.args(args);
        Run::of(&mut command)
    }

    /// The findings that are not `ok`: what, level, text.
    fn troubles(&self, args: &[&str]) -> (Option<i32>, Vec<String>) {
        let run = self.doctor(&[&["--json"], args].concat());
        let told: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run}"));
        let findings = told["findings"].as_array().unwrap();
        let bad = findings.iter().filter(|it| it["level"] != "ok");
        let text = |it: &Value| {
            let field = |name: &str| it[name].as_str().unwrap_or("").to_string();
            format!("{} {}: {}", field("level"), field("what"), field("found"))
        };
        (run.code, bad.map(text).collect())
    }
}

fn assert_told(host: &Otherwise, code: i32, words: &[&str]) {
    let (found, troubles) = host.troubles(&[]);
    assert_eq!(found, Some(code), "{troubles:#?}");
    for word in words {
        let is_told = troubles.iter().any(|line| line.contains(word));
        assert!(is_told, "{word:?} in {troubles:#?}");
    }
}

#[test]
fn a_host_that_is_fine_has_no_errors() {
    let host = Otherwise::new();
    let (code, troubles) = host.troubles(&[]);
    assert_eq!(code, Some(0), "{troubles:#?}");
    let run = host.doctor(&[]);
    assert!(
        run.text().contains("This host can run remapped containers"),
        "{run}"
    );
    assert!(
        run.text().contains("keeps owners, ACLs, file capabilities"),
        "{run}"
    );
    // Trying left nothing.
    let names = fs::read_dir(host.dir.path()).unwrap().count();
    assert_eq!(names, 4);
}

#[test]
fn what_is_the_matter_with_ranges_is_told() {
    let mut host = Otherwise::new();
    host.with("/etc/subuid", "me:150000:65536\ndockremap:100000:65536\n");
    assert_told(
        &host,
        0,
        &["line 2 (dockremap, 100000:65536) shares ids with line 1 (me, 150000:65536)"],
    );

    host.with("/etc/subuid", "dockremap:900:65536\n");
    assert_told(
        &host,
        3,
        &["host accounts are inside the range: dockremap (999)"],
    );

    host.with("/etc/subuid", "dockremap:100000:1000\n");
    assert_told(&host, 0, &["only 1000 ids"]);

    host.with("/etc/subuid", "dockremap:100000\n");
    assert_told(
        &host,
        3,
        &["line 1: \"dockremap:100000\" is not USER:START:COUNT"],
    );

    host.with("/etc/subuid", "me:100000:65536\n");
    assert_told(&host, 3, &["/etc/subuid has no line for dockremap"]);

    let mut host = Otherwise::new();
    host.with("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    assert_told(&host, 3, &["there is no user dockremap"]);
}

#[test]
fn a_kernel_that_lets_nobody_make_namespaces_is_told() {
    let mut host = Otherwise::new();
    host.with("/proc/sys/user/max_user_namespaces", "0\n");
    assert_told(&host, 3, &["user.max_user_namespaces is 0"]);
}

#[test]
fn what_is_the_matter_with_the_daemon_is_told() {
    let host = Otherwise::new();
    let json = host.dir.path().join("daemon.json");
    let path = json.to_str().unwrap();
    for (text, code, words) in [
        ("{", 3, "EOF"),
        (
            r#"{"features":{"containerd-snapshotter":true}}"#,
            3,
            "dockerd refuses to start",
        ),
        (
            r#"{"userns-remap":"nosuchuser"}"#,
            3,
            "there is no user nosuchuser",
        ),
        (r#"{"debug":true}"#, 0, ""),
    ] {
        fs::write(&json, text).unwrap();
        let (found, troubles) = host.troubles(&["--daemon-json", path]);
        assert_eq!(found, Some(code), "{text}: {troubles:#?}");
        assert!(
            troubles.concat().contains(words),
            "{words:?} in {troubles:#?}"
        );
    }
    let zfs = host.dir.path().join("image/zfs/layerdb/sha256/x");
    fs::create_dir_all(zfs).unwrap();
    assert_told(
        &host,
        3,
        &["the storage driver zfs keeps layers where they cannot be shifted"],
    );
    let closed = host.dir.path().join("closed");
    fs::create_dir_all(closed.join("docker")).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let inner = closed.join("docker");
    let (found, troubles) = host.troubles(&["--data-root", inner.to_str().unwrap()]);
    assert_eq!(found, Some(3));
    assert!(
        troubles
            .concat()
            .contains("a remapped daemon refuses to start"),
        "{troubles:#?}"
    );
}
