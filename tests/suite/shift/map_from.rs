//! Maps as other tools write them, given to the program in files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::isolation::isolate;
use crate::support::{Idshift, Kind, Run, Snapshot, TestFs, assert_same, need_root, tree};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/maps")
        .join(name)
}

fn show(name: &str, more: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    command
        .arg("map")
        .arg("--json")
        .arg("--map-from")
        .arg(fixture(name))
        .args(more);
    Run::of(&mut command)
}

/// A user with uid 1000 and a range.
fn with_leo() {
    let add = |file: &str, line: &str| {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, text + line).unwrap();
    };
    add("/etc/passwd", "leo:x:1000:1000::/home/leo:/bin/bash\n");
    add("/etc/group", "leo:x:1000:\n");
    for file in ["/etc/subuid", "/etc/subgid"] {
        add(
            file,
            "leo:300000:65536\nroot:1000000:1000000000\nroot:33:1\n",
        );
    }
}

const PASSED: &str = "b:0:100000:1000 b:1000:1000:1 b:1001:101001:64535";

/// A file, options beside it, its map, and a part of a note.
const CONFIGURATIONS: &[(&str, &[&str], &str, &str)] = &[
    (
        "lxc-passthrough.conf",
        &[],
        PASSED,
        "userns.conf is included",
    ),
    ("lxc-old-names.conf", &[], "b:0:296608:65536", ""),
    (
        "proxmox-unprivileged.conf",
        &[],
        "b:0:100000:65536",
        "root must have",
    ),
    (
        "proxmox-snapshot.conf",
        &[],
        "b:0:100000:1005 b:1005:1005:1 b:1006:101006:64530",
        "",
    ),
    (
        "incus-expanded.yaml",
        &[],
        "b:0:1000000:1000 b:1000:1000:1 b:1001:1001001:999998999",
        "its files are not shifted",
    ),
    (
        "lxd-list.json",
        &[],
        "b:0:1065536:65536",
        "its files are in b:0:1000000:1000000000",
    ),
    (
        "incus-never-started.yaml",
        &[],
        "b:0:1000000:33 b:33:33:1 b:34:1000034:999999966",
        "was not started yet",
    ),
    ("daemon.json", &[], "b:0:100000:65536", ""),
    (
        "podman-rootful.sh",
        &[],
        "u:0:500000:65536 g:0:600000:65536",
        "root's Podman",
    ),
    (
        "podman.container",
        &["--subid", "leo"],
        "b:0:300000:1000 b:1000:1000:1 b:1001:301000:64536",
        "",
    ),
    (
        "process_uid_map",
        &[],
        "u:0:100000:100 u:100:100:1 u:101:100101:65435 g:0:200000:65536",
        "",
    ),
    (
        "process_gid_map",
        &[],
        "u:0:100000:100 u:100:100:1 u:101:100101:65435 g:0:200000:65536",
        "",
    ),
];

#[test]
fn each_tools_configuration_gives_its_map() {
    need_root();
    isolate();
    with_leo();
    for (name, more, map, note) in CONFIGURATIONS {
        let run = show(name, more).exits(0);
        let json = run.json();
        let ranges = |ids: &str| -> Vec<String> {
            let ranges = json["map"][ids].as_array().unwrap().iter();
            ranges
                .map(|range| range.as_str().unwrap().to_string())
                .collect()
        };
        let expected = |letter: &str| -> Vec<String> {
            let mut ranges: Vec<String> = map
                .split(' ')
                .filter_map(|range| range.strip_prefix(letter).or(range.strip_prefix("b:")))
                .map(str::to_string)
                .collect();
            ranges.sort_by_key(|range| range.split(':').next().unwrap().parse::<u32>().unwrap());
            ranges
        };
        assert_eq!(ranges("uid"), expected("u:"), "{name}");
        assert_eq!(ranges("gid"), expected("g:"), "{name}");
        assert!(json["notes"].to_string().contains(note), "{name}: {run}");
    }
    for name in ["lxc-privileged.conf", "proxmox-privileged.conf"] {
        assert_eq!(show(name, &[]).exits(0).json()["is_hosts"], true, "{name}");
    }
}

#[test]
fn what_gives_no_map_is_refused_with_path_line_and_help() {
    need_root();
    isolate();
    for (name, more, said) in [
        (
            "lxc-broken.conf",
            &[][..],
            "lxc-broken.conf: line 3: \"g 0 100000\" is not a letter and three numbers",
        ),
        (
            "incus-broken.yaml",
            &[],
            "line 4: raw.idmap: \"uid 33-40 33\" has two ranges of different sizes",
        ),
        (
            "incus-never-started.yaml",
            &[],
            "root has 0 ranges of 65536 ids or more in /etc/subuid",
        ),
        (
            "lxc-old-names.conf",
            &["--subid", "leo"],
            "Leave out one of the two",
        ),
        ("README.md", &[], "has no map that idshift can read"),
        ("missing", &[], "No such file"),
        ("", &[], "is not a regular file"),
    ] {
        let run = show(name, more);
        assert!([Some(2), Some(4)].contains(&run.code), "{name}: {run}");
        let error = run.json()["error"].to_string();
        assert!(error.replace('\\', "").contains(said), "{name}: {error}");
    }
    // A container without a user namespace has nothing to shift into.
    let place = tempfile::tempdir().unwrap();
    let file = fixture("lxc-privileged.conf");
    let run = Idshift::new().run([
        "shift".as_ref(),
        "--map-from".as_ref(),
        file.as_os_str(),
        place.path().as_os_str(),
    ]);
    run.exits(4).says("there is nothing to shift");
}

/// A process in a user namespace of its own, ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_tree_is_shifted_through_the_map_of_a_process() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let start = Snapshot::of(&tree);
    let process = Command::new("unshare")
        .args(["--user", "sleep", "100"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(process);
    let of_process = |name: &str| format!("/proc/{}/{name}", process.0.id());
    let is_apart = || {
        fs::read_link(of_process("ns/user")).unwrap()
            != fs::read_link("/proc/self/ns/user").unwrap()
    };
    for _ in 0..1000 {
        if is_apart() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    fs::write(of_process("uid_map"), "0 100000 65536\n").unwrap();
    fs::write(of_process("gid_map"), "0 200000 65536\n").unwrap();
    let file = of_process("uid_map");
    let idshift = Idshift::new();
    let tree_name = tree.to_string_lossy();
    idshift
        .run(["shift", "--map-from", &file, &tree_name])
        .exits(0);
    let maps = ["u:0:100000:65536", "g:0:200000:65536"];
    assert_same(
        &start.shifted(&maps),
        &Snapshot::of(&tree),
        "after the shift",
    );
    idshift
        .run(["verify", "--map-from", &file, &tree_name])
        .exits(0);
    idshift
        .run(["shift", "--reverse", "--map-from", &file, &tree_name])
        .exits(0);
    assert_same(&start, &Snapshot::of(&tree), "after the way back");
}

#[test]
fn prepare_and_check_take_a_containers_configuration() {
    need_root();
    let place = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    let data = data.to_string_lossy();
    let file = fixture("lxc-old-names.conf");
    let file = file.to_string_lossy();
    let idshift = Idshift::new();
    let check = |code| {
        let mut command = Command::new(Idshift::program());
        command.args(["check", &data, "--as", "33:33", "--map-from", &file]);
        Run::of(&mut command).exits(code)
    };
    let proposed = format!("idshift prepare --map-from {file} {data} --owner 33:33");
    let run = check(3);
    assert!(run.text().contains(&proposed), "{run}");
    idshift
        .run(["prepare", "--map-from", &file, "--owner", "33:33", &data])
        .exits(0);
    assert!(check(0).text().contains("33:33 is 296641:296641"));
}

#[test]
fn ranges_that_are_in_a_directory_service_are_asked_for() {
    need_root();
    isolate();
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("getsubids");
    let nsswitch = fs::read_to_string("/etc/nsswitch.conf").unwrap();
    fs::write("/etc/nsswitch.conf", nsswitch + "subid: sss\n").unwrap();
    let map = |user: &str| {
        let mut command = Command::new(Idshift::program());
        command
            .args(["map", "--json", "--subid", user])
            // This host may have a getsubids of its own.
            .env("PATH", place.path());
        Run::of(&mut command)
    };
    // The host has none; its files are not asked instead.
    map("dockremap")
        .exits(4)
        .says("getsubids, which asks for them, is not installed");
    let text = "#!/bin/sh\nfirst=2147483648\n[ \"$1\" != -g ] || { first=2147549184; shift; }\n\
        [ \"$1\" = ada ] || { echo 'Error fetching ranges' >&2; exit 1; }\necho \"0: $1 $first 65536\"\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let json = map("ada").exits(0).json();
    assert_eq!(json["map"]["uid"][0], "0:2147483648:65536");
    assert_eq!(json["map"]["gid"][0], "0:2147549184:65536");
    map("dockremap")
        .exits(4)
        .says("no ranges from sss (/etc/nsswitch.conf): Error fetching ranges");
}

#[test]
fn a_map_is_shown_with_whoever_else_has_its_ids() {
    need_root();
    isolate();
    with_leo();
    let run = |args: &[&str]| {
        let mut command = Command::new(Idshift::program());
        command.arg("map").args(args);
        Run::of(&mut command).exits(0)
    };
    let run_of = run(&[
        "--map",
        "b:0:90000:20000",
        "--map",
        "b:20000:1000:1",
        "--id",
        "1000",
    ]);
    for said in [
        "uids  0-19999    90000-109999  20,000",
        "Shared with dockremap: 100000-109999 (line 1 of /etc/subuid).",
        "Shared with dockremap: 100000-109999 (line 1 of /etc/subgid).",
        "Accounts of the host inside the map: leo (1000, in the container 20000).",
        "uid 1000 of the container is 91000 on the host.",
        "uid 1000 of the host (leo) is 20000 in the container.",
    ] {
        assert!(run_of.text().contains(said), "{said}: {run_of}");
    }
    let own = run(&[]);
    assert!(own.text().contains("no group has ids of this map"), "{own}");
    let json = run(&["--subid", "leo", "--id", "7", "--json"]).json();
    assert_eq!(json["ids"][0]["on_host"], 300_007);
    assert_eq!(json["ids"][1]["in_container"], serde_json::Value::Null);
    assert_eq!(json["shared_ranges"], serde_json::json!([]));
}

/// A range that is passed over would leave files with wrong owners.
#[test]
fn options_of_podman_are_read_whole_or_refused() {
    need_root();
    isolate();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("options");
    let map = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = Command::new(Idshift::program());
        Run::of(command.args(["map", "--json", "--map-from"]).arg(&file))
    };
    let unit = |ids: &str| format!("[Container]\nUIDMap={ids}\nGIDMap={ids}\n");
    for text in [
        unit("0:100000:65536 +1000:1000:1"),
        unit("0:100000:65536 \\\n  +1000:1000:1"),
    ] {
        let told = map(&text).exits(0);
        assert!(told.text().contains("1000:1000:1"), "{told}");
    }
    for text in [
        "podman run --uidmap 0:100000:65536 a\npodman run --gidmap 0:200000:65536 b\n",
        "podman run img # not any more: --uidmap 0:100000:65536\n",
        "podman run tool run --uidmap 0:100000:65536\n",
        "podman run --uidmap 0:100000:65536 +1000:1000:1 img\n",
    ] {
        let refused = map(text);
        assert!(matches!(refused.code, Some(2 | 4)), "{text}: {refused}");
    }
}
