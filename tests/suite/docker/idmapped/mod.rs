//! A data-root that is remapped by a mount: no owner changes, and what a daemon made meanwhile goes back with the rest.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::filesystem::{Kind, TestFs};
use crate::support::mounted::Mounted;
use crate::support::{Idshift, Run, isolation, need_root, output};

pub(super) const INNER: &str = "100000.100000";
const DRIVER: &[&str] = &["--storage-driver=overlay2"];
pub(super) const HOLDER: &str = "idshift-idmapped-100000.100000";

/// Paths below a directory that belong, on disk, to somebody of the range.
pub(super) fn in_range(top: &Path) -> Vec<PathBuf> {
    let args = ["-xdev", "(", "-uid", "+99999", "-o", "-gid", "+99999", ")"];
    let args = [&[top.to_str().unwrap()], &args[..]].concat();
    let found = String::from_utf8(output("find", args).stdout).unwrap();
    found.lines().map(PathBuf::from).collect()
}

pub(super) fn content(host: &Host) -> PathBuf {
    host.data_root.join(HOLDER).join("content")
}

/// The content, without times; its top is made anew when a reverse is undone.
fn on_disk(host: &Host) -> Vec<String> {
    let mut lines = timeless(&snapshot(&content(host)));
    lines.retain(|line| !line.contains(r#""path":".""#));
    lines
}

/// A container and a volume of one program each.
pub(super) fn tiny(host: &Host) {
    let daemon = host.start(&[]);
    daemon.import_tiny("tiny:1");
    let run = [
        "run",
        "--network=none",
        "--name",
        "one",
        "-v",
        "vol:/vol",
        "tiny:1",
    ];
    daemon.docker(
        &[
            &run[..],
            &["sh", "-c", "echo y > /vol/y && busybox chown 7:7 /vol/y"],
        ]
        .concat(),
    );
    daemon.stop();
}

pub(super) fn unmount(host: &Host) {
    nix::mount::umount2(&host.data_root.join(INNER), nix::mount::MntFlags::empty()).unwrap();
}

/// Of a migration: the daemon's own files got the range's owner, and no other inode was looked at.
fn only_metadata_was_changed(run: &Run, start: &[String]) {
    let (changed, seen) = (&run.json()["changed"], &run.json()["seen"]);
    assert!(changed.as_u64().unwrap() > 50, "{run}");
    assert!(seen.as_u64().unwrap() < start.len() as u64 / 2, "{run}");
}

fn carried_there_and_back(host: &Host) {
    // On btrfs it takes its own driver unless it is told.
    let (plain_args, remapped_args) = (DRIVER, [DRIVER, REMAPPED].concat());
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    std::fs::create_dir(&bind).unwrap();
    let daemon = host.start(plain_args);
    populate(&daemon, &bind);
    let before = seen(&daemon);
    daemon.stop();
    let start = snapshot(&host.data_root);
    migrate(&idshift, host, &["--idmapped", "--dry-run"]).exits(0);
    same(&start, &snapshot(&host.data_root), "after a dry run");
    let run = migrate(&idshift, host, &["--idmapped", "--json"]).exits(0);
    only_metadata_was_changed(&run, &start);
    let point = host.data_root.join(INNER);
    let top = point.metadata().unwrap();
    assert_eq!(
        (top.uid(), top.gid(), top.mode() & 0o7777),
        (0, 100_000, 0o710)
    );
    let holder = host.data_root.join(HOLDER).metadata().unwrap();
    assert_eq!((holder.uid(), holder.mode() & 0o7777), (0, 0o700));
    // Undone to the byte, and done again.
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &snapshot(&host.data_root), "rolled back");
    migrate(&idshift, host, &["--idmapped"]).exits(0);

    let remapped = host.start(&remapped_args);
    assert_eq!(before, seen(&remapped), "remapped");
    remapped.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(&remapped, "sleeper"), 101_000);
    remapped.docker(&[
        "exec",
        "-u",
        "0",
        "sleeper",
        "sh",
        "-c",
        "echo new > /opt/new; chown 1000 /opt/new",
    ]);
    remapped.docker(&["stop", "-t", "0", "sleeper"]);
    let work = "chown 7:8 /fresh; echo n > /fresh/n; chmod 4755 /fresh/n; setfacl -m u:9:rwx /fresh/n; \
                cp /bin/sleep /fresh/raw; setcap cap_net_raw+ep /fresh/raw; rm -rf /opt/dir";
    let new = [
        "run",
        "--network=none",
        "--name",
        "new",
        "-v",
        "fresh:/fresh",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        work,
    ];
    remapped.docker(&new);
    remapped.docker(&["commit", "new", "committed:1"]);
    let with_new = seen(&remapped);
    remapped.stop();
    assert!(
        !in_range(&content(host)).is_empty(),
        "the daemon made something"
    );
    idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says("idshift docker revert");

    let inside = on_disk(host);
    revert(&idshift, host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), [] as [PathBuf; 0]);
    assert!(!point.exists() && !host.data_root.join(HOLDER).exists());
    idshift.run(["rollback", "latest"]).exits(0);
    same(&inside, &on_disk(host), "the reverse rolled back");
    assert_eq!(
        point.metadata().unwrap().gid(),
        100_000,
        "it is mounted again"
    );
    revert(&idshift, host, &[]).exits(0);
    let plain = host.start(plain_args);
    assert_eq!(with_new, seen(&plain), "plain again");
    plain.docker(&["start", "-a", "new"]);
    plain.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(&plain, "sleeper"), 1000);
    let run = [
        "run",
        "--rm",
        "--network=none",
        "-v",
        "fresh:/fresh",
        "--user",
        "0",
        "app:1",
    ];
    let is = [
        "sh",
        "-c",
        "stat -c %u:%g:%a /fresh /fresh/n; getfacl -n /fresh/n | grep user:9; getcap /fresh/raw",
    ];
    let found = plain.docker(&[&run[..], &is].concat());
    assert_eq!(found.lines().next(), Some("7:8:755"), "{found}");
    assert!(
        found.contains("0:0:4775") && found.contains("user:9:rwx"),
        "{found}"
    );
    assert!(found.contains("cap_net_raw"), "{found}");
    plain.stop();
}

#[test]
fn it_goes_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new());
}

#[test]
fn it_goes_there_and_back_on_each_filesystem() {
    need_root();
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let fs = TestFs::new(kind);
        carried_there_and_back(&Host::on(&fs.path()));
    }
    // The data-root is a mount of its own.
    let host = Host::new();
    std::fs::create_dir(&host.data_root).unwrap();
    let _fs = TestFs::mount_inside(Kind::Ext4, &host.data_root);
    carried_there_and_back(&host);
}

#[test]
fn a_daemon_does_not_start_without_the_mount() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"])
        .exits(0)
        .says("idshift docker mount");
    unmount(&host);
    let point = host.data_root.join(INNER);
    let log = host.try_start(REMAPPED).err().expect("it starts");
    assert!(log.contains("operation not permitted"), "{log}");
    assert_eq!(std::fs::read_dir(&point).unwrap().count(), 0);
    for what in ["revert", "migrate"] {
        let refused = idshift.run(docker_args(what, &host)).exits(4);
        refused.says("mount is missing: `idshift docker mount --data-root");
    }
    let mount = [
        "docker",
        "mount",
        "--data-root",
        host.data_root.to_str().unwrap(),
    ];
    let command = |more: &[&str]| {
        let mut command = std::process::Command::new(Idshift::program());
        Run::of(command.args(mount).args(more))
    };
    assert!(command(&[]).exits(0).text().contains("is mounted now"));
    let again = command(&["--json"]).exits(0);
    assert_eq!(again.json()["mounts"][0]["mounted_before"], true, "{again}");
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    command(&[]).exits(4).says("is not remapped by a mount");
}

#[test]
fn what_has_no_way_is_refused_by_name() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    let start = snapshot(&host.data_root);
    // Something is mounted below.
    let data = host.data_root.join("volumes/vol/_data");
    let mounted = Mounted::new("tmpfs", "size=1m", &data);
    for more in [&["--idmapped"][..], &["--idmapped", "--dry-run"]] {
        let refused = migrate(&idshift, &host, more).exits(4);
        refused
            .says(data.to_str().unwrap())
            .says("is a mount point (tmpfs)");
    }
    drop(mounted);
    // Ranges that cannot be exchanged.
    std::fs::write(
        "/etc/subuid",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    )
    .unwrap();
    std::fs::write(
        "/etc/subgid",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    )
    .unwrap();
    migrate(&idshift, &host, &["--idmapped"])
        .exits(4)
        .says("cannot be exchanged");
    isolation::own_etc();
    same(&start, &snapshot(&host.data_root), "refused");

    migrate(&idshift, &host, &[]).exits(0);
    let refused = migrate(&idshift, &host, &["--idmapped"]).exits(4);
    refused.says("first `idshift docker revert`, then `idshift docker migrate --idmapped`");
    revert(&idshift, &host, &[]).exits(0);
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    migrate(&idshift, &host, &["--idmapped"])
        .exits(4)
        .says("by a mount already");
    migrate(&idshift, &host, &["--bind-mounts"])
        .exits(4)
        .says("without --bind-mounts");
    revert(&idshift, &host, &[]).exits(0);
}

#[test]
fn the_audit_tells_what_is_the_matter() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    let plain = audit(&host).exits(0).text();
    for told in [
        "Two ways, by changed owners or by a mount",
        "quotas count",
        "docker migrate --idmapped",
    ] {
        assert!(plain.contains(told), "{told} {plain}");
    }
    let start = snapshot(&host.data_root);
    audit(&host);
    same(
        &start,
        &snapshot(&host.data_root),
        "an audit leaves nothing",
    );
    // What the run refuses, the audit does, by name.
    let data = host.data_root.join("volumes/vol/_data");
    let mounted = Mounted::new("tmpfs", "size=1m", &data);
    let refused = audit(&host).text();
    assert!(refused.contains(data.to_str().unwrap()), "{refused}");
    drop(mounted);

    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let healthy = audit(&host).exits(0).text();
    assert!(healthy.contains("remapped by a mount of"), "{healthy}");
    let tells = |told: &[&str]| {
        let run = audit(&host).exits(3);
        for told in told {
            assert!(run.text().contains(told), "{told:?} {run}");
        }
    };
    let layer = std::fs::read_dir(content(&host).join("overlay2")).unwrap();
    let layer = layer
        .flatten()
        .map(|it| it.path().join("diff"))
        .find(|it| it.is_dir())
        .unwrap();
    std::os::unix::fs::chown(&layer, Some(100_000), Some(100_000)).unwrap();
    tells(&[
        "written without the mount: overlay2/",
        "idshift docker revert gives them back",
    ]);
    std::os::unix::fs::chown(&layer, Some(0), Some(0)).unwrap();

    unmount(&host);
    tells(&[
        "is missing: no daemon starts on it",
        "idshift docker mount --data-root",
    ]);
    // Somebody let a daemon write where the mount belongs, and mounted it then.
    let point = host.data_root.join(INNER);
    output("chattr", ["-i".as_ref(), point.as_os_str()]);
    tells(&["is not immutable"]);
    std::fs::write(point.join("file"), "").unwrap();
    let mount = [
        "docker",
        "mount",
        "--data-root",
        host.data_root.to_str().unwrap(),
    ];
    output(Idshift::program().to_str().unwrap(), mount);
    tells(&["holds files that a daemon wrote without the mount"]);
}

/// As after a restore that lost the flag, and a daemon that was started once without the mount.
#[test]
fn files_below_the_mount_are_refused_before_any_change() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    unmount(&host);
    let point = host.data_root.join(INNER);
    output("chattr", ["-i".as_ref(), point.as_os_str()]);
    std::fs::write(point.join("file"), "kept").unwrap();
    let mount = [
        "docker",
        "mount",
        "--data-root",
        host.data_root.to_str().unwrap(),
    ];
    let mount = || output(Idshift::program().to_str().unwrap(), mount);
    mount();
    let start = snapshot(&host.data_root);
    for (what, more) in [
        ("revert", &[][..]),
        ("revert", &["--dry-run"]),
        ("migrate", &[]),
    ] {
        let args = [&docker_args(what, &host)[..], more].concat();
        let refused = idshift.run(args).exits(4);
        refused
            .says("holds files that a daemon wrote without the mount")
            .says("move away the files in it, chattr +i");
        same(&start, &snapshot(&host.data_root), what);
    }
    unmount(&host);
    std::fs::remove_file(point.join("file")).unwrap();
    // Empty, it need not be immutable to be removed.
    mount();
    revert(&idshift, &host, &[]).exits(0);
    assert!(!point.exists());
}

/// What the daemon makes with the new ids would be nobody's without the mount.
#[test]
fn other_ranges_than_those_of_the_mount_are_refused() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let ranges = |lines: &str| {
        for file in ["/etc/subuid", "/etc/subgid"] {
            std::fs::write(file, lines).unwrap();
        }
    };
    let start = snapshot(&host.data_root);
    let mount = || {
        let mut command = std::process::Command::new(Idshift::program());
        let root = host.data_root.to_str().unwrap();
        Run::of(command.args(["docker", "mount", "--data-root", root]))
    };
    let told = [
        "b:0:100000:65536",
        "Put `dockremap:100000:65536` back into /etc/subuid and /etc/subgid",
        "first `idshift docker revert`",
    ];
    for lines in [
        "dockremap:100000:131072\n",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    ] {
        ranges(lines);
        let audit = audit(&host).exits(3).text();
        assert!(told.iter().all(|told| audit.contains(told)), "{audit}");
        for run in [
            idshift.run(docker_args("revert", &host)),
            idshift.run(docker_args("migrate", &host)),
            mount(),
        ] {
            let run = run.exits(4);
            told.iter().fold(run, |run, told| run.says(told));
        }
        same(&start, &snapshot(&host.data_root), lines);
    }
    // The daemon does not start then, as nothing is mounted.
    unmount(&host);
    mount().exits(4);
    assert!(host.try_start(REMAPPED).is_err());
    isolation::own_etc();
    mount().exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
}

/// What a plain layer has of the range's ids was there before, and is not given back.
#[test]
fn ids_of_the_range_from_before_stay() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let file = |host: &Host| host.data_root.join("volumes/vol/_data/y");
    std::os::unix::fs::chown(file(&host), Some(100_033), Some(100_033)).unwrap();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&[
        "run",
        "--network=none",
        "-v",
        "vol:/vol",
        "tiny:1",
        "sh",
        "-c",
        "echo z > /vol/z",
    ]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), [file(&host)]);
}

#[test]
fn an_idmapped_root_is_made_permanent() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    std::fs::create_dir(&bind).unwrap();
    let daemon = host.start(&[]);
    populate(&daemon, &bind);
    daemon.stop();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    let work = "rm -rf /opt/dir; echo n > /n; chown 7:8 /n; setfacl -m u:9:rwx /n; cp /bin/true /raw; \
                setcap cap_net_raw+ep /raw";
    let new = [
        "run",
        "--network=none",
        "--name",
        "new",
        "-v",
        "fresh:/fresh",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        work,
    ];
    remapped.docker(&new);
    let before = seen(&remapped);
    remapped.stop();
    let point = host.data_root.join(INNER);
    // What containers see of their files: the same ids, before and after.
    let content = |lines: Vec<String>| -> Vec<String> {
        let is_content = |line: &String| line.contains("/diff/") || line.contains("/_data/");
        timeless(&lines).into_iter().filter(is_content).collect()
    };
    let shown = content(snapshot(&point));
    migrate(&idshift, &host, &["--dry-run"]).exits(0);
    migrate(&idshift, &host, &[]).exits(0);
    same(&shown, &content(snapshot(&point)), "made permanent");
    assert!(!host.data_root.join(HOLDER).exists());
    assert_eq!(point.metadata().unwrap().gid(), 100_000);
    let remapped = host.start(REMAPPED);
    assert_eq!(before, seen(&remapped), "permanent");
    remapped.docker(&["start", "-a", "new"]);
    remapped.stop();
    idshift.run(["verify", "latest"]);
    revert(&idshift, &host, &[]).exits(0);
    let plain = host.start(&[]);
    assert_eq!(before, seen(&plain), "plain");
    plain.stop();
}

/// The mount shows such an id as one of the host; changed owners cannot say that.
#[test]
fn ids_of_the_range_from_before_are_not_made_permanent() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let file = |top: &Path| top.join("volumes/vol/_data/y");
    std::os::unix::fs::chown(file(&host.data_root), Some(100_033), Some(100_033)).unwrap();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    host.start(REMAPPED).stop();
    for more in [&["--dry-run"][..], &[]] {
        let run = migrate(&idshift, &host, more);
        assert!(matches!(run.code, Some(1 | 3)), "{run}");
        let said = format!("{run}");
        assert!(
            said.contains("uid 100033") && said.contains("volumes/vol/_data/y"),
            "{run}"
        );
        assert_eq!(file(&content(&host)).metadata().unwrap().uid(), 100_033);
    }
}

/// On disk, what a daemon made since means something else than through the mount.
#[test]
fn a_permanent_root_that_was_used_is_not_rolled_back() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    host.start(REMAPPED).stop();
    migrate(&idshift, &host, &[]).exits(0);
    // Nobody has used it: it can be.
    idshift.rollback().exits(0);
    migrate(&idshift, &host, &[]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["volume", "create", "since"]);
    remapped.stop();
    let is_refused = || {
        let run = idshift.run(["rollback", "latest"]).exits(4);
        let told = run.stderr.contains("a daemon has been started on it since");
        assert!(told, "{run}");
    };
    is_refused();
    // The clock was set back before the daemon was started.
    let point = host.data_root.join(INNER);
    output("touch", ["-d", "2001-01-01", point.to_str().unwrap()]);
    is_refused();
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<PathBuf>::new());
    let plain = host.start(&[]);
    assert!(plain.docker(&["volume", "ls", "-q"]).contains("since"));
    plain.stop();
}

/// Whose it is, containers' or the host's, nobody knows.
#[test]
fn what_somebody_keeps_in_the_root_is_not_made_permanent() {
    need_root();
    let host = Host::new();
    tiny(&host);
    std::fs::create_dir(host.data_root.join("kept")).unwrap();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    for more in [&["--dry-run"][..], &[]] {
        let run = migrate(&idshift, &host, more).exits(4);
        assert!(
            run.stderr.contains("/kept: does not belong to the daemon"),
            "{run}"
        );
    }
}
