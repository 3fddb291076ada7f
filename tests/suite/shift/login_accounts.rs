//! What accounts that people log in to work with is not shifted unless it is asked for: the person
//! could no longer use it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, MAP, Run, need_root, output, sh};
use tempfile::TempDir;

/// A host with homes in a directory of the test's own.
struct Host {
    idshift: Idshift,
    dir: TempDir,
}

impl Host {
    /// With `leo`, who logs in, and two services, one of them with a shell.
    fn new() -> Host {
        need_root();
        let host = Host {
            idshift: Idshift::new(),
            dir: tempfile::Builder::new().tempdir_in("/var/tmp").unwrap(),
        };
        fs::set_permissions(host.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        host.make("home/leo/work", 1000);
        host.make("home/app/data", 1001);
        host.make("db", 101);
        host.accounts(&[
            ("leo", 1000, "home/leo", "/bin/bash"),
            ("app", 1001, "home/app", "/usr/sbin/nologin"),
            ("postgres", 101, "db", "/bin/bash"),
        ]);
        host
    }

    fn accounts(&self, accounts: &[(&str, u32, &str, &str)]) {
        let mut text = fs::read_to_string("/etc/passwd").unwrap();
        for (name, uid, home, shell) in accounts {
            let home = self.path(home);
            text += &format!("{name}:x:{uid}:{uid}::{}:{shell}\n", home.display());
        }
        fs::write("/etc/passwd", text).unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// A directory, and a file in it.
    fn make(&self, below: &str, owner: u32) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("file"), "").unwrap();
        for path in [&path, &path.join("file")] {
            chown(path, Some(owner), Some(owner)).unwrap();
        }
        path
    }

    fn run(&self, command: &str, path: &Path, more: &[&str]) -> Run {
        let mut args: Vec<OsString> = vec![command.into(), "--map".into(), MAP.into()];
        args.extend(more.iter().map(OsString::from));
        args.push(path.into());
        self.idshift.run(args)
    }

    /// Every way to ask for it is refused, in these words; nothing is changed.
    #[track_caller]
    fn is_refused(&self, path: &Path, words: &str) {
        let before = owners(self.dir.path());
        for command in ["shift", "prepare"] {
            for more in [&[][..], &["--dry-run"], &["--reverse"]] {
                let run = self.run(command, path, more).exits(4).says(words);
                run.says("--allow-home").says(&path.display().to_string());
            }
        }
        assert_eq!(owners(self.dir.path()), before);
    }

    /// It is shifted and taken back.
    #[track_caller]
    fn is_shifted(&self, path: &Path, more: &[&str]) {
        let owner = fs::metadata(path).unwrap().uid();
        for command in ["shift", "prepare"] {
            self.run(command, path, &[more, &["--dry-run"]].concat())
                .exits(0);
            self.run(command, path, more).exits(0);
            assert_eq!(fs::metadata(path).unwrap().uid(), owner + 100_000);
            self.idshift.rollback();
            assert_eq!(fs::metadata(path).unwrap().uid(), owner);
        }
    }
}

fn owners(top: &Path) -> String {
    let found = output(
        "find",
        [top.as_os_str(), "-printf".as_ref(), "%p %U:%G\n".as_ref()],
    );
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn homes_their_contents_and_parents_take_a_flag() {
    let host = Host::new();
    let home = host.path("home/leo");
    host.is_refused(&home, "is the home of leo (uid 1000)");
    host.is_refused(&home.join("work"), "lies in ");
    host.is_refused(&home.join("work/file"), "the home of leo (uid 1000)");
    host.is_refused(&host.path("home"), "holds ");
    host.is_shifted(&home, &["--allow-home"]);
    host.is_shifted(&home.join("work"), &["--allow-home"]);

    // Also what is not there yet.
    let new = home.join("new");
    host.run("prepare", &new, &["--create"])
        .exits(4)
        .says("--allow-home");
    host.run("prepare", &new, &["--create", "--allow-home"])
        .exits(0);
}

#[test]
fn a_service_account_loses_nothing() {
    let host = Host::new();
    host.is_shifted(&host.path("home/app"), &[]);
    host.is_shifted(&host.path("home/app/data"), &[]);
    host.is_shifted(&host.path("db"), &[]);
}

#[test]
fn a_home_is_known_by_whatever_way_it_is_reached() {
    let host = Host::new();
    symlink(host.path("home"), host.path("users")).unwrap();
    host.make("disk/ann/work", 1002);
    symlink(host.path("disk/ann"), host.path("home/ann")).unwrap();
    host.make("disk/max/work", 1003);
    host.accounts(&[
        ("ann", 1002, "home/ann", "/bin/sh"),
        ("max", 1003, "users/../disk/max", ""),
    ]);
    host.is_refused(&host.path("disk/ann"), "is the home of ann (uid 1002)");
    host.is_refused(&host.path("disk/max/work"), "the home of max (uid 1003)");
    // Mounted in two places.
    let at = host.path("at");
    for (source, words) in [
        ("home/leo", "is the home of leo"),
        (
            "home/leo/work",
            "who logs in to this host and could no longer use it",
        ),
        ("home", "holds "),
    ] {
        fs::create_dir_all(&at).unwrap();
        sh("mount", ["--bind".into(), host.path(source), at.clone()]);
        host.is_refused(&at, words);
        sh("umount", [&at]);
    }
}

#[test]
fn in_roots_home_only_login_files_take_a_flag() {
    let host = Host::new();
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let home = host.make("root", 0);
    let text = text.replace(":/root:", &format!(":{}:", home.display()));
    fs::write("/etc/passwd", text).unwrap();
    let (keys, data) = (host.make("root/.ssh", 0), host.make("root/data/broker", 0));
    host.is_refused(&home, "is the home of root (uid 0)");
    host.is_refused(&keys, "the home of root (uid 0)");
    host.is_shifted(&data, &[]);
    host.is_shifted(&host.path("root/data"), &[]);
    host.is_shifted(&home, &["--allow-home"]);
}

#[test]
fn files_of_a_login_account_stay_wherever_they_are() {
    let host = Host::new();
    let own = host.make("srv/own", 1000);
    host.is_refused(&own, "belongs to leo (uid 1000)");
    host.is_shifted(&own, &["--allow-home"]);
    let mixed = host.make("srv/mixed", 33);
    let file = host.make("srv/mixed/deep/er", 1000).join("file");
    chown(file.parent().unwrap(), Some(33), Some(33)).unwrap();
    let before = owners(&mixed);
    for command in ["shift", "prepare"] {
        let failed = host.run(command, &mixed, &[]).exits(1);
        failed
            .says(&format!("{}: belongs to leo (uid 1000)", file.display()))
            .says("--allow-home");
        assert_eq!(owners(&mixed), before, "undone");
        let told = host.run(command, &mixed, &["--dry-run"]).exits(3);
        assert!(told.text().contains("belongs to leo"), "{told}");
    }
    host.run("shift", &mixed, &["--keep-going"]).exits(3);
    assert_eq!(fs::metadata(&file).unwrap().uid(), 1000);
    assert_eq!(fs::metadata(&mixed).unwrap().uid(), 100_033);
    host.idshift.rollback();
    host.is_shifted(&mixed, &["--allow-home"]);
    // What is given from the range to the account is no loss.
    host.run("shift", &mixed, &["--allow-home"]).exits(0);
    host.run("shift", &mixed, &["--reverse"]).exits(0);
    assert_eq!(owners(&mixed), before);
}

/// A run that was killed is finished by the rules that it began with.
#[test]
fn a_resume_changes_no_file_that_the_run_would_have_left() {
    let host = Host::new();
    let tree = host.make("srv/cut", 33);
    for allowed in [&[][..], &["--allow-home"]] {
        let args = [&["shift", "--map", MAP], allowed, &[tree.to_str().unwrap()]].concat();
        let killed = trace::run(&host.idshift.command(args), |event| match event {
            Event::After(call, 0) if call.name == "fchownat" => Then::Kill,
            _ => Then::GoOn,
        });
        assert_eq!(killed.signal, Some(9), "{killed}");
        // The run had not come to it.
        let file = host.make("srv/cut/deep", 1000).join("file");
        if allowed.is_empty() {
            let failed = host.idshift.run(["resume", "latest"]).exits(1);
            let failed = failed.says("belongs to leo (uid 1000)");
            let failed = failed.says("--allow-home");
            assert_eq!(fs::metadata(&tree).unwrap().uid(), 33, "{failed}");
            assert_eq!(fs::metadata(&file).unwrap().uid(), 1000, "{failed}");
        } else {
            host.idshift.run(["resume", "latest"]).exits(0);
            assert_eq!(fs::metadata(&tree).unwrap().uid(), 100_033);
            assert_eq!(fs::metadata(&file).unwrap().uid(), 101_000);
        }
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}

#[test]
fn advice_for_what_is_in_a_home_is_to_share_it() {
    let host = Host::new();
    let work = host.path("home/leo/work");
    let mut check = std::process::Command::new(Idshift::program());
    check
        .args(["check", "--map", MAP, "--as", "5:5"])
        .arg(&work);
    let told = Run::of(&mut check).exits(3).text();
    let advice = told
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("idshift prepare"));
    let advice = advice.unwrap_or_else(|| panic!("{told}"));
    assert!(advice.contains(" --share "), "{advice}");
    let args = advice.split(' ').skip(1);
    host.idshift.run(args).exits(0);
    assert_eq!(fs::metadata(&work).unwrap().uid(), 1000);
    Run::of(&mut check).exits(0);
}

#[test]
fn a_reviewed_manifest_of_a_home_takes_the_flag_too() {
    let host = Host::new();
    let home = host.path("home/leo");
    let manifest = host.path("manifest.jsonl");
    let manifest = manifest.to_str().unwrap();
    let more = ["--allow-home", "--dry-run", "--manifest", manifest];
    host.run("shift", &home, &more).exits(0);
    let apply = ["shift", "--from-manifest", manifest];
    host.idshift.run(apply).exits(4).says("--allow-home");
    host.idshift
        .run([&apply[..], &["--allow-home"]].concat())
        .exits(0);
    assert_eq!(fs::metadata(home.join("work")).unwrap().uid(), 101_000);
}

/// A directory service that answers for a uid, and lists nobody.
const SERVICE: &str = "#!/bin/sh\n\
    case \"$2\" in\n\
    '') exec cat /etc/passwd;;\n\
    200007) echo \"ida:*:200007:200007::$IDA:/bin/bash\";;\n\
    *) exit 2;;\n\
    esac\n";

#[test]
fn an_account_of_a_directory_service_counts_too() {
    let host = Host::new();
    let home = host.make("net/ida", 200_007);
    host.make("net/ida/work", 0);
    let data = host.make("data", 0);
    chown(data.join("file"), Some(200_007), Some(0)).unwrap();
    let getent = host.path("bin/getent");
    fs::create_dir(host.path("bin")).unwrap();
    fs::write(&getent, SERVICE).unwrap();
    fs::set_permissions(&getent, PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", host.path("bin").display());
    let run = |tree: &Path| {
        let map = ["shift", "--map", "b:0:500000:400000", "--dry-run"];
        let args = map.iter().map(OsString::from).chain([tree.into()]);
        let mut command = host.idshift.command(args);
        Run::of(command.env("PATH", &path).env("IDA", &home))
    };
    run(&home).exits(0);
    fs::write("/etc/nsswitch.conf", "passwd: files sss\n").unwrap();
    run(&home).exits(4).says("is the home of ida (uid 200007)");
    run(&home.join("work"))
        .exits(4)
        .says("the home of ida (uid 200007)");
    run(&host.path("net")).exits(4).says("holds ");
    let told = run(&data).exits(3);
    assert!(
        told.text().contains("belongs to ida (uid 200007)"),
        "{told}"
    );
}
