//! Whose ids the ids in a source are: those of Docker's files, of a user's engine, of files behind a mount.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::isolation::isolate;
use crate::support::{Idshift, Run, need_root};

/// A host with the user leo, uid 1000, and a place of this test.
struct Place {
    dir: TempDir,
    idshift: Idshift,
    path: OsString,
}

impl Place {
    fn new() -> Place {
        need_root();
        isolate();
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let add = |file: &str, line: &str| {
            let text = fs::read_to_string(file).unwrap();
            fs::write(file, text + line).unwrap();
        };
        add("/etc/passwd", "leo:x:1000:1000::/home/leo:/bin/bash\n");
        add("/etc/group", "leo:x:1000:\n");
        for file in ["/etc/subuid", "/etc/subgid"] {
            add(file, "leo:300000:65536\n");
        }
        Place {
            dir,
            idshift: Idshift::new(),
            path: std::env::var_os("PATH").unwrap(),
        }
    }

    /// With a directory service that has other ranges, of leo only.
    fn with_directory_service() -> Place {
        let mut place = Place::new();
        let nsswitch = fs::read_to_string("/etc/nsswitch.conf").unwrap();
        fs::write("/etc/nsswitch.conf", nsswitch + "subid: sss\n").unwrap();
        let program = place.dir("bin").join("getsubids");
        let text = "#!/bin/sh\n[ \"$1\" != -g ] || shift\n[ \"$1\" = leo ] || exit 1\necho \"0: $1 2147483648 65536\"\n";
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = program.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(&place.path);
        place.path = path;
        place
    }

    fn dir(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = match words[0] {
            "map" | "check" => {
                let mut command = Command::new(Idshift::program());
                command.args(words);
                command
            }
            _ => self.idshift.command(words),
        };
        command.env("PATH", &self.path);
        command
    }

    fn run(&self, words: &[&str]) -> Run {
        Run::of(&mut self.command(words))
    }

    /// The map that these words give, as words.
    fn map(&self, words: &[&str]) -> String {
        let json = self.run(&[&["map", "--json"], words].concat()).exits(0);
        let json = json.json();
        let side = |ids: &str| {
            let ranges = json["map"][ids].as_array().unwrap().iter();
            let ranges: Vec<&str> = ranges.map(|range| range.as_str().unwrap()).collect();
            ranges.join(" ")
        };
        assert_eq!(side("uid"), side("gid"), "{json}");
        side("uid")
    }
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn daemon_json(user: &str) {
    fs::create_dir_all("/etc/docker").unwrap();
    let text = format!("{{\"userns-remap\": \"{user}\"}}\n");
    fs::write("/etc/docker/daemon.json", text).unwrap();
}

fn str_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// dockerd looks into no `nsswitch.conf`.
#[test]
fn the_range_of_docker_is_the_one_in_the_files() {
    let place = Place::with_directory_service();
    assert_eq!(place.map(&["--subid", "leo"]), "0:2147483648:65536");
    daemon_json("leo");
    assert_eq!(place.map(&[]), "0:300000:65536");
    let data = place.dir("data");
    let check = |code| {
        let words = ["check", "--as", "33:33", str_of(&data)];
        place.run(&words).exits(code)
    };
    // --subid leo would be another range.
    let told = check(3);
    let command = format!(
        "idshift prepare --map b:0:300000:65536 {} --owner 33:33",
        data.display()
    );
    assert!(told.text().contains(&command), "{told}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    place.run(&words).exits(0);
    assert_eq!(owner(&data), (300_033, 300_033));
    check(0);
    place
        .run(&["prepare", "--reverse", str_of(&data)])
        .exits(4)
        .says("Add --map b:0:300000:65536 or --map b:0:100000:65536");
    // A user of this host alone is not asked for.
    daemon_json("default");
    assert_eq!(place.map(&[]), "0:100000:65536");
}

#[test]
fn the_range_of_docker_is_in_the_order_of_its_lines() {
    let place = Place::new();
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "dockremap:600000:100\ndockremap:100000:65536\n").unwrap();
    }
    assert_eq!(place.map(&[]), "0:600000:100 100:100000:65536");
    place
        .run(&["map", "--subid", "dockremap"])
        .exits(4)
        .says("are not in ascending order");
}

#[test]
fn lines_by_uid_are_the_daemons_users_own() {
    let place = Place::new();
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "1000:300000:65536\n").unwrap();
    }
    daemon_json("leo");
    for words in [
        &["map", "--map-from", "/etc/docker/daemon.json"][..],
        &["map"],
    ] {
        let run = place.run(words).exits(0);
        assert!(run.text().contains("No other line of /etc/subuid"), "{run}");
    }
}

/// `--userns=keep-id` of a user's Podman.
const KEEP_ID: &str = r#"{"ociVersion": "1.0.2", "linux": {"namespaces": [{"type": "user"}],
    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1000}, {"containerID": 1000, "hostID": 0, "size": 1},
        {"containerID": 1001, "hostID": 1001, "size": 64536}],
    "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1000}, {"containerID": 1000, "hostID": 0, "size": 1},
        {"containerID": 1001, "hostID": 1001, "size": 64536}]}}"#;

const NO_USER_NAMESPACE: &str =
    r#"{"ociVersion": "1.0.2", "linux": {"namespaces": [{"type": "pid"}]}}"#;

#[test]
fn ids_of_a_rootless_engine_are_those_of_its_user() {
    let place = Place::new();
    let home = place.dir("home");
    chown(&home, Some(1000), Some(1000)).unwrap();
    let data = place.dir("data");
    for (name, text, map) in [
        (
            "home/keep-id/config.json",
            KEEP_ID,
            "0:300000:1000 1000:1000:1 1001:301000:64536",
        ),
        (
            "home/plain/config.json",
            NO_USER_NAMESPACE,
            "0:1000:1 1:300000:65536",
        ),
        (
            "home/.config/containers/systemd/web.container",
            "[Container]\nUIDMap=0:1:1000 1000:0:1 1001:1001:64536\n",
            "0:300000:1000 1000:1000:1 1001:301000:64536",
        ),
    ] {
        let file = place.file(name, text);
        let file = str_of(&file);
        let prepare = ["prepare", "--owner", "33:33", "--map-from", file];
        let words = [&prepare[..], &[str_of(&data)]].concat();
        place.run(&words).exits(4).says("Add --subid leo.");
        assert_eq!(owner(&data), (0, 0));
        assert_eq!(place.map(&["--map-from", file, "--subid", "leo"]), map);
        let moved = ["shift", "--from", "host", "--to", file, str_of(&data)];
        place.run(&moved).exits(4).says("Add --subid leo.");
    }
    let unit = place.file(
        "containers/systemd/users/1000/web.container",
        "[Container]\nUIDMap=0:1:1000\n",
    );
    place
        .run(&["map", "--map-from", str_of(&unit)])
        .exits(4)
        .says("Add --subid leo.");
    // Of root's engine.
    let file = place.file("root/config.json", KEEP_ID);
    let file = str_of(&file);
    let run = place.run(&["map", "--map-from", file]).exits(0);
    assert!(run.text().contains("add --subid USER"), "{run}");
    place
        .run(&["map", "--map-from", file, "--subid", "root"])
        .exits(2)
        .says("Leave out --subid");
}

#[test]
fn what_came_on_standard_input_is_not_read_again() {
    let place = Place::new();
    let data = place.dir("data");
    let words = ["check", "--as", "33:33", "--map-from", "-", str_of(&data)];
    let mut check = place.command(&words);
    check.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = check.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = check.stdin.take().unwrap();
    stdin
        .write_all(b"lxc.idmap = u 0 500000 65536\nlxc.idmap = g 0 600000 65536\n")
        .unwrap();
    drop(stdin);
    let told = Run::wait(check).exits(3);
    let command = format!(
        "idshift prepare --map u:0:500000:65536 --map g:0:600000:65536 {} --owner 33:33",
        data.display()
    );
    assert!(told.text().contains(&command), "{told}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    place.run(&words).exits(0);
    assert_eq!(owner(&data), (500_033, 600_033));
}

const RANGE: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";

/// LXC and Incus would map its ids once more.
#[test]
fn a_root_filesystem_behind_an_idmapped_mount_is_left() {
    let place = Place::new();
    let rootfs = place.dir("rootfs");
    let lxc = place.file(
        "config",
        &format!("{RANGE}lxc.rootfs.options = idmap=container\n"),
    );
    let incus = place.file(
        "c1.yaml",
        "config:\n  volatile.idmap.current: '[{\"Isuid\":true,\"Isgid\":true,\"Hostid\":100000,\"Nsid\":0,\"Maprange\":65536}]'\n  \
        volatile.last_state.idmap: '[]'\n",
    );
    for file in [&lxc, &incus] {
        let (file, rootfs_name) = (str_of(file), str_of(&rootfs));
        place
            .run(&["shift", "--map-from", file, rootfs_name])
            .exits(4)
            .says("must not be shifted");
        let moved = ["--from", "b:0:200000:65536", "--to", file, rootfs_name];
        place
            .run(&[&["shift"], &moved[..]].concat())
            .exits(4)
            .says("it is --to host");
        assert_eq!(owner(&rootfs), (0, 0));
        // A directory that the container uses is another matter, and so is what was shifted by mistake.
        let data = place.dir("data");
        let data = str_of(&data);
        let run = place.run(&["prepare", "--map-from", file, data]).exits(0);
        run.says("not shifted");
        place
            .run(&["shift", "--reverse", "--map-from", file, data])
            .exits(0);
        assert_eq!(owner(Path::new(data)), (0, 0));
    }
}

#[test]
fn a_file_that_an_unread_one_completes_is_refused() {
    let place = Place::new();
    let included = place.file("unprivileged.conf", RANGE);
    let text = format!("lxc.uts.name = c1\nlxc.include = {}\n", included.display());
    let config = place.file("config", &text);
    let rootfs = place.dir("rootfs");
    chown(&rootfs, Some(100_000), Some(100_000)).unwrap();
    let (config, rootfs_name) = (str_of(&config), str_of(&rootfs));
    let moved = ["--from", "b:0:100000:65536", "--to", config, rootfs_name];
    for words in [&moved[..], &["--map-from", config, rootfs_name]] {
        place
            .run(&[&["shift"], words].concat())
            .exits(4)
            .says("line 2: ")
            .says("Name the file that has the lxc.idmap lines");
    }
    assert_eq!(owner(&rootfs), (100_000, 100_000));
    assert_eq!(
        place.map(&["--map-from", str_of(&included)]),
        "0:100000:65536"
    );
}

#[test]
fn files_of_an_instance_that_was_made_privileged_are_moved() {
    let place = Place::new();
    let config = place.file(
        "c1.yaml",
        "config:\n  security.privileged: \"true\"\n  \
        volatile.last_state.idmap: '[{\"Isuid\":true,\"Isgid\":true,\"Hostid\":1000000,\"Nsid\":0,\"Maprange\":65536}]'\n",
    );
    let rootfs = place.dir("rootfs");
    chown(&rootfs, Some(1_000_033), Some(1_000_033)).unwrap();
    let (config, name) = (str_of(&config), str_of(&rootfs));
    place
        .run(&["shift", "--map-from", config, name])
        .exits(4)
        .says("`idshift shift --from FILE --to host`");
    place
        .run(&["shift", "--from", config, "--to", "host", name])
        .exits(0);
    assert_eq!(owner(&rootfs), (33, 33));
}

#[test]
fn roots_range_counts_where_incus_and_lxd_agree() {
    let mut place = Place::new();
    let config = place.file(
        "c1.yaml",
        "config:\n  image.os: Alpine\n  raw.idmap: both 33 33\n",
    );
    let config = str_of(&config);
    let by_default = "0:1000000:33 33:33:1 34:1000034:999999966";
    let lines = |text: &str| {
        for file in ["/etc/subuid", "/etc/subgid"] {
            fs::write(file, text).unwrap();
        }
    };
    lines("root:100000:65536\n");
    assert_eq!(
        place.map(&["--map-from", config]),
        "0:100000:33 33:33:1 34:100034:65502"
    );
    // Without the programs, newer Incus takes the default range and LXD root's.
    let empty = place.dir("empty").into_os_string();
    let path = std::mem::replace(&mut place.path, empty);
    place
        .run(&["map", "--map-from", config])
        .exits(4)
        .says("newuidmap, newgidmap is not installed")
        .says("Start the instance once");
    lines("root:1000000:1000000000\n");
    assert_eq!(place.map(&["--map-from", config]), by_default);
    place.path = path;
    lines("root:100000:65536\n");
    fs::remove_file("/etc/subgid").unwrap();
    assert_eq!(place.map(&["--map-from", config]), by_default);
}
