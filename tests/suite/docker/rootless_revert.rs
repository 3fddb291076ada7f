//! What a user's real rootless daemon has becomes the plain daemon's, unless somebody could reach the host with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::kills::small_host_of_tiny_containers;
use super::rootless_adversary::{Holder, as_uid, nothing_set_id_is_roots};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::rootless::{RootlessUser, UID, USER};
use crate::support::{Idshift, Run, need_root, output, sh};

const RANGES: &str = "ann:300000:65536\n";

fn to_plain(idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    revert(idshift, host, &[&["--rootless", USER], more].concat())
}

/// A plain container and a volume with a program of root's, in the data-root of a user's rootless daemon.
fn rootless_host() -> (Host, RootlessUser, Idshift) {
    need_root();
    let host = small_host_of_tiny_containers();
    let daemon = host.start(&[]);
    daemon.docker(&["rm", "two"]);
    daemon.stop();
    let tool = host.data_root.join("volumes/vol/_data/tool");
    fs::copy("/bin/true", &tool).unwrap();
    sh("chmod", ["4755".as_ref(), tool.as_os_str()]);
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--rootless", USER]).exits(0);
    (host, user, idshift)
}

#[test]
fn all_that_the_rootless_daemon_made_comes_back() {
    need_root();
    let host = Host::new();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    fs::create_dir(&bind).unwrap();
    let plain = host.start(&[]);
    populate(&plain, &bind);
    plain.stop();
    migrate(&idshift, &host, &["--rootless", USER]).exits(0);
    let rootless = user.start(&host);
    make_more(&rootless);
    to_plain(&idshift, &host, &[])
        .exits(4)
        .says("`docker volume rm elsewhere`");
    rootless.docker(&["volume", "rm", "elsewhere"]);
    rootless.stop();
    what_could_do_more_is_refused(&idshift, &host, &user);
    let rootless = user.start(&host);
    let before = seen(&rootless);
    to_plain(&idshift, &host, &[])
        .exits(4)
        .says("in use by process");
    rootless.stop();

    let there = snapshot(host.beside());
    let run = to_plain(&idshift, &host, &["--dry-run"]);
    run.exits(0)
        .says("contents of images, containers and volumes are not checked")
        .says("Containers that start with the daemon, as root's: networked.")
        .says("`docker network create net1`");
    same(&there, &snapshot(host.beside()), "after a dry run");
    to_plain(&idshift, &host, &[])
        .exits(0)
        .says("Now start the plain daemon");
    idshift.run(["verify", "latest"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(&there, &snapshot(host.beside()), "after a rollback");
    to_plain(&idshift, &host, &[]).exits(0);

    owners_are_roots_again(&host);
    let plain = host.start(&[]);
    let now = seen(&plain);
    assert_eq!(
        (now.images, now.volumes, now.containers, now.saved),
        (
            before.images,
            before.volumes,
            before.containers,
            before.saved
        )
    );
    use_what_was_made(&plain);
    plain.stop();
    no_rollback_after_a_daemon(&idshift, &host);
}

fn make_more(rootless: &Daemon<'_>) {
    let work = "echo n > /home/app/new; chown app /home/app/new; echo v > /m/v; chown 1000 /m /m/v; \
                rm -r /opt/dir && mkdir /opt/dir && echo x > /opt/dir/x; \
                for f in /opt/set /m/set; do cp /bin/true $f; chmod 4755 $f; done";
    let run = [
        "run",
        "--network=none",
        "--name=later",
        "-u=0",
        "-v=made:/m",
    ];
    rootless.docker(&[&run[..], &["app:1", "sh", "-c", work]].concat());
    rootless.docker(&["commit", "later", "made:1"]);
    let networked = ["create", "--network=net1", "--restart=always"];
    rootless.docker(&[&networked[..], &["--name=networked", "app:1", "sleep", "9"]].concat());
}

/// Each of these could do more in root's daemon than a plain container.
fn what_could_do_more_is_refused(idshift: &Idshift, host: &Host, user: &RootlessUser) {
    for name in ["sleeper", "privileged", "hostns"] {
        let there = snapshot(host.beside());
        let run = to_plain(idshift, host, &[]);
        run.exits(4).says("more of the host");
        same(&there, &snapshot(host.beside()), name);
        let rootless = user.start(host);
        rootless.docker(&["rm", name]);
        rootless.stop();
    }
}

fn owners_are_roots_again(host: &Host) {
    let made = host.data_root.join("volumes/made/_data");
    let owner = |name: &str| {
        let it = fs::metadata(made.join(name)).unwrap();
        (it.uid(), it.gid(), it.mode() & 0o7777)
    };
    assert_eq!(owner("v"), (1000, 0, 0o644));
    assert_eq!(owner("set"), (0, 0, 0o4755));
}

fn use_what_was_made(plain: &Daemon<'_>) {
    let print =
        "cat /home/app/new; stat -c %u /home/app/new; stat -c '%u %a' /opt/set; ls /opt/dir";
    let run = ["run", "--rm", "--network=none", "made:1", "sh", "-c", print];
    assert_eq!(plain.docker(&run), "n\n1000\n0 4755\nx");
    plain.docker(&["start", "-a", "later"]);
    plain.docker(&["network", "create", "--internal", "net1"]);
    plain.docker(&["start", "networked"]);
    plain.docker(&["rm", "-f", "networked"]);
}

/// Root's daemon may have made set-id files of root's.
fn no_rollback_after_a_daemon(idshift: &Idshift, host: &Host) {
    let there = snapshot(host.beside());
    for more in [&[][..], &["--force"]] {
        idshift
            .run([&["rollback", "latest"], more].concat())
            .exits(4)
            .says("`idshift docker migrate --rootless USER` gives that user all there is now");
        same(
            &there,
            &snapshot(host.beside()),
            "a rollback that is refused",
        );
    }
}

/// `PATH TYPE OWNER MODE` of what is in a data-root, as `find` has it.
fn layout(root: &Path) -> BTreeSet<String> {
    let command = [root.to_str().unwrap(), "-printf", "%P %y %U:%G %m\n"];
    let found = String::from_utf8(output("find", command).stdout).unwrap();
    found.lines().map(String::from).collect()
}

#[test]
fn the_root_is_as_a_plain_daemon_makes_it() {
    need_root();
    let host = small_host_of_tiny_containers();
    let daemon = host.start(&[]);
    daemon.docker(&["rm", "two"]);
    daemon.stop();
    let plain = layout(&host.data_root);
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--rootless", USER]).exits(0);
    user.start(&host).stop();
    to_plain(&idshift, &host, &[]).exits(0);
    let back = layout(&host.data_root);
    // What a user's daemon wrote for itself stays the user's, where only root enters.
    let is_ours = |line: &&String| !line.starts_with("idshift-aside-");
    let strange: Vec<_> = back
        .iter()
        .filter(is_ours)
        .filter(|line| line.contains(&format!(" {UID}:")) || line.contains(" 300"))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
    let daemon = host.start(&[]);
    daemon.docker(&["run", "--rm", "--network=none", "tiny:1", "true"]);
    daemon.stop();
    let now = layout(&host.data_root);
    let missing: Vec<_> = plain.difference(&now).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let taken = ["containers", "image", "overlay2", "volumes"];
    let is_taken = |line: &&&String| {
        let top = line.split(['/', ' ']).next().unwrap();
        taken.contains(&top)
    };
    let more: Vec<_> = now
        .difference(&plain)
        .filter(|line| is_taken(&line))
        .collect();
    assert!(more.is_empty(), "{more:#?}");
}

#[test]
fn the_plain_data_root_is_roots_alone() {
    let (host, _user, idshift) = rootless_host();
    let mode = |mode: &str| sh("chmod", [mode.as_ref(), host.data_root.as_os_str()]);
    mode("777");
    let there = snapshot(host.beside());
    to_plain(&idshift, &host, &[])
        .exits(4)
        .says("can be changed by others than root: it has mode 0777");
    same(&there, &snapshot(host.beside()), "refused");
    // As a dockerd makes it that is older than 20.10.9.
    mode("711");
    let there = snapshot(host.beside());
    to_plain(&idshift, &host, &[]).exits(0);
    let is = fs::metadata(&host.data_root).unwrap();
    assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (0, 0, 0o710));
    idshift.run(["rollback", "latest"]).exits(0);
    same(&there, &snapshot(host.beside()), "after a rollback");
}

/// What a user may have written: what it is, a script, and what the refusal says.
const PLANTED: [(&str, &str, &str); 24] = [
    (
        "a container that would be privileged",
        "sed -i 's/\"Privileged\":false/\"Privileged\":true/' containers/*/hostconfig.json",
        "privileged",
    ),
    (
        "the root directory bound",
        "sed -i 's/\"Binds\":\\[/\"Binds\":[\"\\/:\\/host\",/' containers/*/hostconfig.json",
        "binds",
    ),
    (
        "a file of the host that the daemon would write",
        "sed -i 's/\"HostsPath\":\"[^\"]*\"/\"HostsPath\":\"\\/etc\\/hosts\"/' containers/*/config.v2.json",
        "hostspath",
    ),
    (
        "a layer that is a directory of the host",
        "for f in image/overlay2/layerdb/mounts/*/mount-id; do chmod u+w $f; printf ../../../../etc > $f; done",
        "mount-id: is not what dockerd writes",
    ),
    (
        "a short name that leads elsewhere",
        "ln -s /etc overlay2/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "could lead out of the data-root",
    ),
    (
        "a lower layer that leads elsewhere",
        "for f in overlay2/*/lower; do chmod u+w $f; printf l/../../../../../etc > $f; done",
        "lower: is not what dockerd writes",
    ),
    (
        "a file of the host in an image that is saved",
        "for f in image/overlay2/layerdb/sha256/*/tar-split.json.gz; do chmod u+w $f; printf '{\"type\":1,\"name\":\"../../../../etc/shadow\",\"size\":9}' | gzip > $f; done",
        "is no file of the layer",
    ),
    (
        "a layer that is a symlink",
        "d=$(ls -d overlay2/*-init/diff); mv $d ~ann/d; ln -s /etc $d",
        "diff: is not what dockerd writes",
    ),
    (
        "metadata that a container could write to",
        "ln image/overlay2/repositories.json volumes/vol/_data/list",
        "repositories.json: is not what dockerd makes",
    ),
    (
        "a name of a layer that a container could write to",
        "ln $(ls -d overlay2/*-init/link) volumes/vol/_data/link",
        "link: is not what dockerd writes",
    ),
    (
        "a redirect out of the layer",
        "d=$(ls -d overlay2/*-init/diff); setfattr -n user.overlay.redirect -v /../../etc $d",
        "user.overlay.redirect",
    ),
    (
        "a hard link outside of a program that would be root's",
        "ln volumes/vol/_data/tool ~ann/tool",
        "hard link",
    ),
    (
        "a volume that is a symlink to the host",
        "mkdir volumes/host; ln -s /etc volumes/host/_data",
        "is not what dockerd makes",
    ),
    (
        "a volume with an option",
        "mkdir -p volumes/host/_data; printf '{\"MountType\":\"none\",\"MountOpts\":\"bind\",\"MountDevice\":\"/etc\"}' > volumes/host/opts.json",
        "is not what dockerd makes",
    ),
    (
        "options of a volume that a container could write to",
        "mkdir -p volumes/host/_data; printf null > volumes/host/opts.json; ln volumes/host/opts.json volumes/host/_data/o",
        "opts.json: is not what dockerd makes",
    ),
    (
        "containers that are a symlink",
        "mv containers ~ann/c; ln -s ~ann/c containers",
        "containers",
    ),
    (
        "metadata that is a symlink",
        "for f in containers/*/config.v2.json; do mv $f ~ann/m; ln -s ~ann/m $f; done",
        "config.v2.json",
    ),
    (
        "a path that only dockerd would find",
        "sed -i 's/\"LogPath\"/\"logpath\"/' containers/*/config.v2.json",
        "logpath",
    ),
    (
        "a volume of the user's directory that only dockerd would find",
        "sed -i 's/\"Source\"/\"source\"/' containers/*/config.v2.json",
        "mountpoints",
    ),
    (
        "metadata that is a fifo",
        "for f in containers/*/config.v2.json; do rm $f; mkfifo $f; done",
        "config.v2.json",
    ),
    (
        "metadata that fills the memory",
        "truncate -s 17M containers/*/config.v2.json",
        "is longer than",
    ),
    (
        "an option of the mount in the name of a layer",
        "for f in overlay2/*/link; do chmod u+w $f; printf 'A,upperdir=etc' > $f; done",
        "link: is not what dockerd writes",
    ),
    (
        "a hard link to what the user keeps",
        "mkdir -p buildkit; ln volumes/vol/_data/tool buildkit/tool",
        "hard link",
    ),
    (
        "a directory of programs that everybody enters",
        "chmod 755 overlay2",
        "overlay2: has mode 0755",
    ),
];

/// What a mistake of root's may have left: what it is, a script, and what the refusal says.
const OF_ROOT: [(&str, &str, &str); 2] = [
    (
        "a file of the host's root",
        "cp /bin/true volumes/vol/_data/roots; chmod 4755 volumes/vol/_data/roots",
        "roots: uid 0 is outside the map",
    ),
    (
        "a file of another account",
        "echo > volumes/vol/_data/other; chown 5000:5000 volumes/vol/_data/other",
        "other: uid 5000 is outside the map",
    ),
];

#[test]
fn what_a_user_planted_is_not_given_to_roots_daemon() {
    let (host, user, idshift) = rootless_host();
    let (root, kept) = (user.data_root(), host.beside().join("kept"));
    let clone = |from: &Path, to: &Path| {
        sh("cp", ["-aT".as_ref(), from.as_os_str(), to.as_os_str()]);
    };
    clone(&root, &kept);
    let all = PLANTED.iter().map(|it| (it, UID));
    for ((what, script, said), uid) in all.chain(OF_ROOT.iter().map(|it| (it, 0))) {
        sh("rm", ["-rf".as_ref(), root.as_os_str()]);
        clone(&kept, &root);
        as_uid(uid, &root, script);
        let there = snapshot(host.beside());
        let dry = to_plain(&idshift, &host, &["--dry-run"]);
        let run = to_plain(&idshift, &host, &[]);
        assert!([Some(1), Some(4)].contains(&run.code), "{what}: {run}");
        // What a run finds when it lists all inodes, it undoes; a dry run lists it.
        let shown = match run.code {
            Some(1) => Some(3),
            code => code,
        };
        assert_eq!(dry.code, shown, "{what}: {dry}\n{run}");
        for run in [dry, run] {
            let told = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
            assert!(told.contains(said), "{what}: {run}");
        }
        same(&there, &snapshot(host.beside()), what);
        if uid != 0 {
            nothing_set_id_is_roots(&host, what);
        }
    }
}

#[test]
fn nothing_is_taken_from_a_user_who_may_still_write_to_it() {
    let (host, user, idshift) = rootless_host();
    let root = user.data_root();
    let there = snapshot(host.beside());
    let script = format!(
        "f = os.open('volumes/vol/_data/tool', os.O_WRONLY); os.chdir('/'); os.setgroups([]); os.setgid({UID}); os.setuid({UID})"
    );
    let holder = Holder::start(&root, &script);
    to_plain(&idshift, &host, &[])
        .exits(4)
        .says("in use by process");
    drop(holder);
    let script = format!("os.chdir('/'); os.setgroups([]); os.setgid({UID}); os.setuid({UID})");
    let holder = Holder::start(&root, &script);
    let run = to_plain(&idshift, &host, &["--dry-run"]);
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(told.contains("still runs process"), "{run}");
    to_plain(&idshift, &host, &[])
        .exits(4)
        .says("still runs process");
    drop(holder);
    same(&there, &snapshot(host.beside()), "refused");

    // Somebody who had come to it just before changes it when it is taken away.
    let is_over = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            while fs::metadata(&root).is_ok_and(|it| it.uid() != 0)
                && !is_over.load(Ordering::Relaxed)
            {
                std::thread::sleep(Duration::from_micros(200));
            }
            let tool = root.join("volumes/vol/_data/tool");
            let file = fs::OpenOptions::new().append(true).open(tool);
            file.is_ok_and(|file| std::io::Write::write_all(&mut &file, b"x").is_ok())
        });
        let run = to_plain(&idshift, &host, &[]);
        is_over.store(true, Ordering::Relaxed);
        assert!(attack.join().unwrap());
        run
    });
    assert_eq!(run.code, Some(1), "{run}");
    assert_eq!(fs::metadata(&root).unwrap().uid(), UID);
    nothing_set_id_is_roots(&host, "changed in between");
    to_plain(&idshift, &host, &[]).exits(0);
    let tool = fs::metadata(host.data_root.join("volumes/vol/_data/tool")).unwrap();
    assert_eq!((tool.uid(), tool.mode() & 0o7777), (0, 0o4755));
    let found = output("find", [root.to_str().unwrap(), "-perm", "/6000"]).stdout;
    assert_eq!(String::from_utf8(found).unwrap(), "");
}

#[test]
fn the_way_back_from_a_rootless_daemon_survives_a_kill_anywhere() {
    let (host, _user, _) = rootless_host();
    let state = || snapshot(host.beside());
    // A directory that the run makes is another one each time.
    let is_made = "\"path\":\"root/idshift-aside-rootless\",";
    let made = || {
        let mut lines = timeless(&state());
        lines.retain(|line| !line.contains(is_made));
        lines
    };
    killed_at_any_place(
        &Killed {
            part: "Docker",
            what: "revert --rootless",
            idshift: &Idshift::new,
            command: &|idshift| {
                let args = docker_args("revert", &host);
                idshift.command([&args[..], &["--rootless", USER]].concat())
            },
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`docker revert --rootless` of a real data-root is finished or undone to the byte",
    );
}
