//! A migration is killed, and before it is resumed or rolled back a Docker daemon is started: nothing is lost or
//! hidden, and one of the two always works.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::scene::{self, Scene};
use crate::support::{
    Idshift, Kind, Numbers, Promise, Run, TestFs, data_root, long, need_root, output, script, trace,
};
use serde_json::Value;

/// What a user sees, and can start, of a data-root.
fn things(daemon: &Daemon<'_>) -> Vec<String> {
    let list = |what: &str, args: &[&str]| -> Vec<String> {
        let all = daemon.docker(args);
        all.lines().map(|line| format!("{what} {line}")).collect()
    };
    let mut all = list(
        "image",
        &[
            "images",
            "--no-trunc",
            "--format",
            "{{.ID}} {{.Repository}}",
        ],
    );
    all.extend(list("volume", &["volume", "ls", "-q"]));
    all.extend(list("container", &["ps", "-aq", "--no-trunc"]));
    all.extend(list("network", &["network", "ls", "-q", "--no-trunc"]));
    all.sort();
    all
}

/// A container that ran and wrote into a volume.
fn use_daemon(daemon: &Daemon<'_>, name: &str) {
    let volume = format!("{name}:/vol");
    let run = ["run", "--network=none", "--name", name, "-v", &volume];
    daemon.docker(&[&run[..], &["tiny:1", "sh", "-c", "echo kept > /vol/kept"]].concat());
}

/// Whether that container and its volume are whole.
fn is_usable(daemon: &Daemon<'_>, name: &str, when: &str) {
    let start = daemon.try_docker(&["start", "-a", name]);
    assert_eq!(start.code, Some(0), "{when}: {start}");
    let volume = format!("{name}:/vol");
    let run = ["run", "--rm", "--network=none", "-v", &volume, "tiny:1"];
    let kept = daemon.docker(&[&run[..], &["cat", "/vol/kept"]].concat());
    assert_eq!(kept, "kept", "{when}");
}

fn host_with_a_container() -> Host {
    let host = Host::new();
    let daemon = host.start(&[]);
    daemon.import_tiny("tiny:1");
    use_daemon(&daemon, "first");
    daemon.stop();
    host
}

fn command(idshift: &Idshift, host: &Host, what: &str, more: &[&str]) -> Command {
    idshift.command([&docker_args(what, host)[..], more].concat())
}

const PLAIN: &[&str] = &[];

/// Resumes or rolls back; where one is refused nothing is changed, and the other one works. Whether it is undone.
fn brought_to_an_end(idshift: &Idshift, host: &Host, first: &str, when: &str) -> bool {
    let before = timeless(&snapshot(&host.data_root));
    let run = idshift.run([first, "latest"]);
    match run.code {
        Some(0) => return first == "rollback",
        Some(4) => {}
        _ => panic!("{when}, {first}: {run}"),
    }
    // Refused as a whole, and it says what helps.
    let now = timeless(&snapshot(&host.data_root));
    same(&before, &now, &format!("{when}: {run}"));
    let second = match first {
        "resume" => "rollback",
        _ => "resume",
    };
    assert!(
        run.stderr.contains(&format!("idshift {second}")),
        "{when}: {run}"
    );
    let other = idshift.run([second, "latest"]);
    assert_eq!(other.code, Some(0), "{when}: {run}\n{other}");
    second == "rollback"
}

/// `from` is the daemon that has the data, `to` the one that is to have it.
fn daemons_between(
    what: &'static str,
    idmapped: &[&str],
    (from, to): (&[&str], &[&str]),
    promise: &Promise,
) {
    let host = host_with_a_container();
    let idshift = Idshift::new();
    let more = if what == "migrate" { idmapped } else { &[] };
    migrate(&idshift, &host, &[&["--create-user"], idmapped].concat()).exits(0);
    if what == "migrate" {
        idshift.run(["rollback", "latest"]).exits(0);
    }
    let learning = Idshift::new();
    let events = trace::count(&command(&learning, &host, what, more));
    learning.run(["rollback", "latest"]).exits(0);
    let mut numbers = Numbers::seeded(15);
    let cases = if long() { events } else { 8 };
    let (mut blocked, mut ran) = (0, 0);
    for case in 0..cases {
        let n = match long() {
            true => case,
            // The last ones are where a daemon finds its data again.
            false if case % 3 == 0 => events - 1 - numbers.below(24),
            false => numbers.below(events),
        };
        let (args, who) = match case % 2 {
            0 => (from, "the daemon of before"),
            _ => (to, "the daemon of after"),
        };
        let first = if numbers.below(2) == 0 {
            "resume"
        } else {
            "rollback"
        };
        let when = format!("{what} killed at event {n} of {events}, {who}, then {first}");
        let idshift = Idshift::new();
        if !trace::kill_at(&command(&idshift, &host, what, more), n) {
            idshift.run(["rollback", "latest"]).exits(0);
            continue;
        }
        let name = format!("between{case}");
        let is_made = match host.try_start(args) {
            Err(log) => {
                // The mount point of a root that is not mounted is immutable.
                let is_told = ["not a directory", "operation not permitted"];
                assert!(is_told.iter().any(|it| log.contains(it)), "{when}: {log}");
                blocked += 1;
                false
            }
            Ok(daemon) => {
                ran += 1;
                let has_data = things(&daemon).iter().any(|it| it.starts_with("image"));
                if has_data {
                    is_usable(&daemon, "first", &when);
                    use_daemon(&daemon, &name);
                }
                daemon.stop();
                has_data
            }
        };
        let open = !idshift.journal_files().is_empty() && scene::is_unfinished(&idshift);
        let undone = match open {
            true => brought_to_an_end(&idshift, &host, first, &when),
            // There was no journal yet, or the run had come to its end.
            false => idshift.journal_files().is_empty(),
        };
        let daemon = host.start(if undone { from } else { to });
        is_usable(&daemon, "first", &when);
        if is_made {
            is_usable(&daemon, &name, &when);
            daemon.docker(&["rm", "-v", &name]);
            daemon.docker(&["volume", "rm", &name]);
        }
        daemon.stop();
        if !undone {
            let (back, more) = match what {
                "migrate" => ("revert", PLAIN),
                _ => ("migrate", idmapped),
            };
            let run = Run::of(&mut command(&Idshift::new(), &host, back, more));
            assert_eq!(run.code, Some(0), "{when}: {run}");
        }
        promise.held();
    }
    assert!(blocked > 0 && ran > 0, "{blocked} blocked, {ran} ran");
}

#[test]
fn a_real_daemon_after_a_killed_migration() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "A daemon started after a killed `docker migrate` finds all of its data or does not start; then one of resume \
         and rollback works, and what the daemon made is there",
        "kill -9 at system calls that change the disk, a plain or a remapped dockerd started and stopped, a container \
         run and a volume made where it starts; then resumed or rolled back, and seen through a daemon again",
    );
    daemons_between("migrate", PLAIN, (PLAIN, REMAPPED), &promise);
}

#[test]
fn a_real_daemon_after_a_killed_revert() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "The same of `docker revert`",
        "kill -9 at system calls that change the disk, a plain or a remapped dockerd started and stopped, a container \
         run and a volume made where it starts; then resumed or rolled back, and seen through a daemon again",
    );
    daemons_between("revert", PLAIN, (REMAPPED, PLAIN), &promise);
}

#[test]
fn a_real_daemon_after_a_killed_idmapped_run() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "The same of `docker migrate --idmapped` and its revert",
        "kill -9 at system calls that change the disk or mount, a plain or a remapped dockerd started and stopped, a \
         container run and a volume made where it starts; then resumed or rolled back, and seen through a daemon again",
    );
    daemons_between("migrate", &["--idmapped"], (PLAIN, REMAPPED), &promise);
    daemons_between("revert", &["--idmapped"], (REMAPPED, PLAIN), &promise);
}

/// Between the mount point that is removed and the content that is renamed to its place.
#[test]
fn what_a_daemon_made_in_the_place_of_a_mount_point_is_set_aside() {
    need_root();
    let host = host_with_a_container();
    migrate(&Idshift::new(), &host, &["--create-user", "--idmapped"]).exits(0);
    let point = host.data_root.join("100000.100000");
    let content = host
        .data_root
        .join("idshift-idmapped-100000.100000/content/containers");
    let learning = Idshift::new();
    let events = trace::count(&command(&learning, &host, "migrate", PLAIN));
    learning.run(["rollback", "latest"]).exits(0);
    // The last event before which the content is still where it was.
    let (mut low, mut high) = (0, events);
    let mut between = None;
    while between.is_none() && low < high {
        let n = (low + high) / 2;
        let idshift = Idshift::new();
        trace::kill_at(&command(&idshift, &host, "migrate", PLAIN), n);
        match (point.exists(), content.exists()) {
            (false, true) => {
                between = Some(idshift);
                continue;
            }
            (_, true) => low = n + 1,
            (_, false) => high = n,
        }
        if !idshift.journal_files().is_empty() {
            idshift.run(["rollback", "latest"]).exits(0);
        }
    }
    let idshift = between.expect("there is such a moment");
    make_daemon_things(&point, true);
    let resumed = idshift.run(["resume", "latest"]).exits(0);
    assert!(keeps(&host.data_root), "{resumed}");
    let aside = host.data_root.join("idshift-aside-between/100000.100000");
    assert!(keeps(&aside), "{resumed}");
    let daemon = host.start(REMAPPED);
    is_usable(&daemon, "first", "resumed");
    daemon.stop();
}

/// Modification times of every directory of a tree, by path.
fn directory_times(top: &Path) -> Vec<String> {
    let out = output("python3", [script("snapshot.py").as_path(), top]).stdout;
    String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|value| value["type"] == "directory")
        .map(|value| format!("{} {}", value["path"], value["mtime_ns"]))
        .collect()
}

#[test]
fn a_rollback_gives_every_directory_its_time_back() {
    need_root();
    for kind in [Kind::Ext4, Kind::Xfs] {
        let scene = scene::migrate(kind);
        let start = directory_times(&scene.top);
        let idshift = Idshift::new();
        Run::of(&mut scene.command(&idshift)).exits(0);
        assert_ne!(start, directory_times(&scene.top));
        idshift.rollback();
        same(&start, &directory_times(&scene.top), "migrate, rolled back");

        // Out of the range, killed at its end.
        Run::of(&mut scene.command(&Idshift::new())).exits(0);
        let inside = directory_times(&scene.top);
        let args = scene::docker_args("revert", &scene.top, &[]);
        let idshift = Idshift::new();
        let events = trace::count(&idshift.command(&args));
        idshift.rollback();
        same(&inside, &directory_times(&scene.top), "revert, rolled back");
        let idshift = Idshift::new();
        assert!(trace::kill_at(&idshift.command(&args), events - 6));
        idshift.rollback();
        same(&inside, &directory_times(&scene.top), "revert, killed");
    }
}

#[test]
fn rollback_of_prepare_restores_directory_times() {
    need_root();
    let scene = scene::prepare(Kind::Ext4);
    let start = directory_times(&scene.top);
    let idshift = Idshift::new();
    Run::of(&mut scene.command(&idshift)).exits(0);
    idshift.rollback();
    same(&start, &directory_times(&scene.top), "prepare, rolled back");
}

/// What a daemon makes that is kept from starting, or that somebody let start by removing the guard.
fn make_daemon_things(root: &Path, all: bool) {
    let _ = fs::remove_dir_all(root.join("tmp"));
    fs::create_dir_all(root.join("tmp")).unwrap();
    if !all {
        return;
    }
    for below in [
        "buildkit/content",
        "containerd/daemon",
        "image/overlay2/layerdb",
        "network/files",
        "overlay2/l",
        "plugins/storage",
        "runtimes",
        "swarm",
        "trust",
        "volumes",
    ] {
        let _ = fs::create_dir_all(root.join(below));
    }
    let _ = fs::write(root.join("network/files/local-kv.db"), "new");
    let containers = root.join("containers");
    if containers.is_file() {
        fs::remove_file(&containers).unwrap();
    }
    fs::create_dir_all(containers.join("new")).unwrap();
    fs::create_dir_all(root.join("volumes/made-between/_data")).unwrap();
    fs::write(root.join("volumes/made-between/_data/kept"), "kept").unwrap();
}

/// Whether what was made is somewhere below.
fn keeps(top: &Path) -> bool {
    let found = output(
        "find",
        [
            top.as_os_str(),
            "-path".as_ref(),
            "*made-between/_data/kept".as_ref(),
        ],
    );
    !found.stdout.is_empty()
}

fn end(scene: &Scene, idshift: &Idshift, first: &str, when: &str) {
    let mut told = String::new();
    let ways: [&str; 2] = match first {
        "resume" => ["resume", "rollback"],
        _ => ["rollback", "resume"],
    };
    for what in ways {
        let run = idshift.run([what, "latest"]);
        told += &run.to_string();
        match run.code {
            Some(0) => return,
            Some(4) => {}
            _ => break,
        }
    }
    panic!("{}, {when}: {told}", scene.name);
}

#[test]
fn what_daemons_make_at_each_start_is_in_nobodys_way() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "What a daemon that could not start leaves behind stops neither resume nor rollback",
        "kill -9 at system calls that change the disk; `tmp` recreated in the plain and in the remapped root; resumed, \
         or rolled back to the byte",
    );
    let mut scene = scene::migrate(Kind::Ext4);
    let events = scene.events();
    let step = if long() { 1 } else { 17 };
    for (case, n) in (0..events).step_by(step).enumerate() {
        let idshift = Idshift::new();
        let when = format!("killed at event {n} of {events}");
        if !trace::kill_at(&scene.command(&idshift), n) || idshift.journal_files().is_empty() {
            idshift
                .journal_files()
                .is_empty()
                .then_some(())
                .map_or_else(
                    || scene.roll_back(&idshift, &when),
                    |()| scene.is_at_start(&when),
                );
            continue;
        }
        let inner = scene.top.join("100000.100000");
        let is_guarded = scene.top.join("containers").is_file();
        if is_guarded {
            make_daemon_things(&scene.top, false);
        }
        if inner.join("containers").is_file() {
            make_daemon_things(&inner, false);
        }
        let is_new = ["tmp", "idshift-aside-between"];
        let strip = |lines: Vec<String>| -> Vec<String> {
            lines
                .into_iter()
                .filter(|line| {
                    !is_new
                        .iter()
                        .any(|name| line.contains(&format!("{name}\"")))
                })
                .collect()
        };
        let first = if case % 2 == 0 { "resume" } else { "rollback" };
        end(&scene, &idshift, first, &when);
        let now = strip(timeless(&snapshot(&scene.top)));
        let states = [scene.start(), scene.end()].map(|lines| strip(lines.to_vec()));
        assert!(
            states.contains(&now),
            "{when}, {first}: neither start nor end"
        );
        if now == states[1] {
            let run = idshift.run(["rollback", "latest"]);
            if run.code == Some(4) {
                // A daemon may have been running since, for all that is known.
                run.says("idshift docker revert");
                scene = scene::migrate(Kind::Ext4);
                continue;
            }
        }
        same(&states[0], &strip(timeless(&snapshot(&scene.top))), &when);
        promise.held();
    }
}

/// What a daemon and its containers do to what a run lists: inodes are made anew, another is given away, one goes, and
/// the metadata of a container is written.
fn use_listed(top: &Path, owner: u32) {
    fs::remove_dir(top.join("tmp")).unwrap();
    fs::create_dir(top.join("tmp")).unwrap();
    let config = top.join("containers/4567/config.v2.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "\n").unwrap();
    let diff = top.join("overlay2/0123/diff");
    let plain = diff.join("plain");
    let text = fs::read(&plain).unwrap();
    fs::rename(&plain, diff.join("kept")).unwrap();
    fs::write(&plain, text).unwrap();
    std::os::unix::fs::chown(diff.join("setuid"), Some(owner), Some(owner)).unwrap();
    fs::remove_file(diff.join("passing")).unwrap();
}

#[test]
fn a_run_cut_short_while_listing_is_closed() {
    need_root();
    let test_fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&test_fs.path().join("docker"));
    let diff = top.join("overlay2/0123/diff");
    let mut listed = 0;
    for n in 0..1000 {
        fs::write(diff.join("passing"), "").unwrap();
        let idshift = Idshift::new();
        let command = idshift.command(scene::docker_args("migrate", &top, &[]));
        assert!(trace::kill_at(&command, n));
        if idshift.journal_files().is_empty() {
            continue;
        }
        use_listed(&top, 4321 + n as u32);
        let used = timeless(&snapshot(&top));
        let resumed = idshift.run(["resume", "latest"]).exits(4);
        if !resumed.stderr.contains("before it knew everything") {
            assert!(listed > 0, "no journal named an inode");
            return;
        }
        let dry = idshift.run(["rollback", "--dry-run", "latest"]).exits(0);
        let undone = idshift.run(["rollback", "latest"]).exits(0);
        for run in [dry, undone] {
            let text = run.text();
            listed += u64::from(!text.contains("of 0 inodes"));
            assert!(!text.contains("Left as they were"), "{n}: {run}");
        }
        let when = format!("killed at event {n}, used, rolled back");
        same(&used, &timeless(&snapshot(&top)), &when);
    }
    panic!("no kill came after the list");
}

#[test]
fn a_guard_that_somebody_removed_loses_nothing() {
    need_root();
    for first in ["resume", "rollback"] {
        let scene = scene::migrate(Kind::Ext4);
        let idshift = Idshift::new();
        // Somewhere after the first change and before the last.
        let events = scene.events();
        let n = (0..events)
            .rev()
            .find(|n| {
                let one = Idshift::new();
                trace::kill_at(&scene.command(&one), *n);
                let is_half = scene.top.join("idshift-moving-100000.100000").is_dir();
                scene.roll_back(&one, "looking");
                is_half
            })
            .unwrap();
        assert!(trace::kill_at(&scene.command(&idshift), n - 4));
        make_daemon_things(&scene.top, true);
        assert!(keeps(&scene.top));
        end(&scene, &idshift, first, "a guard removed");
        assert!(keeps(&scene.top), "{first}: what was made between is gone");
        let data = match first {
            "resume" => scene.top.join("100000.100000"),
            _ => scene.top.clone(),
        };
        assert!(data.join("containers/4567/config.v2.json").is_file());
        assert!(data.join("overlay2/0123/diff").is_dir());
        assert!(data.join("volumes/named").is_dir());
    }
}
