//! It is made permanent: owners change, and the mount goes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::super::rollback_killed::kill_rollback_at_its_begin;
use super::{HOLDER, INNER, content, idmapped_host, in_range, tiny_host};
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, need_root, output, scene, trace};

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
    let (host, idshift) = tiny_host();
    let file = |top: &Path| top.join("volumes/vol/_data/y");
    std::os::unix::fs::chown(file(&host.data_root), Some(100_033), Some(100_033)).unwrap();
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
    let (host, idshift) = idmapped_host();
    host.start(REMAPPED).stop();
    migrate(&idshift, &host, &[]).exits(0);
    // Nobody has used it: it can be, also where somebody may read the logs since.
    let containers = host.data_root.join(INNER).join("containers");
    output("setfacl", ["-m", "u:7:rx", containers.to_str().unwrap()]);
    output("setfacl", ["-b", containers.to_str().unwrap()]);
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

/// What a daemon made after its guard was gone means something else through the mount, however far the journal says that the
/// run, or its rollback, came.
#[test]
fn what_a_daemon_made_on_a_half_permanent_root_is_not_mounted_again() {
    let (host, idshift) = idmapped_host();
    let point = host.data_root.join(INNER);
    let run = || idshift.command(docker_args("migrate", &host));
    // All is done but the last writing out, and no daemon was there.
    let kill_before_its_end = || {
        assert!(killed_at(run(), "syncfs", 3));
        assert!(scene::is_unfinished(&idshift) && point.join("containers").is_dir());
    };
    let used_by = |name: &str| {
        let remapped = host.start(REMAPPED);
        remapped.docker(&["volume", "create", name]);
        remapped.stop();
    };
    let is_refused = |help: &str| {
        let refused = idshift.run(["rollback", "latest"]).exits(4);
        let refused = refused.says("a daemon has been started on it since");
        refused.says(help);
    };
    kill_before_its_end();
    idshift.rollback().exits(0);
    kill_before_its_end();
    used_by("unfinished");
    is_refused("idshift resume");
    idshift.run(["resume", "latest"]).exits(0);
    // Its end is later than what the daemon made.
    is_refused("idshift docker revert");
    revert(&idshift, &host, &[]).exits(0);

    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    migrate(&idshift, &host, &[]).exits(0);
    kill_rollback_at_its_begin(&idshift, &point);
    used_by("undoing");
    is_refused("idshift resume");
    idshift.run(["resume", "latest"]).exits(0);
    is_refused("idshift docker revert");
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<PathBuf>::new());
    let plain = host.start(&[]);
    let volumes = plain.docker(&["volume", "ls", "-q"]);
    assert!(
        volumes.contains("unfinished") && volumes.contains("undoing"),
        "{volumes}"
    );
    plain.stop();
}

/// The same where a resume fails, and undoes by itself what it can.
#[test]
fn a_resume_that_fails_does_not_mount_what_a_daemon_made_again() {
    let (host, idshift) = idmapped_host();
    let point = host.data_root.join(INNER);
    assert!(killed_at(
        idshift.command(docker_args("migrate", &host)),
        "syncfs",
        3
    ));
    let remapped = host.start(REMAPPED);
    remapped.docker(&["volume", "create", "since"]);
    remapped.stop();
    let resume = idshift.command(["resume", "latest"]);
    // Its writing out, which is all that was left to do.
    let run = trace::run_failing(&resume, |one| (one.name == "syncfs").then_some(Errno::EIO));
    run.exits(5).says("a daemon has been started on it since");
    assert!(point.join("containers").is_dir() && !content(&host).exists());
    idshift.run(["resume", "latest"]).exits(0);
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<PathBuf>::new());
}

/// Whose it is, containers' or the host's, nobody knows.
#[test]
fn what_somebody_keeps_in_the_root_is_not_made_permanent() {
    let (host, idshift) = tiny_host();
    std::fs::create_dir(host.data_root.join("kept")).unwrap();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    for more in [&["--dry-run"][..], &[]] {
        let run = migrate(&idshift, &host, more).exits(4);
        assert!(
            run.stderr.contains("/kept: does not belong to the daemon"),
            "{run}"
        );
    }
}
