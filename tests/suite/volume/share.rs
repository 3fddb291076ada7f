//! `idshift prepare --share`: what a user of the host keeps, and a container uses too.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::{REMAPPED, killed_at, same};
use crate::support::volume::{
    acl, check, directory, mode, owned, place, prepare, set_acl, snapshot,
};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, output};

const LEO: (u32, u32) = (1000, 1000);

/// A file with this text.
fn file(path: &Path, owner: (u32, u32), bits: u32) -> PathBuf {
    fs::write(path, "text\n").unwrap();
    owned(path, owner, bits);
    path.to_path_buf()
}

/// Every ACL of a tree, as `getfacl` tells it.
fn acls(top: &Path) -> Vec<String> {
    let args = ["-RPnp".as_ref(), top.as_os_str()];
    let text = String::from_utf8(output("getfacl", args).stdout).unwrap();
    text.lines().map(String::from).collect()
}

/// A shell script as these ids of the host, without other rights.
fn as_user((uid, gid): (u32, u32), script: &str) -> Run {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
    Run::of(command.args(["--clear-groups", "--inh-caps=-all", "sh", "-ec", script]))
}

/// What a shell script in a container of this user does with the directory.
fn in_container(daemon: &Daemon<'_>, dir: &Path, options: &[&str], script: &str) -> Run {
    let mount = format!("{}:/data", dir.display());
    let run = ["run", "--rm", "--network", "none", "-v", &mount];
    let command = ["tiny:1", "/bin/sh", "-ec", script];
    daemon.try_docker(&[&run[..], options, &command].concat())
}

#[test]
fn host_and_container_use_what_the_other_made() {
    let host = Host::new();
    let idshift = Idshift::new();
    let top = directory(&host.beside().join("site"), LEO, 0o750);
    let sub = directory(&top.join("sub"), LEO, 0o700);
    file(&top.join("index"), LEO, 0o640);
    file(&sub.join("note"), LEO, 0o600);
    file(&top.join("made"), (100_999, 100_998), 0o600);
    symlink("index", top.join("link")).unwrap();
    let before = acls(&top);
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let container = |script: &str| in_container(&daemon, &top, &["-u", "999:998"], script);
    let leo = |script: &str| as_user(LEO, &format!("cd {}; {script}", top.display()));
    assert_ne!(container("cat /data/index").code, Some(0));

    let share = ["--share", "--owner", "999:998"];
    let dry = prepare(&idshift, &top, &[&share[..], &["--dry-run"]].concat()).exits(0);
    assert!(dry.text().contains("5 of 6 inodes would change"), "{dry}");
    same(&before, &acls(&top), "after a dry run");
    let told = prepare(&idshift, &top, &share).exits(0);
    assert!(
        told.text().contains("Added ACL entries to 5 of 6"),
        "{told}"
    );
    assert!(told.stderr.contains("owners stay"), "{told}");
    for (path, uid) in [("", 1000), ("sub/note", 1000), ("made", 100_999)] {
        assert_eq!(fs::metadata(top.join(path)).unwrap().uid(), uid, "{path}");
    }
    check(&top, &["--as", "999:998", "--recursive"]).exits(0);

    container(
        "cd /data; echo more >> index; cat sub/note; echo new > sub/new; busybox mkdir sub/dir; echo deep > sub/dir/deep",
    )
    .exits(0);
    leo("cat made; echo more >> sub/new; echo more >> sub/dir/deep; echo leo > sub/dir/leo; rm sub/new; mkdir -p sub/dir/a/b")
        .exits(0);
    container("cd /data/sub/dir; echo more >> leo; busybox rm leo; echo more > a/b/file").exits(0);
    leo("echo more >> sub/dir/a/b/file; rm -r sub/dir/a").exits(0);

    // Who makes a file private takes it from the other side, until the next run.
    container("echo x > /data/private; busybox chmod 600 /data/private").exits(0);
    assert_ne!(leo("cat private").code, Some(0));
    let again = prepare(&idshift, &top, &share).exits(0);
    assert!(
        again.text().contains("Added ACL entries to 1 of 9"),
        "{again}"
    );
    leo("cat private; rm private; rm -r sub/dir").exits(0);

    let first = idshift.journal_files().remove(0);
    idshift
        .run(["rollback".as_ref(), first.as_os_str()])
        .exits(0);
    same(&before, &acls(&top), "after a rollback");
    assert_ne!(container("cat /data/index").code, Some(0));
    daemon.stop();
}

#[test]
fn a_container_that_reads_gets_no_more() {
    let host = Host::new();
    let idshift = Idshift::new();
    let top = directory(&host.beside().join("site"), LEO, 0o700);
    file(&top.join("index"), LEO, 0o600);
    let before = acls(&top);
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let share = ["--share", "--read-only", "--image-user", "tiny:1"];
    let data_root = host.data_root.join("100000.100000");
    let data_root = ["--data-root", data_root.to_str().unwrap()];
    prepare(&idshift, &top, &[&share[..], &data_root].concat()).exits(0);
    let container = |script: &str| in_container(&daemon, &top, &[], script);
    container("cat /data/index").exits(0);
    check(&top, &["--as", "0:0", "--read-only", "--recursive"]).exits(0);
    for script in [
        "echo x >> /data/index",
        "echo x > /data/new",
        "busybox rm /data/index",
    ] {
        assert_ne!(container(script).code, Some(0), "{script}");
    }
    // New files of the host can be read, too; and its modes do not show a group that writes.
    as_user(LEO, &format!("umask 077; echo new > {}/new", top.display())).exits(0);
    container("cat /data/new").exits(0);
    for path in ["", "index", "new"] {
        let bits = fs::metadata(top.join(path)).unwrap().mode();
        assert_eq!(bits & 0o022, 0, "{path}: {bits:o}");
    }
    fs::remove_file(top.join("new")).unwrap();
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &acls(&top), "after a rollback");
    daemon.stop();
}

#[test]
fn what_gives_more_than_a_file_stays_or_is_only_read() {
    let place = place();
    let idshift = Idshift::new();
    let top = directory(&place.path().join("tools"), LEO, 0o755);
    let set_id = file(&top.join("set-id"), (0, 0), 0o4755);
    let capable = file(&top.join("capable"), (0, 0), 0o755);
    output("setcap", ["cap_net_raw+ep".as_ref(), capable.as_os_str()]);
    let fifo = top.join("fifo");
    output("mkfifo", [&fifo]);
    owned(&fifo, LEO, 0o600);
    let _socket = UnixListener::bind(top.join("socket")).unwrap();
    owned(&top.join("socket"), LEO, 0o600);
    let before = snapshot(&top);
    prepare(&idshift, &top, &["--share", "--owner", "999:999"]).exits(0);
    let user = |script: &str| {
        as_user(
            (100_999, 100_999),
            &format!("cd {}; {script}", top.display()),
        )
    };
    for name in ["set-id", "capable"] {
        user(&format!("test -r {name}")).exits(0);
        assert_ne!(user(&format!("test -w {name}")).code, Some(0), "{name}");
    }
    assert_eq!(fs::metadata(&set_id).unwrap().mode() & 0o7777, 0o4755);
    let caps = String::from_utf8(output("getcap", [&capable]).stdout).unwrap();
    assert!(caps.contains("cap_net_raw=ep"), "{caps}");
    for name in ["fifo", "socket"] {
        assert_ne!(user(&format!("test -w {name}")).code, Some(0), "{name}");
    }
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(&top), "after a rollback");
}

#[test]
fn others_can_do_what_they_could_do() {
    let place = place();
    let idshift = Idshift::new();
    let top = directory(&place.path().join("team"), (0, 50), 0o2775);
    // Its mask holds back what entries say.
    let held = directory(&top.join("held"), LEO, 0o770);
    set_acl(&held, "u:7:rwx,g:50:rwx,m:r-x");
    set_acl(&held, "d:u:7:rwx,d:g:50:r-x,d:m:r-x");
    file(&top.join("open"), (1001, 50), 0o664);
    file(&top.join("closed"), (1001, 50), 0o600);
    let ids = [
        (1000, 1000),
        (1001, 50),
        (1002, 50),
        (7, 7),
        (9, 9),
        (100_000, 100_000),
    ];
    let access = || {
        let mut found = Vec::new();
        for who in ids {
            for path in ["", "held", "open", "closed"] {
                for flag in ["-r", "-w", "-x"] {
                    let run = as_user(who, &format!("test {flag} {}", top.join(path).display()));
                    found.push(format!("{who:?} {path} {flag} {:?}", run.code));
                }
            }
        }
        found
    };
    let (before, could) = (snapshot(&top), access());
    prepare(&idshift, &top, &["--share", "--owner", "999:999"]).exits(0);
    same(&could, &access(), "after a run");
    let script = format!(
        "cd {}; echo x > held/new; echo x >> open; echo x >> closed",
        top.display()
    );
    as_user((100_999, 100_999), &script).exits(0);
    // In a directory that its group shares, new files are for the group; elsewhere for nobody else to write to.
    as_user(
        (1002, 50),
        &format!("umask 077; echo x > {}/team", top.display()),
    )
    .exits(0);
    assert!(
        acl(&top.join("team")).contains("group::rwx"),
        "{}",
        acl(&top.join("team"))
    );
    assert!(
        acl(&top.join("team")).contains("other::r--"),
        "{}",
        acl(&top.join("team"))
    );
    for name in ["team", "held/new"] {
        fs::remove_file(top.join(name)).unwrap();
    }
    for name in ["open", "closed"] {
        fs::write(top.join(name), "text\n").unwrap();
    }
    idshift.run(["rollback", "latest"]).exits(0);
    let timeless = |lines: &[String]| {
        let strip = |line: &String| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("mtime_ns");
            value.to_string()
        };
        lines.iter().map(strip).collect::<Vec<_>>()
    };
    same(
        &timeless(&before),
        &timeless(&snapshot(&top)),
        "after a rollback",
    );
}

#[test]
fn what_cannot_be_shared_is_refused_with_what_helps() {
    let place = place();
    let idshift = Idshift::new();
    let home = directory(&place.path().join("home/leo"), LEO, 0o755);
    let work = directory(&home.join("work"), LEO, 0o755);
    let keys = directory(&home.join(".ssh"), LEO, 0o700);
    let line = format!("leo:x:1000:1000::{}:/bin/bash\n", home.display());
    let accounts = fs::read_to_string("/etc/passwd").unwrap() + &line;
    fs::write("/etc/passwd", accounts).unwrap();
    let given = directory(&place.path().join("given"), (100_000, 100_000), 0o755);
    let ramfs = TestFs::new(Kind::Ramfs);
    let no_acls = directory(&ramfs.path().join("data"), LEO, 0o755);
    let before = snapshot(place.path());
    for (path, words) in [
        (
            &no_acls,
            "idshift mount --map b:0:100000:65536 --owner 999:999",
        ),
        (&home, "is the home of leo"),
        (&place.path().join("home"), "holds the home of leo"),
        (&keys, "private files of leo"),
        (&given, "belongs to 100000, which is 0 in the container"),
        (&home.join("missing"), "install -d -o USER"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let args = [&["--share", "--owner", "999:999"], more].concat();
            let refused = prepare(&idshift, path, &args).exits(4);
            assert!(refused.stderr.contains(words), "{refused}");
            assert!(refused.stderr.contains(path.to_str().unwrap()), "{refused}");
        }
    }
    for other in ["--reverse", "--create", "--cross-mounts"] {
        prepare(&idshift, &work, &["--share", other]).exits(2);
    }
    prepare(&idshift, &work, &["--read-only"]).exits(2);
    same(&before, &snapshot(place.path()), "after refusals");
    assert_eq!(idshift.journal_files().len(), 0);
    // What is in a home may be shared, and the check says so.
    let told = check(&work, &["--as", "999:999"]).exits(3);
    let advice = format!(
        "idshift prepare --map {MAP} --share --owner 999:999 {}",
        work.display()
    );
    assert!(told.text().contains(&advice), "{told}");
    idshift.run(advice.split(' ').skip(1)).exits(0);
    check(&work, &["--as", "999:999"]).exits(0);
    let flag = ["--share", "--owner", "999:999", "--allow-home"];
    prepare(&idshift, &keys, &flag).exits(0);
}

#[test]
fn a_share_killed_anywhere_is_finished_or_undone() {
    let place = place();
    let top = directory(&place.path().join("share"), LEO, 0o750);
    for n in 0..20 {
        let sub = directory(&top.join(n.to_string()), LEO, 0o755);
        file(&sub.join("private"), LEO, 0o600);
        set_acl(
            &file(&sub.join("named"), (100_000, 7), 0o644),
            "u:7:r--,m:r--",
        );
    }
    let args = |idshift: &Idshift| {
        let share = [
            "prepare",
            "--map",
            MAP,
            "--share",
            "--owner",
            "5:5",
            "--fix-parents",
        ];
        idshift.command([&share[..], &[top.to_str().unwrap()]].concat())
    };
    mode(place.path(), 0o700);
    let before = snapshot(place.path());
    let idshift = Idshift::new();
    Run::of(&mut args(&idshift)).exits(0);
    let after = snapshot(place.path());
    idshift.run(["verify", "latest"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(place.path()), "undone");
    let mut kills = 0;
    let calls = [
        ("setxattr", 1),
        ("setxattr", 2),
        ("setxattr", 21),
        ("setxattr", 62),
        ("chmod", 1),
        ("chmod", 30),
        ("syncfs", 1),
        ("fdatasync", 2),
        ("fdatasync", 3),
    ];
    for (i, (call, n)) in calls.into_iter().enumerate() {
        let idshift = Idshift::new();
        let when = format!("killed at {call} {n}");
        if !killed_at(args(&idshift), call, n) {
            idshift.run(["rollback", "latest"]).exits(0);
            continue;
        }
        kills += 1;
        if i % 2 == 0 && idshift.run(["resume", "latest"]).code == Some(0) {
            same(&after, &snapshot(place.path()), &format!("{when}, resumed"));
        }
        let rollback = ["rollback", "latest"];
        if killed_at(idshift.command(rollback), "chmod", 7) {
            idshift.run(rollback).exits(0);
        }
        same(&before, &snapshot(place.path()), &format!("{when}, undone"));
    }
    assert!(kills >= 7, "only {kills} kills hit");
}

#[test]
fn each_service_of_a_project_gets_its_entries() {
    let place = place();
    let idshift = Idshift::new();
    let uploads = directory(&place.path().join("uploads"), LEO, 0o700);
    let pages = directory(&place.path().join("pages"), LEO, 0o700);
    let compose = place.path().join("compose.yaml");
    let services = |more: &str| {
        let text = format!(
            "services:\n  app:\n    image: app\n    user: 999:999\n    volumes:\n      - ./uploads:/uploads\n      \
             - ./pages:/pages:ro\n{more}"
        );
        fs::write(&compose, text).unwrap();
    };
    services("");
    let run = |more: &[&str]| {
        let args = [
            "prepare",
            "--map",
            MAP,
            "--share",
            "--compose",
            compose.to_str().unwrap(),
        ];
        idshift.run([&args[..], more].concat())
    };
    let before = acls(place.path());
    run(&["--dry-run"]).exits(0);
    same(&before, &acls(place.path()), "after a dry run");
    let told = run(&[]).exits(0);
    assert!(told.stderr.contains("SHARED WITH"), "{told}");
    assert!(
        acl(&uploads).contains("user:100999:rwx"),
        "{}",
        acl(&uploads)
    );
    assert!(acl(&pages).contains("user:100999:r-x"), "{}", acl(&pages));
    assert!(!acl(&pages).contains("user:1000:"), "{}", acl(&pages));
    services(
        "  web:\n    image: web\n    user: 33:33\n    volumes:\n      - ./uploads:/uploads:ro\n",
    );
    let refused = run(&[]).exits(4);
    assert!(
        refused
            .stderr
            .contains("Run it for each, with --service NAME"),
        "{refused}"
    );
    run(&["--service", "web"]).exits(0);
    let entries = acl(&uploads);
    assert!(
        entries.contains("user:100999:rwx") && entries.contains("user:100033:r-x"),
        "{entries}"
    );
}

/// What its own user may not do with a file, sharing does not give either.
#[test]
fn check_of_a_shared_tree_advises_what_helps() {
    let place = place();
    let idshift = Idshift::new();
    let line = "leo:x:1000:1000::/nonexistent/leo:/bin/bash\n";
    fs::write(
        "/etc/passwd",
        fs::read_to_string("/etc/passwd").unwrap() + line,
    )
    .unwrap();
    let top = directory(&place.path().join("site"), LEO, 0o755);
    let read_only = file(&top.join("ro"), LEO, 0o444);
    let as_33 = ["--as", "33:33", "--recursive"];
    prepare(&idshift, &top, &["--share", "--owner", "33:33"]).exits(0);
    let told = check(&top, &as_33).exits(3);
    assert!(!told.text().contains("--allow-home"), "{told}");
    for _ in 0..2 {
        let json = check(&top, &[&as_33[..], &["--json"]].concat()).json();
        for remedy in json["remedies"].as_array().unwrap() {
            let words: Vec<&str> = remedy.as_str().unwrap().split(' ').collect();
            match words[0] {
                "idshift" => _ = idshift.run(&words[1..]).exits(0),
                _ => _ = output(words[0], &words[1..]),
            }
        }
    }
    check(&top, &as_33).exits(0);
    assert_eq!(fs::metadata(&read_only).unwrap().uid(), 1000);
    // A program that gives its owner's rights stays so, and that is said.
    let program = file(&top.join("program"), LEO, 0o4755);
    prepare(&idshift, &top, &["--share", "--owner", "33:33"]).exits(0);
    let told = check(&top, &as_33).exits(3);
    let words = format!(
        "leave set-id programs: a container that could write to {}",
        program.display()
    );
    assert!(told.text().contains(&words), "{told}");
    assert!(!told.text().contains("idshift prepare"), "{told}");
}
