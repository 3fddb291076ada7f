//! `idshift check` beside what real containers do, and on whatever a path may lead to.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::REMAPPED;
use crate::support::volume::{acl, check, directory, owned, place, set_acl};
use crate::support::{Idshift, Numbers, Run, long, output, sh};
use serde_json::Value;

/// What a shell in a container can do in each directory of /m and with each file of /f: a line
/// each, in the order of names.
const TRY: &str = "cd /m; for d in *; do can=; \
    busybox ls $d >/dev/null 2>&1 && can=r; \
    (echo x > $d/p && busybox cat $d/p >/dev/null && busybox mv $d/p $d/q && busybox rm $d/q) 2>/dev/null && can=${can}w; \
    echo \"m/$d $can\"; done; \
    cd /f; for f in *; do can=; \
    busybox cat $f >/dev/null 2>&1 && can=r; \
    (: >> $f) 2>/dev/null && can=${can}w; \
    echo \"f/$f $can\"; done";

fn tried_in_a_container(daemon: &Daemon<'_>, top: &Path, user: &[&str]) -> Vec<String> {
    let mounts = ["m", "f"].map(|name| format!("{}:/{name}", top.join(name).display()));
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        &mounts[0],
        "-v",
        &mounts[1],
    ];
    let shell = ["tiny:1", "/bin/busybox", "sh", "-c", TRY];
    let lines = daemon.docker(&[&run[..], user, &shell].concat());
    lines.lines().map(|line| line.trim().to_string()).collect()
}

pub(super) fn remedies(run: &Run) -> Vec<String> {
    let told: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run}"));
    let all = told["remedies"].as_array().unwrap();
    all.iter()
        .map(|one| one.as_str().unwrap().to_string())
        .collect()
}

/// Runs a command as a shell would; `idshift` is this build, with journals of its own.
pub(super) fn carry_out(idshift: &Idshift, command: &str) {
    let (program, journals) = (Idshift::program().display(), idshift.journals().display());
    let function = format!("idshift() {{ {program} \"$@\" --journal-dir {journals}; }}; ");
    sh("bash", ["-c", &(function + command)]);
}

#[test]
fn check_tells_what_a_container_can_do_and_helps() {
    let host = Host::new();
    let top = directory(&host.beside().join("matrix"), (0, 0), 0o755);
    let mut numbers = Numbers::seeded(3);
    let some = directories_and_files(&top, &mut numbers);
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let idshift = Idshift::new();
    let mut answers = [0, 0];
    let mut helped = 0;
    for (user, group) in [
        ("0:0", None),
        ("999:999", None),
        ("1000:1000", None),
        ("1000:999", None),
        ("7:7", Some("1000")),
    ] {
        let group_add = group.map(|group| ["--group-add", group]);
        let of_docker = [
            &["--user", user][..],
            group_add.as_ref().map_or(&[], |it| it),
        ]
        .concat();
        let group = group.map(|group| ["--group", group]);
        let ours = [
            &["--as", user, "--json"][..],
            group.as_ref().map_or(&[], |it| it),
        ]
        .concat();
        let lines = tried_in_a_container(&daemon, &top, &of_docker);
        assert_eq!(lines.len(), 2 * some);
        for line in lines {
            let (name, can) = line.split_once(' ').unwrap_or((&line, ""));
            let path = top.join(name);
            let uses = check(&path, &ours);
            let reads = check(&path, &[&ours[..], &["--read-only"]].concat());
            let what = format!(
                "{user} {group:?} with {}:\n{}\n{uses}",
                path.display(),
                acl(&path)
            );
            assert_eq!(uses.code == Some(0), can == "rw", "{can:?} {what}");
            assert_eq!(reads.code == Some(0), can.contains('r'), "{can:?} {what}");
            answers[usize::from(can == "rw")] += 1;
            if uses.code == Some(0) || !(long() || numbers.below(8) == 0) {
                assert!(uses.code == Some(3) || remedies(&uses).is_empty(), "{uses}");
                continue;
            }
            its_advice_helps(&idshift, &path, &ours, &what);
            helped += 1;
        }
    }
    assert!(
        answers[0] > 30 && answers[1] > 30 && helped > 30,
        "{answers:?} {helped}"
    );
    assert_eq!(
        output("find", [top.to_str().unwrap(), "-name", ".idshift*"]).stdout,
        b""
    );
}

/// With all owners, modes and ACLs, or some of them. How many of each kind.
fn directories_and_files(top: &Path, numbers: &mut Numbers) -> usize {
    let (dirs, files) = (top.join("m"), top.join("f"));
    directory(&dirs, (0, 0), 0o755);
    directory(&files, (0, 0), 0o755);
    let owners = [
        (0, 0),
        (999, 999),
        (100_000, 100_000),
        (100_999, 100_999),
        (100_999, 0),
        (0, 101_000),
        (101_000, 100_999),
    ];
    let modes = [
        0o700, 0o755, 0o770, 0o777, 0o500, 0o000, 0o1777, 0o070, 0o007, 0o711,
    ];
    let acls = [
        None,
        Some("u:100999:rwx"),
        Some("g:101000:rwx"),
        Some("u:100999:---"),
        Some("u:100999:rwx,m::r-x"),
    ];
    let all = owners.len() * modes.len() * acls.len();
    let some = if long() { all } else { 40 };
    for n in 0..some {
        let pick = if long() {
            n
        } else {
            numbers.below(all as u64) as usize
        };
        let owner = owners[pick % owners.len()];
        let bits = modes[pick / owners.len() % modes.len()];
        let dir = directory(&dirs.join(format!("{n:03}")), owner, bits);
        let file = files.join(format!("{n:03}"));
        fs::write(&file, "").unwrap();
        owned(&file, owner, bits & 0o777);
        if let Some(acl) = acls[pick / owners.len() / modes.len()] {
            set_acl(&dir, acl);
            set_acl(&file, acl);
        }
    }
    some
}

/// What is advised helps, done to the same thing once more.
fn its_advice_helps(idshift: &Idshift, path: &Path, ours: &[&str], what: &str) {
    let copy = path.parent().unwrap().parent().unwrap().join("copy");
    output("cp", ["-a".as_ref(), path.as_os_str(), copy.as_os_str()]);
    let commands = remedies(&check(&copy, ours));
    for command in &commands {
        carry_out(idshift, command);
    }
    let now = check(&copy, ours);
    assert_eq!(now.code, Some(0), "{commands:?} {what}\nnow {now}");
    match copy.is_dir() {
        true => fs::remove_dir(&copy).unwrap(),
        false => fs::remove_file(&copy).unwrap(),
    }
}

#[test]
fn container_and_image_users_are_found_with_groups() {
    let host = Host::new();
    let dir = directory(&host.beside().join("data"), (0, 101_234), 0o2770);
    let data_root = host.data_root.to_str().unwrap();
    let dockerfile = "FROM tiny:1\n\
        RUN [\"/bin/busybox\", \"sh\", \"-c\", \"busybox mkdir /etc; echo root:x:0:0::/:/ > /etc/passwd; \
        echo app:x:77:78::/:/ >> /etc/passwd; echo team:x:1234:app > /etc/group; echo more:x:4321: >> /etc/group\"]\n\
        USER app\n";
    let mount = format!("{}:/m", dir.display());
    for (args, dir_name) in [(REMAPPED, "remapped"), (&[][..], "plain")] {
        let daemon = host.start(args);
        daemon.import_tiny("tiny:1");
        daemon.build("app:1", dockerfile);
        let run = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            dir_name,
            "--group-add",
            "more",
        ];
        let id = daemon.docker(
            &[
                &run[..],
                &["-v", &mount, "app:1", "/bin/busybox", "sleep", "1000"],
            ]
            .concat(),
        );
        // What the kernel says of it.
        let mut groups: Vec<u32> = daemon
            .docker(&["exec", dir_name, "/bin/busybox", "id", "-G"])
            .split(' ')
            .map(|id| id.parse().unwrap())
            .collect();
        groups.retain(|&group| group != 78);
        assert_eq!(groups, [1234, 4321]);
        for who in [dir_name, &id, &id[..12]] {
            let args = ["--container", who, "--data-root", data_root, "--json"];
            let told = check(&dir, &args).exits(0).json();
            let found = serde_json::json!({"uid": 77, "gid": 78, "groups": groups});
            assert_eq!(told["as"], found, "{who}");
        }
        for image in ["app:1", "docker.io/library/app:1"] {
            let args = ["--image-user", image, "--data-root", data_root, "--json"];
            let told = check(&dir, &args).exits(0).json();
            let found = serde_json::json!({"uid": 77, "gid": 78, "groups": [1234]});
            assert_eq!(told["as"], found, "{image}");
        }
        // The container's process can, too, where it is remapped.
        let touch = daemon.try_docker(&["exec", dir_name, "/bin/busybox", "touch", "/m/it"]);
        assert_eq!(touch.code == Some(0), args == REMAPPED, "{touch}");
        daemon.docker(&["rm", "-f", dir_name]);
        if args == REMAPPED {
            // It stays for the plain daemon's turn.
            daemon.docker(&["create", "--name", "remapped", "app:1", "x"]);
        }
        daemon.stop();
    }
    let told = check(
        &dir,
        &[
            "--container",
            "remapped",
            "--data-root",
            data_root,
            "--json",
        ],
    );
    assert_eq!(told.json()["as"]["uid"], 77);
    for (option, what) in [("--container", "container"), ("--image-user", "image")] {
        let refused = check(&dir, &[option, "nosuch", "--data-root", data_root]).exits(4);
        let words = format!("there is no {what} nosuch; there are: ");
        assert!(refused.stderr.contains(&words), "{refused}");
    }
}

#[test]
fn a_map_of_several_ranges_is_the_one_that_is_tried() {
    let place = place();
    let maps = ["--map", "b:0:200000:10", "--map", "b:10:300000:1000"];
    let dir = directory(&place.path().join("dir"), (300_023, 300_023), 0o700);
    let mut command = Command::new(Idshift::program());
    let run = Run::of(
        command
            .arg("check")
            .arg(&dir)
            .args(maps)
            .args(["--as", "33:33", "--json"]),
    );
    assert_eq!(
        run.exits(0).json()["host_ids"],
        serde_json::json!([300_023, 300_023])
    );
    let mut command = Command::new(Idshift::program());
    let other = Run::of(
        command
            .arg("check")
            .arg(&dir)
            .args(maps)
            .args(["--as", "9:9"]),
    )
    .exits(3);
    let advice = format!(
        "idshift prepare --map b:0:200000:10 --map b:10:300000:1000 {} --owner 9:9\n",
        dir.display()
    );
    assert!(other.text().ends_with(&advice), "{other}");
}
