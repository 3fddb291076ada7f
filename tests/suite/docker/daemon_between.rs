//! A migration is killed, and before it is resumed or rolled back a Docker daemon is started: nothing is lost or
//! hidden, and one of the two always works.

use std::process::Command;

use super::daemon_leftovers::{keeps, make_daemon_things};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, Numbers, Promise, Run, long, need_root, scene, trace};

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
        let is_made = used_after_the_kill(&host, args, &name, &when);
        match is_made {
            None => blocked += 1,
            Some(_) => ran += 1,
        }
        let is_made = is_made == Some(true);
        let open = !idshift.journal_files().is_empty() && scene::is_unfinished(&idshift);
        let undone = match open {
            true => brought_to_an_end(&idshift, &host, first, &when),
            // There was no journal yet, or the run had come to its end.
            false => idshift.journal_files().is_empty(),
        };
        let args = if undone { from } else { to };
        used_at_the_end(&host, args, is_made.then_some(&name), &when);
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

/// Starts a daemon where the run was killed, and makes something with it, if it finds its data. `None`: it does not start.
fn used_after_the_kill(host: &Host, args: &[&str], name: &str, when: &str) -> Option<bool> {
    let daemon = match host.try_start(args) {
        Ok(daemon) => daemon,
        Err(log) => {
            // The mount point of a root that is not mounted is immutable.
            let is_told = ["not a directory", "operation not permitted"];
            assert!(is_told.iter().any(|it| log.contains(it)), "{when}: {log}");
            return None;
        }
    };
    let has_data = things(&daemon).iter().any(|it| it.starts_with("image"));
    if has_data {
        is_usable(&daemon, "first", when);
        use_daemon(&daemon, name);
    }
    daemon.stop();
    Some(has_data)
}

/// All is there, and what was made meanwhile.
fn used_at_the_end(host: &Host, args: &[&str], made: Option<&String>, when: &str) {
    let daemon = host.start(args);
    is_usable(&daemon, "first", when);
    if let Some(name) = made {
        is_usable(&daemon, name, when);
        daemon.docker(&["rm", "-v", name]);
        daemon.docker(&["volume", "rm", name]);
    }
    daemon.stop();
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
fn a_real_daemon_after_a_killed_idmapped_migration() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "The same of `docker migrate --idmapped`",
        "kill -9 at system calls that change the disk or mount, a plain or a remapped dockerd started and stopped, a \
         container run and a volume made where it starts; then resumed or rolled back, and seen through a daemon again",
    );
    daemons_between("migrate", &["--idmapped"], (PLAIN, REMAPPED), &promise);
}

#[test]
fn a_real_daemon_after_a_killed_revert_of_an_idmapped_root() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "The same of `docker revert` of an idmapped root",
        "kill -9 at system calls that change the disk or mount, a plain or a remapped dockerd started and stopped, a \
         container run and a volume made where it starts; then resumed or rolled back, and seen through a daemon again",
    );
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
    // Where the run is when it is killed, or the run that was killed at that moment.
    let killed_at = |n: u64| {
        let idshift = Idshift::new();
        trace::kill_at(&command(&idshift, &host, "migrate", PLAIN), n);
        let place = (point.exists(), content.exists());
        match place {
            (false, true) => return Ok(idshift),
            _ if idshift.journal_files().is_empty() => {}
            _ => _ = idshift.run(["rollback", "latest"]).exits(0),
        }
        Err(place)
    };
    // The last event before which the content is still where it was.
    let (mut low, mut high) = (0, events);
    let mut between = None;
    while between.is_none() && low < high {
        let n = (low + high) / 2;
        match killed_at(n) {
            Ok(idshift) => between = Some(idshift),
            Err((_, true)) => low = n + 1,
            Err((_, false)) => high = n,
        }
    }
    // Not every run has as many events before it: the journal's writes are what happened to come together.
    let mut near = (0..40).map(|n| (low + n % 10).saturating_sub(5));
    while between.is_none() {
        let n = near.next().expect("there is such a moment");
        between = killed_at(n).ok();
    }
    let idshift = between.expect("it was found");
    make_daemon_things(&point, true);
    let resumed = idshift.run(["resume", "latest"]).exits(0);
    assert!(keeps(&host.data_root), "{resumed}");
    let aside = host.data_root.join("idshift-aside-between/100000.100000");
    assert!(keeps(&aside), "{resumed}");
    let daemon = host.start(REMAPPED);
    is_usable(&daemon, "first", "resumed");
    daemon.stop();
}

/// The remapped daemon was started before the mount point of its root was made, and made a root of its own there.
#[test]
fn what_a_daemon_made_before_there_was_a_mount_point_is_kept() {
    need_root();
    let host = host_with_a_container();
    let point = host.data_root.join("100000.100000");
    let learning = Idshift::new();
    let how = ["--create-user", "--idmapped"];
    let events = trace::count(&command(&learning, &host, "migrate", &how));
    learning.run(["rollback", "latest"]).exits(0);
    let kill_at = |n: u64| {
        let idshift = Idshift::new();
        trace::kill_at(&command(&idshift, &host, "migrate", &how), n);
        idshift
    };
    let undo = |idshift: &Idshift| {
        if !idshift.journal_files().is_empty() {
            idshift.run(["rollback", "latest"]).exits(0);
        }
    };
    // The first event after which there is a mount point.
    let (mut low, mut high) = (0, events);
    while low < high {
        let n = (low + high) / 2;
        let idshift = kill_at(n);
        match point.exists() {
            true => high = n,
            false => low = n + 1,
        }
        undo(&idshift);
    }
    // Just before it, with the guard in its place. Not every run has as many events before it.
    let killed = || {
        let at = |n: u64| {
            let idshift = kill_at(n);
            let is_guarded = host.data_root.join("containers").is_file();
            if is_guarded && !point.exists() {
                return Some(idshift);
            }
            undo(&idshift);
            None
        };
        let mut near = (0..40).map(|n| (low + 3).saturating_sub(n % 12));
        near.find_map(at).expect("there is such a moment")
    };
    let idshift = killed();
    make_daemon_things(&point, true);
    let undone = idshift.run(["rollback", "latest"]).exits(0);
    assert!(keeps(&point), "{undone}");
    let daemon = host.start(PLAIN);
    is_usable(&daemon, "first", "rolled back");
    daemon.stop();
    std::fs::remove_dir_all(&point).unwrap();

    let idshift = killed();
    make_daemon_things(&point, true);
    let resumed = idshift.run(["resume", "latest"]).exits(0);
    assert!(
        keeps(&host.data_root.join("idshift-aside-between/100000.100000")),
        "{resumed}"
    );
    let daemon = host.start(REMAPPED);
    is_usable(&daemon, "first", "resumed");
    daemon.stop();
}
