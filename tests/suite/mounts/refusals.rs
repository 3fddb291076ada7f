//! What `idshift mount` and `idshift umount` leave alone, and what they say.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::mounts::{listed, mount, mounted_at, umount};
use crate::support::volume::prepare;
use crate::support::{Idshift, Kind, MAP, Mounted, Run, TestFs, sh};

#[test]
fn what_is_no_host_directory_of_its_own_is_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in [
        "data",
        "at",
        "root/image",
        "root/containers",
        "root/network/files",
        "root/volumes",
    ] {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["file", "root/volumes/metadata.db"] {
        fs::write(at(name), "").unwrap();
    }
    symlink(at("data"), at("link")).unwrap();
    let path = |name: &str| at(name).to_str().unwrap().to_string();
    mount(&at("link"), &[])
        .exits(4)
        .says("is a symlink to")
        .says(&path("data"));
    mount(&at("none"), &[]).exits(4).says("No such file");
    mount("/usr/lib".as_ref(), &[])
        .exits(4)
        .says("--allow-system-path");
    mount(&at("data"), &["/etc"])
        .exits(4)
        .says("--allow-system-path");
    mount(&at("root"), &[])
        .exits(4)
        .says("is a Docker data-root");
    mount(&at("root/containers"), &[])
        .exits(4)
        .says("is a part of the Docker data-root");
    mount(&fs.path(), &[])
        .exits(4)
        .says("holds the Docker data-root");
    mount(&at("file"), &[&path("at")])
        .exits(4)
        .says("both must be of the same kind");
    // Not root.
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "1000", "--clear-groups"])
        .arg(Idshift::program());
    Run::of(command.args(["mount", "--map", MAP, &path("data")]))
        .exits(4)
        .says("needs root");
}

#[test]
fn a_home_is_refused_unless_it_is_mounted_elsewhere() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in ["data", "at"] {
        fs::create_dir(at(name)).unwrap();
    }
    let path = |name: &str| at(name).to_str().unwrap().to_string();
    sh("chown", ["1000", &path("data")]);
    fs::write(
        "/etc/passwd",
        format!(
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::{}:/bin/sh\n",
            path("data")
        ),
    )
    .unwrap();
    mount(&at("data"), &[])
        .exits(4)
        .says("home of ann")
        .says("--allow-home");
    // Elsewhere it does no harm.
    mount(&at("data"), &[&path("at")]).exits(0);
    umount(&at("at"), &[]).exits(0);
    assert_eq!(mounted_at(&at("data")), [""; 0]);
}

#[test]
fn what_is_mounted_already_is_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in ["data/below", "data/other", "at"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let path = |name: &str| at(name).to_str().unwrap().to_string();
    // What is mounted in it would not be seen.
    {
        let _mounts =
            ["below", "other"].map(|name| Mounted::new("tmpfs", "size=1m", &at("data").join(name)));
        let run = mount(&at("data"), &[]).exits(4);
        run.says(&path("data/below"))
            .says(&path("data/other"))
            .says("`idshift mount");
    }
    // Seen through another such mount, and on one.
    {
        let _mapped = Mounted::idmapped(&at("data"), &at("at"));
        mount(&at("at/below"), &[])
            .exits(4)
            .says("idmapped mount already");
        mount(&at("at"), &[]).exits(4).says("is there already");
        mount(&at("at/below"), &[&path("data/other")])
            .exits(4)
            .says("idmapped mount already");
    }
    assert_eq!(mounted_at(&at("data")), [""; 0]);
    // What lies in such a mount is no mount point; the command that is named takes the right one down.
    mount(&at("data"), &[&path("at")]).exits(0);
    mount(&at("data/other"), &[&path("at/below")])
        .exits(4)
        .says(&format!("in the idmapped mount on {}. ", path("at")))
        .says(&format!("`idshift umount {}`", path("at")));
    umount(&at("at"), &[]).exits(0);
    mount(&at("data/other"), &[&path("at")]).exits(0);
    umount(&at("at"), &[]).exits(0);
}

#[test]
fn an_overlay_is_refused_by_its_name() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(at(name)).unwrap();
    }
    let [lower, upper, work] =
        ["lower", "upper", "work"].map(|name| at(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let _overlay = Mounted::new("overlay", &options, &at("merged"));
    let run = mount(&at("merged"), &[]).exits(4);
    let run = run
        .says("an overlay mount cannot be idmapped")
        .says("findmnt -t overlay");
    // What would refuse, too, is not advised.
    assert!(!run.text().contains("idshift prepare"), "{run}");
    prepare(&Idshift::new(), &at("merged"), &[]).exits(4);
}

#[test]
fn files_of_a_run_that_has_not_ended_are_not_mounted() {
    let scene = crate::support::scene::shift(Kind::Ext4);
    let idshift = Idshift::new();
    let mut run = idshift.command(["shift", "--map", MAP, "--rate", "1"]);
    let mut child = run
        .arg(&scene.top)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while idshift.journal_files().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mount = || {
        let mut command = idshift.command(["mount", "--map", MAP]);
        Run::of(command.arg(&scene.top))
    };
    mount().exits(4).says("is working on");
    let mut persist = Command::new(Idshift::installed());
    persist.args([
        "mount",
        "--map",
        MAP,
        "--persist",
        "--dry-run",
        "--json",
        "--journal-dir",
    ]);
    let persist = Run::of(persist.arg(idshift.journals()).arg(&scene.top)).exits(0);
    let at_boot = persist.json()["boot_command"].as_str().unwrap().to_string();
    let would_refuse = || {
        let mut command = idshift.command(["mount", "--dry-run", "--json", "--map", MAP]);
        let run = Run::of(command.arg(&scene.top)).exits(0);
        run.json()["would_refuse"][0]["kind"].clone()
    };
    assert_eq!(would_refuse(), "other-run");
    child.kill().unwrap();
    child.wait().unwrap();
    mount().exits(4).says("idshift rollback");
    // A boot finds the journal, too.
    Run::of(Command::new("sh").args(["-c", &at_boot]))
        .exits(4)
        .says("idshift rollback");
    assert_eq!(would_refuse(), "unfinished-run");
    assert_eq!(mounted_at(&scene.top), [""; 0]);
    idshift.rollback();
    assert!(would_refuse().is_null());
    mount().exits(0);
    // And no run begins on what is seen through it.
    let run = Run::of(idshift.command(["shift", "--map", MAP]).arg(&scene.top)).exits(4);
    run.says("is seen through an idmapped mount")
        .says("idshift umount");
    umount(&scene.top, &[]).exits(0);
}

#[test]
fn only_an_idmapped_mount_that_nobody_uses_is_taken_down() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in ["data/below", "at", "plain"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let _plain = Mounted::bind(&at("data"), &at("plain"));
    umount(&at("plain"), &[])
        .exits(4)
        .says("no idmapped mount is there")
        .says("another mount is there");
    umount(&at("data"), &[])
        .exits(4)
        .says("no idmapped mount is there");
    let to = at("at").to_str().unwrap().to_string();
    mount(&at("data"), &[&to]).exits(0);
    umount(&at("at/below"), &[])
        .exits(4)
        .says("no idmapped mount is there");
    // Who uses the same directory by another way is no user of it; who is in the mount is.
    let sleep = |dir: &str| {
        Command::new("sleep")
            .arg("1000")
            .current_dir(at(dir))
            .spawn()
            .unwrap()
    };
    let (mut elsewhere, mut inside) = (sleep("data/below"), sleep("at/below"));
    let pid = inside.id().to_string();
    for more in [&[][..], &["--dry-run"]] {
        umount(&at("at"), more)
            .exits(4)
            .says(&pid)
            .says("working directory")
            .says("--allow-in-use");
    }
    let [one] = &listed(&at("at"))[..] else {
        panic!()
    };
    let users = one["used_by"].as_array().unwrap();
    assert!(users.len() == 1 && users[0]["pid"] == inside.id(), "{one}");
    // A tree that is seen through a mount is in use, and the command that ends that works.
    let idshift = Idshift::new();
    for tree in ["data", "data/below"] {
        let run = Run::of(idshift.command(["shift", "--map", MAP]).arg(at(tree))).exits(4);
        run.says(&format!("idshift umount {to}"));
    }
    inside.kill().unwrap();
    inside.wait().unwrap();
    umount(&at("at"), &["--dry-run"]).exits(0);
    assert_eq!(mounted_at(&at("at")).len(), 1);
    // Something mounted in it.
    {
        let _below = Mounted::new("tmpfs", "size=1m", &at("at/below"));
        umount(&at("at"), &[]).exits(4).says("findmnt -R");
    }
    umount(&at("at"), &[]).exits(0);
    assert_eq!(mounted_at(&at("at")), [""; 0]);
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    // In use, and told to.
    mount(&at("data"), &[&to]).exits(0);
    let mut inside = sleep("at/below");
    umount(&at("at"), &["--allow-in-use"]).exits(0);
    assert_eq!(mounted_at(&at("at")), [""; 0]);
    inside.kill().unwrap();
    inside.wait().unwrap();
}
