//! `idshift mounts`: what is there, what is not any more, and what others made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::mount::{MntFlags, umount2};

use crate::support::mounts::{listed, mount, mounted_at, umount};
use crate::support::{Idshift, Kind, Mounted, Run, TestFs};

#[test]
fn each_mount_is_told_from_what_is_in_its_place() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for name in ["data", "at", "others"] {
        fs::create_dir(at(name)).unwrap();
    }
    let state = |name: &str| {
        listed(&at(name))
            .iter()
            .map(|one| one["state"].clone())
            .collect::<Vec<_>>()
    };
    let to = at("at").to_str().unwrap().to_string();
    mount(&at("data"), &[&to]).exits(0);
    assert_eq!(state("at"), ["mounted"]);
    // Records are root's alone.
    for entry in fs::read_dir("/run/idshift/mounts").unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    {
        let _over = Mounted::new("tmpfs", "size=1m", &at("at"));
        assert_eq!(state("at"), ["covered"]);
        umount(&at("at"), &[])
            .exits(4)
            .says("another mount is there");
    }
    assert_eq!(state("at"), ["mounted"]);
    umount2(&at("at"), MntFlags::empty()).unwrap();
    assert_eq!(state("at"), ["missing"]);
    // The same place, the same files, another mount.
    let others = Mounted::idmapped(&at("data"), &at("at"));
    let all = listed(&at("at"));
    let made_by = |one: &serde_json::Value| (one["made_by"].clone(), one["state"].clone());
    assert!(
        all.iter()
            .map(made_by)
            .any(|it| it == ("other".into(), "mounted".into())),
        "{all:?}"
    );
    assert!(
        all.iter()
            .map(made_by)
            .any(|it| it == ("idshift".into(), "missing".into())),
        "{all:?}"
    );
    drop(others);
    let run = Run::of(Command::new(Idshift::program()).arg("mounts")).exits(0);
    assert!(run.text().contains("idshift umount"), "{run}");
    umount(&at("at"), &[]).exits(0);
    assert_eq!(state("at"), [""; 0]);
    // One that others made is shown, with the path that its files have on disk, and can be taken down.
    std::mem::forget(Mounted::idmapped(&at("data"), &at("others")));
    let [one] = &listed(&at("others"))[..] else {
        panic!()
    };
    assert_eq!(one["source"], at("data").to_str().unwrap());
    umount(&at("others"), &[]).exits(0);
    assert_eq!(mounted_at(&at("others")), [""; 0]);
}
