//! `idshift doctor` on hosts that something is the matter with. The host's own files are covered by
//! others, in a mount namespace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Idshift, Run, need_root};
use serde_json::Value;
use tempfile::TempDir;

/// Files that a host may have otherwise.
struct Otherwise {
    dir: TempDir,
    covers: Vec<(String, String)>,
    /// Shell commands in the mount namespace.
    more: String,
}

impl Otherwise {
    /// A host that is fine: one user, `dockremap`, with one range.
    fn new() -> Otherwise {
        need_root();
        let mut host = Otherwise {
            dir: tempfile::tempdir().unwrap(),
            covers: Vec::new(),
            more: String::new(),
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
        self.run("doctor", args)
    }

    fn run(&self, subcommand: &str, args: &[&str]) -> Run {
        let mut script = String::from("set -e; ");
        for (path, name) in &self.covers {
            // What is not there cannot be covered.
            if !Path::new(path).exists() {
                fs::write(path, "").unwrap();
            }
            let file = self.dir.path().join(name);
            script += &format!("mount --bind {} {path}; ", file.display());
        }
        script += &self.more;
        script += "exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(Idshift::program()).arg(subcommand);
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

    // Two lines of its own that share ids make no map.
    host.with(
        "/etc/subuid",
        "dockremap:100000:65536\ndockremap:120000:65536\n",
    );
    assert_told(
        &host,
        3,
        &["line 1 (dockremap, 100000:65536) shares ids with line 2 (dockremap, 120000:65536)"],
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
            "Docker 29 does not start then",
        ),
        (
            r#"{"userns-remap":"default","features":{"containerd-migration":true}}"#,
            3,
            "Docker 29 changes over to containerd images",
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

#[test]
fn security_modules_that_are_active_are_told() {
    let mut host = Otherwise::new();
    host.more = "mount -t tmpfs none /sys/fs; mkdir /sys/fs/selinux; \
        printf 1 > /sys/fs/selinux/enforce; mount -t tmpfs none /sys/module; \
        mkdir -p /sys/module/apparmor/parameters; \
        echo Y > /sys/module/apparmor/parameters/enabled; "
        .into();
    assert_told(
        &host,
        0,
        &["SELinux: enforcing: a bind mount also needs a label"],
    );
    let run = host.doctor(&[]);
    assert!(run.text().contains("-v SOURCE:TARGET:Z"), "{run}");
    assert!(run.text().contains("AppArmor              active"), "{run}");
    host.more = host.more.replace("printf 1", "printf 0");
    let run = host.doctor(&[]);
    assert!(
        run.text().contains("SELinux               permissive"),
        "{run}"
    );
}

#[test]
fn what_a_filesystem_keeps_is_tried() {
    let mut host = Otherwise::new();
    let top = host.dir.path().join("root");
    fs::create_dir(&top).unwrap();
    let (dir, data_root) = (top.display(), top.to_str().unwrap().to_string());
    let args = ["--data-root", &data_root];
    for (mount, code, words) in [
        ("mount -t ramfs none", 0, "does not keep ACLs ("),
        ("mount -t tmpfs none", 0, ""),
        ("mount -t tmpfs -o ro none", 3, "is read-only"),
    ] {
        host.more = format!("{mount} {dir}; ");
        let (found, troubles) = host.troubles(&args);
        assert_eq!(found, Some(code), "{mount}: {troubles:#?}");
        assert!(
            troubles.concat().contains(words),
            "{words:?} in {troubles:#?}"
        );
    }
    // A layer directory on a disk of its own is tried too.
    host.more = format!("mkdir {dir}/overlay2; mount -t tmpfs -o ro none {dir}/overlay2; ");
    let (found, troubles) = host.troubles(&args);
    assert_eq!(found, Some(3), "{troubles:#?}");
    assert!(
        troubles
            .concat()
            .contains("overlay2 is on a filesystem that is read-only")
    );
}

#[test]
fn a_missing_data_root_is_checked_where_it_will_be() {
    let host = Otherwise::new();
    let missing = host.dir.path().join("not/yet");
    let run = host
        .doctor(&["--data-root", missing.to_str().unwrap()])
        .exits(0);
    let words = format!("{} keeps owners", host.dir.path().display());
    assert!(run.text().contains(&words), "{run}");
    assert!(run.text().contains("is not there yet"), "{run}");
}

#[test]
fn its_json_has_every_line_with_level_and_remedy() {
    let mut host = Otherwise::new();
    host.with("/etc/subuid", "dockremap:100000:1000\n");
    let told = host.doctor(&["--json"]).exits(0).json();
    assert_eq!(told["verdict"], "warning");
    let findings = told["findings"].as_array().unwrap();
    for what in [
        "kernel",
        "user namespaces",
        "newuidmap, newgidmap",
        "Docker",
        "runtime",
        "remap user",
        "id ranges",
        "user namespace",
        "subuid",
        "subgid",
        "daemon.json",
        "storage driver",
        "directories above",
        "filesystem",
        "SELinux",
        "AppArmor",
    ] {
        let of_it: Vec<&Value> = findings.iter().filter(|it| it["what"] == what).collect();
        assert!(!of_it.is_empty(), "{what} in {told:#}");
        for finding in of_it {
            let level = finding["level"].as_str().unwrap();
            assert!(["ok", "warning", "error"].contains(&level), "{finding}");
            assert!(finding["found"].is_string(), "{finding}");
        }
    }
    let short = findings.iter().find(|it| it["what"] == "subuid").unwrap();
    assert_eq!(short["remedy"], "a range of 65536 in /etc/subuid");
    assert_eq!(
        host.doctor(&[]).exits(0).text().lines().count(),
        findings.len() + 2 + with_remedy(findings)
    );
}

fn with_remedy(findings: &[Value]) -> usize {
    findings
        .iter()
        .filter(|it| it["remedy"].is_string())
        .count()
}

#[test]
fn who_is_not_root_is_told_what_was_not_tried() {
    let mut host = Otherwise::new();
    // Where others may get to it.
    host.more = format!(
        "mount -t tmpfs none /mnt; cp {} /mnt/idshift; chmod 755 /mnt; mkdir -m 755 /mnt/root; \
         set -- setpriv --reuid=65534 --regid=65534 --clear-groups /mnt/idshift doctor \
         --daemon-json /nonexistent --data-root /mnt/root --json; ",
        Idshift::program().display()
    );
    let told = host.doctor(&[]).exits(0).json();
    let findings = told["findings"].as_array().unwrap();
    let found = |what: &str| {
        let finding = findings.iter().find(|it| it["what"] == what);
        finding.unwrap_or_else(|| panic!("{what} in {told:#}"))["found"].to_string()
    };
    assert!(found("user namespace").contains("that needs root"));
    assert!(found("filesystem").contains("was not tested"));
}

#[test]
fn check_takes_the_map_of_the_remap_user() {
    let mut host = Otherwise::new();
    host.with(
        "/etc/passwd",
        "root:x:0:0::/root:/bin/sh\ndockremap:x:999:999::/:/\napp:x:998:998::/:/\n",
    );
    host.with("/etc/group", "root:x:0:\napp:x:998:\n");
    for path in ["/etc/subuid", "/etc/subgid"] {
        host.with(path, "dockremap:100000:65536\napp:300000:65536\n");
    }
    let json = host.dir.path().join("daemon.json");
    fs::write(&json, r#"{"userns-remap":"app"}"#).unwrap();
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    std::os::unix::fs::chown(dir.path(), Some(100_005), Some(0)).unwrap();
    let path = dir.path().to_str().unwrap();
    let json = json.to_str().unwrap();
    let check = |more: &[&str]| host.run("check", &[&[path, "--as", "5:5"], more].concat());
    let told = check(&["--daemon-json", json]).exits(3);
    assert!(told.text().contains("5:5 is 300005:300005"), "{told}");
    let advice = format!("idshift prepare --subid app {path} --owner 5:5\n");
    assert!(told.text().ends_with(&advice), "{told}");
    check(&["--userns-remap", "app"]).exits(3);
    check(&[]).exits(0);
    check(&["--daemon-json", json, "--subid", "dockremap"]).exits(0);
    // A file that the daemon could not read either leaves the map unknown.
    fs::write(json, "{").unwrap();
    assert!(
        check(&["--daemon-json", json])
            .exits(4)
            .stderr
            .contains(json)
    );
}

/// From inside of a container it cannot be told what the kernel and filesystems keep.
#[test]
fn in_a_user_namespace_nothing_is_claimed_of_the_host() {
    let host = Otherwise::new();
    let dir = host.dir.path().to_str().unwrap();
    let doctor = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(command).arg(Idshift::program());
        let more = ["--daemon-json", "/nonexistent", "--data-root", dir];
        Run::of(unshare.arg("doctor").args(more))
    };
    let told = doctor(&["-U", "--map-root-user"]).exits(3);
    assert!(
        told.text().contains("on the host, outside of containers"),
        "{told}"
    );
    for wrong in ["file capabilities no", "does not keep"] {
        assert!(!told.text().contains(wrong), "{told}");
    }
    let shell = ["-m", "sh", "-c", "umount -l /proc; exec \"$@\"", "sh"];
    let told = doctor(&shell).exits(3);
    assert!(told.text().contains("mount -t proc proc /proc"), "{told}");
    assert!(!told.text().contains("the kernel has none"), "{told}");
}
