//! `idshift check` beside what real containers do, and on whatever a path may lead to.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::{REMAPPED, same};
use crate::support::volume::{acl, check, directory, mode, owned, place, set_acl, snapshot};
use crate::support::{Idshift, Kind, MAP, Numbers, Run, TestFs, long, need_root, output, sh};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

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

fn remedies(run: &Run) -> Vec<String> {
    let told: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run}"));
    let all = told["remedies"].as_array().unwrap();
    all.iter()
        .map(|one| one.as_str().unwrap().to_string())
        .collect()
}

/// Runs a command as a shell would; `idshift` is this build, with journals of its own.
fn carry_out(idshift: &Idshift, command: &str) {
    let (program, journals) = (Idshift::program().display(), idshift.journals().display());
    let function = format!("idshift() {{ {program} \"$@\" --journal-dir {journals}; }}; ");
    sh("bash", ["-c", &(function + command)]);
}

#[test]
fn check_tells_what_a_container_can_do_and_helps() {
    let host = Host::new();
    let top = directory(&host.beside().join("matrix"), (0, 0), 0o755);
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
    let mut numbers = Numbers::seeded(3);
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
            // What is advised helps, done to the same thing once more.
            let copy = top.join("copy");
            output("cp", ["-a".as_ref(), path.as_os_str(), copy.as_os_str()]);
            let commands = remedies(&check(&copy, &ours));
            for command in &commands {
                carry_out(&idshift, command);
            }
            let now = check(&copy, &ours);
            assert_eq!(now.code, Some(0), "{commands:?} {what}\nnow {now}");
            helped += 1;
            match copy.is_dir() {
                true => fs::remove_dir(&copy).unwrap(),
                false => fs::remove_file(&copy).unwrap(),
            }
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
fn unusable_entries_files_and_mounts_are_found() {
    let place = place();
    let top = directory(&place.path().join("www"), (100_033, 100_033), 0o755);
    directory(&top.join("open"), (0, 0), 0o755);
    directory(&top.join("closed/deep"), (0, 0), 0o755);
    mode(&top.join("closed"), 0o700);
    for (name, bits) in [("page", 0o644), ("secret", 0o600), ("open/below", 0o640)] {
        fs::write(top.join(name), "x").unwrap();
        mode(&top.join(name), bits);
    }
    fs::write(top.join("own"), "").unwrap();
    chown(top.join("own"), Some(100_033), Some(100_033)).unwrap();
    mode(&top.join("own"), 0o400);
    let unusable = |args: &[&str]| -> (Option<i32>, Vec<String>) {
        let run = check(&top, &[&["--as", "33:33", "--json"], args].concat());
        let told: Value = serde_json::from_slice(&run.stdout).unwrap();
        let mut lines: Vec<String> = told["unusable"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let path = Path::new(entry["path"].as_str().unwrap());
                format!(
                    "{} {}",
                    path.strip_prefix(&top).unwrap().display(),
                    entry["lacks"].as_str().unwrap()
                )
            })
            .collect();
        lines.sort();
        (run.code, lines)
    };
    let words = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        unusable(&["--recursive", "--read-only"]),
        (Some(3), words(&["closed rx", "open/below r", "secret r"]))
    );
    assert_eq!(
        unusable(&["--recursive"]),
        (
            Some(3),
            words(&[
                "closed rwx",
                "open w",
                "open/below rw",
                "page w",
                "secret rw"
            ])
        )
    );
    assert_eq!(
        unusable(&["--read-only"]),
        (Some(0), words(&["closed rx", "secret r"]))
    );
    let told = check(&top.join("secret"), &["--as", "33"]);
    assert_eq!(told.code, Some(3), "{told}");
    let told = check(&top.join("page"), &["--as", "33", "--read-only"]);
    assert_eq!(told.code, Some(0), "{told}");
    let mtime = |path: &str| fs::metadata(top.join(path)).unwrap().mtime_nsec();
    let before = mtime("own");
    check(&top.join("own"), &["--as", "33"]);
    assert_eq!(mtime("own"), before);
    for bad in [&["--as", "x"][..], &[], &["--as", "70000:0"]] {
        let run = check(&top, bad);
        assert!(matches!(run.code, Some(2 | 4)), "{run}");
    }
}

#[test]
fn every_entry_is_checked_however_deep_or_closed() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_033, 100_033), 0o755);
    let odd = top.join(OsStr::from_bytes(b"x\xff\n"));
    fs::write(&odd, "").unwrap();
    mode(&odd, 0o600);
    // The user's own that it cannot even list: what is below was not seen, so it must be told.
    directory(&top.join("own"), (100_033, 100_033), 0o300);
    // Nobody's are no user's own, though both are called 65534.
    fs::write(top.join("strange"), "").unwrap();
    owned(&top.join("strange"), (65_534, 65_534), 0o644);
    // Deeper than a path can be long.
    let name = "d".repeat(200);
    let script = "import os,sys\n\
        os.chdir(sys.argv[1])\n\
        for _ in range(30):\n os.mkdir(sys.argv[2]); os.chmod(sys.argv[2], 0o755); os.chdir(sys.argv[2])\n\
        open('last','w').close(); os.chmod('last', 0o600)";
    let deep = top.join("deep");
    directory(&deep, (0, 0), 0o755);
    sh("python3", ["-c", script, deep.to_str().unwrap(), &name]);

    let told = check(
        &top,
        &["--as", "33:33", "--recursive", "--read-only", "--json"],
    )
    .exits(3);
    let told = told.json();
    let unusable = told["unusable"].as_array().unwrap();
    assert_eq!(told["unusable_total"], 3, "{unusable:#?}");
    let paths: Vec<&Value> = unusable.iter().map(|entry| &entry["path"]).collect();
    assert!(
        paths.iter().any(|path| path["b64"].is_string()),
        "{paths:?}"
    );
    let last = unusable.iter().find(|entry| {
        let path = entry["path"].as_str().unwrap_or("");
        path.ends_with("/last") && path.len() > 6000
    });
    assert_eq!(last.unwrap()["owner"]["outside"], "0:0");
    let own = unusable.iter().find(|entry| {
        entry["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/own"))
    });
    assert_eq!(own.unwrap()["lacks"], "r");
    assert_eq!(told["looked_at"], 3 + 32);
    // As text, nothing reaches the terminal that is no text.
    let text = check(&top, &["--as", "33:33", "--recursive", "--read-only"]).exits(3);
    assert!(text.text().contains("x\u{fffd}\\n"), "{text}");

    let nobody = check(&top, &["--as", "65534:65534", "--recursive", "--json"]).exits(3);
    let nobody = nobody.json();
    let strange = nobody["unusable"].as_array().unwrap().iter().find(|entry| {
        entry["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/strange"))
    });
    assert_eq!(strange.unwrap()["lacks"], "w", "{nobody}");
}

#[test]
fn a_directory_of_100000_entries_is_checked_whole() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_033, 100_033), 0o755);
    let n = if long() { 100_000 } else { 20_000 };
    for i in 0..n {
        fs::write(top.join(format!("{i:06}")), "").unwrap();
    }
    mode(&top.join("007777"), 0o600);
    let told = check(
        &top,
        &["--as", "33:33", "--recursive", "--read-only", "--json"],
    )
    .exits(3);
    assert_eq!(told.json()["looked_at"], n);
    assert_eq!(told.json()["unusable_total"], 1);
    // Thousands that cannot be used are counted, and the first are named.
    let told = check(&top, &["--as", "33:33", "--recursive", "--json"]).exits(3);
    assert_eq!(told.json()["unusable_total"], n);
    assert_eq!(told.json()["unusable"].as_array().unwrap().len(), 1000);
}

/// Starts a check whose child is slow to rename its probe file, and waits until the file is there.
fn slow_check(dir: &Path) -> Child {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2"])
        .args(["-e", "inject=renameat2:delay_enter=2000000"])
        .arg(Idshift::program())
        .arg("check")
        .arg(dir)
        .args(["--as", "5:5", "--map", MAP])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A terminal's Ctrl-C goes to all of a group.
        .process_group(0);
    let child = strace.spawn().unwrap();
    let begun = Instant::now();
    while probes(dir) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no probe file");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn probes(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// The process that a process started first.
fn child_of(pid: i32) -> i32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn nothing_is_left_of_a_check_that_is_killed() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    type End = fn(strace: i32);
    let ends: [(&str, End); 5] = [
        ("the check, by kill -9", |strace| {
            kill(Pid::from_raw(child_of(strace)), Signal::SIGKILL).unwrap();
        }),
        ("its child, by kill -9", |strace| {
            kill(Pid::from_raw(child_of(child_of(strace))), Signal::SIGKILL).unwrap();
        }),
        ("its child, by SIGTERM", |strace| {
            kill(Pid::from_raw(child_of(child_of(strace))), Signal::SIGTERM).unwrap();
        }),
        ("both, by SIGTERM", |strace| {
            let check = child_of(strace);
            kill(Pid::from_raw(child_of(check)), Signal::SIGTERM).unwrap();
            kill(Pid::from_raw(check), Signal::SIGTERM).unwrap();
        }),
        ("from the terminal", |strace| {
            killpg(Pid::from_raw(strace), Signal::SIGINT).unwrap();
        }),
    ];
    for (how, end) in ends {
        let mut strace = slow_check(&dir);
        end(strace.id() as i32);
        let begun = Instant::now();
        while probes(&dir) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "left: {how}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // It ends when all that it traced have.
        strace.wait().unwrap();
        assert_eq!(probes(&dir), 0, "{how}");
    }
    // Where nobody lived to remove it, the next check does; what is not ours it leaves.
    for name in [
        ".idshift-probe-1-2-a",
        ".idshift-probe-1-3-b",
        ".idshift-probe-1-4-a",
        "other",
    ] {
        fs::write(dir.join(name), "x").unwrap();
    }
    fs::write(dir.join(".idshift-probe-1-4-a"), "somebody's").unwrap();
    fs::create_dir(dir.join(".idshift-probe-1-5-a")).unwrap();
    let old: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    for path in old
        .iter()
        .filter(|path| !path.ends_with(".idshift-probe-1-3-b"))
    {
        sh(
            "touch",
            ["-d".as_ref(), "1 hour ago".as_ref(), path.as_os_str()],
        );
    }
    check(&dir, &["--as", "5:5"]).exits(0);
    let left: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    let kept = [
        ".idshift-probe-1-3-b",
        ".idshift-probe-1-4-a",
        ".idshift-probe-1-5-a",
        "other",
    ];
    assert_eq!(left, kept.map(String::from).into());
}

#[test]
fn lacking_rename_noreplace_is_no_failure() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2"])
        .args(["-e", "inject=renameat2:error=EINVAL"])
        .arg(Idshift::program())
        .arg("check")
        .arg(&dir)
        .args(["--as", "5:5", "--map", MAP]);
    let told = Run::of(&mut strace).exits(0);
    assert!(told.text().contains("rename  works"), "{told}");
    assert_eq!(probes(&dir), 0);
}

#[test]
fn what_a_path_may_lead_to_is_told_apart() {
    let place = place();
    let top = place.path();
    let listener = UnixListener::bind(top.join("sock")).unwrap();
    owned(&top.join("sock"), (0, 0), 0o660);
    sh("mkfifo", [top.join("fifo")]);
    owned(&top.join("fifo"), (100_005, 0), 0o600);
    let real = directory(&top.join("a dir"), (100_005, 0), 0o755);
    symlink(&real, top.join("link")).unwrap();
    symlink(top.join("gone"), top.join("dangling")).unwrap();
    fs::write(top.join("file"), "").unwrap();
    owned(&top.join("file"), (100_005, 0), 0o600);
    for (name, code, words) in [
        ("sock", 3, "setfacl -m u:100005:rw"),
        ("fifo", 0, "read    works"),
        ("link", 0, "Docker follows it too"),
        ("a dir", 0, "a dir.\n"),
        ("file", 0, "write   works"),
        ("dangling", 4, "is a symlink to"),
        ("missing", 4, "--create --owner 5:5` makes it"),
        ("file/x", 4, "Not a directory"),
    ] {
        let told = check(&top.join(name), &["--as", "5:5"]);
        assert_eq!(told.code, Some(code), "{told}");
        let said = format!("{}{}", told.text(), told.stderr);
        assert!(said.contains(words), "{words:?} in {told}");
        assert!(
            !said.contains("prepare --map b:0:100000:65536 /var/tmp/sock"),
            "{told}"
        );
    }
    // The kernel agrees about the socket.
    let connect = || {
        let script = "IO::Socket::UNIX->new(Peer => shift) or die $!";
        let mut command = Command::new("setpriv");
        command.args(["--reuid=100005", "--regid=100005", "--clear-groups"]);
        command.args([
            "--inh-caps=-all",
            "perl",
            "-MIO::Socket::UNIX",
            "-e",
            script,
        ]);
        Run::of(command.arg(top.join("sock")))
    };
    let refused = connect();
    assert!(refused.stderr.contains("Permission denied at"), "{refused}");
    let advice = remedies(&check(&top.join("sock"), &["--as", "5:5", "--json"]));
    let command = advice[0].split(',').next().unwrap();
    carry_out(&Idshift::new(), command);
    connect().exits(0);
    check(&top.join("sock"), &["--as", "5:5"]).exits(0);
    drop(listener);
    // A part of the system is not what somebody should make ready.
    let told = check(Path::new("/etc"), &["--as", "5:5", "--json"]).exits(3);
    assert!(
        remedies(&told)[0].starts_with("give the container a directory of its own"),
        "{told}"
    );
}

#[test]
fn a_remedy_quotes_any_path_for_the_shell() {
    let place = place();
    let idshift = Idshift::new();
    for name in [
        &b"a b"[..],
        b"it's",
        b"n\nl",
        b"x\xff",
        b"-rf",
        b"$(touch oops)",
        b"\x1b[2J",
        "\u{202e}".as_bytes(),
    ] {
        let dir = directory(&place.path().join(OsStr::from_bytes(name)), (0, 0), 0o755);
        let told = check(&dir, &["--as", "5:5", "--json"]).exits(3);
        let text = check(&dir, &["--as", "5:5"]).exits(3).text();
        let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(text.chars().all(harmless), "{text:?}");
        let command = &remedies(&told)[0];
        assert!(text.ends_with(&format!("  {command}\n")), "{text:?}");
        carry_out(&idshift, command);
        check(&dir, &["--as", "5:5"]).exits(0);
    }
}

#[test]
fn an_unsuitable_filesystem_is_told_with_a_remedy() {
    need_root();
    let told = |path: &Path, more: &[&str], code: i32, words: &[&str]| {
        let run = check(path, &[&["--as", "5:5"], more].concat()).exits(code);
        for word in words {
            assert!(run.text().contains(word), "{word:?} in {run}");
        }
    };
    // Not every kernel has it.
    if Kind::Vfat.is_supported() {
        let vfat = TestFs::new(Kind::Vfat);
        let words = [
            "create  fails: Permission denied",
            "mount it with -o uid=100005,gid=100005",
        ];
        told(&vfat.path(), &[], 3, &words);
    }
    let ext4 = TestFs::new(Kind::Ext4);
    let dir = directory(&ext4.path().join("dir"), (100_005, 100_005), 0o755);
    sh("chattr", ["+i".as_ref(), dir.as_os_str()]);
    told(
        &dir,
        &[],
        3,
        &["create  fails: Operation not permitted", "chattr -i"],
    );
    sh("chattr", ["-i".as_ref(), dir.as_os_str()]);
    told(&dir, &[], 0, &["delete  works"]);
    ext4.make_read_only();
    told(&dir, &["--read-only"], 0, &["list    works"]);
    told(
        &dir,
        &[],
        3,
        &["create  fails: Read-only file system", ":ro"],
    );

    let full = TestFs::new(Kind::TinyTmpfs);
    let dir = directory(&full.path().join("dir"), (100_005, 100_005), 0o755);
    let _ = fs::write(full.path().join("big"), vec![1; 1 << 20]);
    told(
        &dir,
        &[],
        3,
        &["write   fails: No space left on device", "make room"],
    );
    assert_eq!(probes(&dir), 0);

    // An image that is written once.
    let source = place();
    directory(&source.path().join("dir"), (0, 0), 0o700);
    let image = source.path().join("image.sqfs");
    sh(
        "mksquashfs",
        [
            source.path().join("dir").as_os_str(),
            image.as_os_str(),
            "-quiet".as_ref(),
        ],
    );
    let at = directory(&ext4_free(&source), (0, 0), 0o755);
    sh(
        "mount",
        [
            "-o".as_ref(),
            "loop".as_ref(),
            image.as_os_str(),
            at.as_os_str(),
        ],
    );
    let run = check(&at, &["--as", "5:5", "--read-only"]);
    sh("umount", [at.as_os_str()]);
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.text().contains("is on squashfs"), "{run}");
}

/// A mount point beside it.
fn ext4_free(place: &tempfile::TempDir) -> PathBuf {
    place.path().join("at")
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

#[test]
fn a_check_changes_only_the_directorys_ctime() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_005, 100_005), 0o755);
    fs::write(top.join("file"), "x").unwrap();
    directory(&top.join("dir"), (0, 0), 0o700);
    let before = snapshot(&top);
    for more in [&[][..], &["--recursive"], &["--read-only"]] {
        check(&top, &[&["--as", "5:5"], more].concat());
        check(&top.join("file"), &[&["--as", "5:5"], more].concat());
    }
    same(&before, &snapshot(&top), "after checks");
}

#[test]
fn check_and_audit_leave_the_times_of_a_directory() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_005, 100_005), 0o755);
    let below = directory(&top.join("below"), (100_005, 100_005), 0o755);
    // A directory's atime is written where it is not newer than the last change (`relatime`).
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let times = fs::FileTimes::new().set_modified(then).set_accessed(then);
    for dir in [&below, &top] {
        fs::File::open(dir).unwrap().set_times(times).unwrap();
    }
    let kept = |when: &str| {
        for dir in [&top, &below] {
            let found = fs::metadata(dir).unwrap();
            assert_eq!(found.modified().unwrap(), then, "mtime {when}");
            assert_eq!(found.accessed().unwrap(), then, "atime {when}");
        }
    };
    for user in ["5:5", "0:0", "77:77"] {
        for more in [&[][..], &["--recursive"], &["--read-only"]] {
            check(&top, &[&["--as", user], more].concat());
            // Of what is below, only its owner may leave the atime.
            if user == "5:5" || more != ["--recursive"] {
                kept(&format!("{user} {more:?}"));
            }
            fs::File::open(&below).unwrap().set_times(times).unwrap();
        }
    }
    let bind = json!({"Type": "bind", "Source": top, "Destination": "/m", "RW": true});
    let root = place.path().join("docker");
    for dir in [
        "image/overlay2",
        "network/files",
        "volumes",
        "containers/1234",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let config = json!({"Name": "/web", "Driver": "overlay2", "Config": {"User": "5:5"}, "MountPoints": {"/m": bind}});
    fs::write(
        root.join("containers/1234/config.v2.json"),
        config.to_string(),
    )
    .unwrap();
    fs::write(root.join("containers/1234/hostconfig.json"), "{}").unwrap();
    let mut audit = Command::new(Idshift::program());
    audit.args([
        "docker",
        "audit",
        "--daemon-json",
        "/nonexistent",
        "--data-root",
    ]);
    let told = Run::of(audit.arg(&root));
    assert!(told.text().contains(top.to_str().unwrap()), "{told}");
    kept("audit");
}

#[test]
fn a_change_during_a_check_shows_in_the_times() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let times = fs::FileTimes::new().set_modified(then);
    fs::File::open(&dir).unwrap().set_times(times).unwrap();
    let mut slow = slow_check(&dir);
    fs::write(dir.join("new"), "").unwrap();
    assert!(slow.wait().unwrap().success());
    assert!(fs::metadata(&dir).unwrap().modified().unwrap() > then);
    assert_eq!(probes(&dir), 1, "only what somebody made");
}
