//! `docker migrate --copy`: the plain root stays as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::volumes::Place;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Kind, Run, TestFs, need_root, output, scene};
use serde_json::Value;

const INNER: &str = "100000.100000";

/// The inodes below a name, without what a copy cannot share: inode numbers, room on the disk, when
/// it was last read.
fn below(lines: &[String], top: &str) -> Vec<String> {
    let prefix = format!("{top}/");
    let mut found: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let object = value.as_object_mut().unwrap();
            let path = object["path"].as_str()?.strip_prefix(&prefix)?.to_string();
            object.insert("path".into(), path.clone().into());
            for key in ["ino", "blocks", "atime_ns"] {
                object.remove(key);
            }
            // Written anew.
            if path.ends_with("config.v2.json") || path.ends_with("hostconfig.json") {
                object.remove("mtime_ns");
            }
            Some(value.to_string())
        })
        .collect();
    found.sort();
    found
}

/// All but the remapped root and the data-root itself; reading changes access times.
fn plain(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|value| {
            let path = value["path"].as_str().unwrap_or("");
            !path.is_empty() && path != "." && !path.starts_with(INNER)
        })
        .map(|mut value| {
            value.as_object_mut().unwrap().remove("atime_ns");
            value.to_string()
        })
        .collect()
}

#[test]
fn a_copy_is_as_migrated_and_the_plain_root_stays() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--create-user"]).exits(0);
    let in_place = below(&snapshot(&host.data_root), INNER);
    idshift.run(["rollback", "latest"]).exits(0);

    let start = snapshot(&host.data_root);
    let told = migrate(&idshift, &host, &["--copy", "--dry-run"]).exits(0);
    assert!(told.stderr.contains("would stay as it is"), "{told}");
    same(
        &plain(&start),
        &plain(&snapshot(&host.data_root)),
        "after a dry run",
    );
    let told = migrate(&idshift, &host, &["--copy"]).exits(0);
    assert!(told.stderr.contains("The plain root stays"), "{told}");
    let now = snapshot(&host.data_root);
    same(&plain(&start), &plain(&now), "beside the copy");
    same(&in_place, &below(&now, INNER), "in the copy");
    idshift.run(["verify", "latest"]).exits(0);

    let remapped = host.start(REMAPPED);
    let there = seen(&remapped);
    remapped.docker(&["start", "-a", "two"]);
    remapped.stop();
    let daemon = host.start(&[]);
    assert_eq!(seen(&daemon), there);
    daemon.docker(&["start", "-a", "two"]);
    daemon.stop();

    let refused = migrate(&idshift, &host, &["--copy"]);
    assert_eq!(
        refused.code,
        Some(4),
        "two roots are not made one: {refused}"
    );
}

#[test]
fn an_undone_copy_is_named_and_stops_only_a_new_copy() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    let start = snapshot(&host.data_root);
    migrate(&idshift, &host, &["--create-user", "--copy"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    let copy = host.data_root.join(format!("idshift-copy-{INNER}"));
    assert!(copy.is_dir());
    let refused = migrate(&idshift, &host, &["--copy"]);
    assert_eq!(refused.code, Some(4), "{refused}");
    assert!(refused.stderr.contains("may be nowhere else"), "{refused}");
    migrate(&idshift, &host, &[]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    fs::remove_dir_all(copy).unwrap();
    same(
        &plain(&start),
        &plain(&snapshot(&host.data_root)),
        "after all that",
    );
}

/// A `cp` that is the real one, and then does more. Where it is, for PATH.
pub(super) fn cp_and(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let cp = dir.path().join("cp");
    let text = format!("#!/bin/sh -e\nunset LC_ALL\n/usr/bin/cp \"$@\"\nsleep 0.1\n{script}\n");
    fs::write(&cp, text).unwrap();
    fs::set_permissions(&cp, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn what_changes_while_it_is_copied_is_refused() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--create-user"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    let top = host.data_root.display();
    let names = || {
        let entries = fs::read_dir(&host.data_root).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let layer = format!("$(ls -d {top}/overlay2/*/diff | head -n 1)");
    for (change, place) in [
        (format!("echo new > {layer}/new"), "/overlay2/"),
        (format!("touch -a {layer}"), "/overlay2/"),
        (format!("mkdir {top}/tmp2; rmdir {top}/tmp2"), ""),
        (
            format!("touch $(ls {top}/containers/*/config.v2.json | head -n 1)"),
            "/containers/",
        ),
        (
            format!("touch {top}/network/files/local-kv.db"),
            "/network/files/local-kv.db",
        ),
    ] {
        let cp = cp_and(&change);
        let path = format!("{}:{}", cp.path().display(), std::env::var("PATH").unwrap());
        let mut command = idshift.command(docker_args("migrate", &host));
        command.arg("--copy").env("PATH", path);
        let run = Run::of(&mut command).exits(4);
        let words = format!("{top}{place}");
        assert!(run.stderr.contains(&words), "{change}: {run}");
        assert!(
            run.stderr.contains("was changed while it was copied"),
            "{change}: {run}"
        );
        assert_eq!(names(), before, "{change}");
    }
    migrate(&idshift, &host, &["--copy"]).exits(0);
}

/// While one large file is copied, which takes `cp` long.
#[test]
fn cp_ends_when_idshift_is_killed_or_told_to_end() {
    let place = Place::new();
    place.data(&place.volume("vol").join("_data"));
    fs::set_permissions(&place.root, fs::Permissions::from_mode(0o710)).unwrap();
    let idshift = Idshift::new();
    let pid = place.beside("pid");
    let dir = tempfile::tempdir().unwrap();
    let cp = dir.path().join("cp");
    let text = format!(
        "#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; exec sleep 1000\n",
        pid.display()
    );
    fs::write(&cp, text).unwrap();
    fs::set_permissions(&cp, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    let copy = place.root.join(format!("idshift-copy-{INNER}"));
    for signal in ["KILL", "TERM"] {
        let args = scene::docker_args("migrate", &place.root, &["--copy"]);
        let mut command = idshift.command(args);
        let mut run = command.env("PATH", &path).spawn().unwrap();
        let wait_for = |what: &str, is_so: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !is_so() {
                assert!(
                    start.elapsed() < Duration::from_secs(20),
                    "{signal}: {what}"
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        wait_for("cp is started", &|| pid.exists());
        let of_cp = fs::read_to_string(&pid).unwrap();
        let process = Path::new("/proc").join(of_cp.trim());
        assert!(process.exists());
        output("kill", [&format!("-{signal}"), &run.id().to_string()]);
        wait_for("cp ends", &|| !process.exists());
        run.wait().unwrap();
        // What was killed could not remove what it had made.
        assert_eq!(copy.exists(), signal == "KILL");
        fs::remove_file(&pid).unwrap();
        let _ = fs::remove_dir(&copy);
    }
}

#[test]
fn no_copy_is_left_without_space_or_after_a_failure() {
    need_root();
    let fs = TestFs::new(Kind::Ext4);
    let host = Host::on(&fs.path());
    let idshift = Idshift::new();
    let daemon = host.start(&[]);
    daemon.build_images();
    daemon.docker(&["volume", "create", "named"]);
    daemon.stop();
    let strange = host.data_root.join("volumes/named/_data/strange");
    fs::write(&strange, "").unwrap();
    std::os::unix::fs::chown(&strange, Some(70_000), None).unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&host.data_root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    let modified = || fs::metadata(&host.data_root).unwrap().modified().unwrap();
    let start = modified();
    let failed = migrate(&idshift, &host, &["--create-user", "--copy"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    assert_eq!((names(), modified()), (before.clone(), start));

    let size = free(&fs.path()) - (20 << 20);
    let ballast = fs.path().join("ballast");
    output(
        "fallocate",
        ["-l", &size.to_string(), ballast.to_str().unwrap()],
    );
    let refused = migrate(&idshift, &host, &["--copy"]);
    assert_eq!(refused.code, Some(4), "{refused}");
    assert!(refused.stderr.contains("a copy needs"), "{refused}");
    assert_eq!(names(), before);
}

pub(super) fn free(path: &Path) -> u64 {
    let mut df = Command::new("df");
    let run = Run::of(df.args(["--output=avail", "-B1"]).arg(path));
    run.text().lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn content_is_shared_where_the_filesystem_can() {
    need_root();
    let fs = TestFs::new(Kind::Xfs);
    let host = Host::on(&fs.path());
    let idshift = Idshift::new();
    let daemon = host.start(&[]);
    daemon.build_images();
    daemon.stop();
    let before = free(&fs.path());
    let told = migrate(&idshift, &host, &["--create-user", "--copy"]).exits(0);
    assert!(told.stderr.contains("share their content"), "{told}");
    output("sync", ["-f", fs.path().to_str().unwrap()]);
    let taken = before.saturating_sub(free(&fs.path()));
    assert!(
        taken < 60 << 20,
        "{taken} bytes for a copy of about 190 MiB"
    );
    let remapped = host.start(REMAPPED);
    remapped.docker(&["run", "--rm", "--network", "none", "app:1", "true"]);
    remapped.stop();
}
