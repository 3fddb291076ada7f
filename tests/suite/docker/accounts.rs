//! Accounts of the host, in a data-root and in the range.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::handmade_root::{Root, bind, dir_of};
use crate::support::{Idshift, Kind, Run, TestFs, data_root, scene};
use serde_json::{Value, json};

/// dockerd asks for a group of the user's name, and does not start without it.
#[test]
fn a_group_that_is_missing_is_told_and_made() {
    let root = Root::new();
    let top = root.dir.path().to_str().unwrap();
    let set = |name: &str, line: &str| {
        let path = Path::new("/etc").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let others = text.lines().filter(|line| !line.contains("dockremap"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(&path, others + line).unwrap();
    };
    let user = ("passwd", "dockremap:x:997:997::/nonexistent:/bin/false\n");
    let group = ("group", "dockremap:x:997:\n");
    let args = |what: &'static str, more: &[&'static str]| {
        let args = [
            "docker",
            what,
            "--daemon-json",
            "/nonexistent",
            "--data-root",
            top,
        ];
        [&args[..], more].concat()
    };
    let audit = || Run::of(Command::new(Idshift::program()).args(args("audit", &[]))).exits(0);
    for name in ["subuid", "subgid"] {
        set(name, "dockremap:100000:65536\n");
    }
    for (has, lacks, missing) in [
        (user, "group", "group dockremap"),
        (group, "passwd", "user dockremap"),
    ] {
        set(has.0, has.1);
        set(lacks, "");
        let audited = audit();
        let words = format!("not there yet: {missing}");
        assert!(audited.text().contains(&words), "{audited}");
        let idshift = Idshift::new();
        idshift
            .run(args("migrate", &[]))
            .exits(4)
            .says("--create-user");
        idshift.run(args("migrate", &["--create-user"])).exits(0);
        for name in ["passwd", "group"] {
            let text = fs::read_to_string(Path::new("/etc").join(name)).unwrap();
            assert!(text.contains("dockremap:"), "{name}: {text}");
        }
        idshift.rollback();
    }
}

#[test]
fn files_of_a_login_account_stay_unless_asked_for() {
    let mut root = Root::new();
    let beside = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let on = OfLeo::new(&mut root, beside.path());
    let (_, told) = root.audit();
    on.volumes_are_told(&told);
    on.bind_mounts_are_told(&told);

    let idshift = Idshift::new();
    let top = root.dir.path().to_str().unwrap();
    let migrate = |more: &[&str]| {
        let args = [
            "docker",
            "migrate",
            "--daemon-json",
            "/nonexistent",
            "--data-root",
            top,
        ];
        idshift
            .run([&args[..], &["--bind-mounts"], more].concat())
            .exits(0)
    };
    let dry_run = migrate(&["--dry-run"]);
    on.all_stays(&dry_run, "would stay");
    dry_run.says("--allow-home shifts it too");
    // The migration cannot be run again with that option.
    let done = migrate(&[]);
    on.all_stays(&done, "stays");
    assert!(
        !done.stderr.contains("--allow-home shifts it too"),
        "{done}"
    );
    let command = format!(
        "`idshift prepare --subid dockremap --allow-home {}`",
        on.home.display()
    );
    assert!(done.stderr.contains(&command), "{done}");
    assert_eq!(owner(&on.plain), 100_000);
    assert_eq!(
        owner(&root.path("100000.100000/volumes/named/_data")),
        101_000
    );
    idshift.rollback();
    migrate(&["--allow-home"]);
    assert_eq!(
        (owner(&on.home), owner(&on.work), owner(&on.file)),
        (101_000, 101_000, 101_000)
    );
    assert_eq!((owner(&on.linked), owner(&on.device)), (100_000, 100_000));
    // What stays in the range is named with a command that works.
    let args = [
        "docker",
        "revert",
        "--daemon-json",
        "/nonexistent",
        "--data-root",
        top,
    ];
    let told = idshift.run(args).exits(0).stderr;
    let command = format!(
        "idshift prepare --subid dockremap --reverse --allow-home {}",
        on.home.display()
    );
    assert!(told.contains(&command), "{told}");
    let args = [
        "prepare",
        "--reverse",
        "--allow-home",
        on.home.to_str().unwrap(),
    ];
    idshift.run(args).exits(0);
    assert_eq!((owner(&on.home), owner(&on.linked)), (1000, 0));
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

/// Files of an account that logs in: leo's home, directories in it, and one with a file of leo's; and one without.
struct OfLeo {
    home: PathBuf,
    work: PathBuf,
    data: PathBuf,
    file: PathBuf,
    plain: PathBuf,
    /// Where volumes have their content.
    linked: PathBuf,
    device: PathBuf,
}

impl OfLeo {
    fn new(root: &mut Root, beside: &Path) -> OfLeo {
        let home = dir_of(beside, "leo");
        let (work, data) = (dir_of(&home, "work"), dir_of(beside, "data"));
        let plain = dir_of(beside, "plain");
        let file = data.join("file");
        fs::write(&file, "").unwrap();
        for path in [&home, &work, &file] {
            chown(path, Some(1000), Some(1000)).unwrap();
        }
        let account = format!("leo:x:1000:1000::{}:/bin/bash\n", home.display());
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write("/etc/passwd", passwd + &account).unwrap();
        let at = |path: &Path| bind(path, true);
        let mounts = json!({"/h": at(&home), "/w": at(&work), "/d": at(&data), "/p": at(&plain)});
        root.container("web", json!({"MountPoints": mounts}), json!({}));
        // Ids of a volume are those of containers.
        let volume = root.make("volumes/named/_data");
        chown(&volume, Some(1000), Some(1000)).unwrap();
        // Content that is elsewhere is shifted as a bind mount, if at all.
        let (linked, device) = (dir_of(&home, "linked"), dir_of(&home, "device"));
        symlink(&linked, root.make("volumes/link").join("_data")).unwrap();
        root.make("volumes/device/_data");
        let options = json!({"MountType": "none", "MountOpts": "bind", "MountDevice": device, "Quota": {"Size": 0}});
        fs::write(root.path("volumes/device/opts.json"), options.to_string()).unwrap();
        OfLeo {
            home,
            work,
            data,
            file,
            plain,
            linked,
            device,
        }
    }

    fn volumes_are_told(&self, told: &Value) {
        for (name, dir) in [("link", &self.linked), ("device", &self.device)] {
            let volumes = told["volumes_elsewhere"].as_array().unwrap();
            let found = volumes.iter().find(|it| it["volume"] == name).unwrap();
            let advice = found["advice"].as_str().unwrap();
            let command = format!(
                "idshift prepare --subid dockremap --allow-home {}",
                dir.display()
            );
            assert_eq!(found["becomes"], "left", "{found}");
            assert!(
                advice.contains("the home of leo") && advice.ends_with(&command),
                "{advice}"
            );
        }
    }

    fn bind_mounts_are_told(&self, told: &Value) {
        for (source, words) in [
            (&self.home, "is the home of leo (uid 1000)"),
            (&self.work, "lies in "),
            (&self.data, "holds files of leo (uid 1000)"),
        ] {
            let mounts = told["bind_mounts"].as_array().unwrap();
            let is_it = |it: &&Value| it["source"] == source.to_str().unwrap();
            let found = mounts.iter().find(is_it).unwrap();
            assert_eq!(found["kind"], "account", "{found}");
            assert_eq!(found["account"]["name"], "leo", "{found}");
            let advice = found["advice"].as_str().unwrap();
            let command = format!(
                "idshift prepare --subid dockremap --allow-home {}",
                source.display()
            );
            assert!(
                advice.contains(words) && advice.ends_with(&command),
                "{advice}"
            );
        }
    }

    fn all_stays(&self, run: &Run, stays: &str) {
        for source in [
            &self.home,
            &self.work,
            &self.data,
            &self.linked,
            &self.device,
        ] {
            let words = format!("Bind mount {} {stays} as it is: it ", source.display());
            assert!(run.stderr.contains(&words), "{run}");
        }
        assert_eq!((owner(&self.linked), owner(&self.device)), (0, 0));
        assert_eq!(
            (owner(&self.home), owner(&self.work), owner(&self.file)),
            (1000, 1000, 1000)
        );
    }
}

#[test]
fn only_foreign_accounts_in_the_range_are_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    let idshift = Idshift::new();
    let add = |file: &str, line: &str| {
        let mut text = fs::read_to_string(file).unwrap();
        text.push_str(line);
        fs::write(file, text).unwrap();
    };
    let audit = |more: &[&str]| {
        let args = scene::docker_args("audit", &top, more);
        Run::of(Command::new(Idshift::program()).args(args))
    };
    let migrate = |more: &[&str]| idshift.run(scene::docker_args("migrate", &top, more));

    // The container's root is jenkins itself.
    add(
        "/etc/passwd",
        "jenkins:x:1005:1005::/nonexistent:/usr/sbin/nologin\n",
    );
    add("/etc/group", "jenkins:x:1005:\n");
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "jenkins:1005:1\njenkins:200000:65536\n").unwrap();
    }
    let to_jenkins = ["--userns-remap", "jenkins"];
    let audited = audit(&to_jenkins).text();
    assert!(!audited.contains("host accounts are inside"), "{audited}");
    migrate(&[&to_jenkins[..], &["--dry-run"]].concat()).exits(0);
    migrate(&to_jenkins).exits(0);
    idshift.rollback();

    add(
        "/etc/passwd",
        "eve:x:200007:200007::/nonexistent:/usr/sbin/nologin\n",
    );
    let audited = audit(&to_jenkins).exits(3).text();
    assert!(audited.contains("eve (200007)"), "{audited}");
    for more in [&["--dry-run"][..], &[]] {
        let refused = migrate(&[&to_jenkins[..], more].concat()).exits(4);
        refused.says("eve (200007)").says("another range");
    }
}

/// They are in no line of `/etc/subuid`.
#[test]
fn accounts_in_ranges_of_a_directory_service_are_found() {
    let root = Root::new();
    let place = tempfile::tempdir().unwrap();
    let add = |file: &str, lines: &str| {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, text + lines).unwrap();
    };
    add("/etc/nsswitch.conf", "subid: sss\n");
    add(
        "/etc/passwd",
        "leo:x:1000:1000::/home/leo:/bin/bash\neve:x:2147483700:1000::/home/eve:/bin/bash\n",
    );
    add("/etc/group", "leo:x:1000:\n");
    let program = place.path().join("getsubids");
    let text = "#!/bin/sh\n[ \"$1\" != -g ] || shift\necho \"0: $1 2147483648 65536\"\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = place.path().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let args = ["docker", "migrate", "--daemon-json", "/nonexistent"];
    let top = root.dir.path().to_str().unwrap();
    let rootless = ["--rootless", "leo", "--dry-run", "--data-root", top];
    let idshift = Idshift::new();
    let mut command = idshift.command([&args[..], &rootless].concat());
    command.env("PATH", &path);
    Run::of(&mut command)
        .exits(4)
        .says("leo: host accounts are inside its ranges: eve (uid 2147483700)");
}
