//! The unit of a persistent mount: what it may run, and whose file it replaces.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::mounts::{mount, umount};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, output, sh};

/// A host that systemd started, by its looks, and where the unit of a mount on this directory is.
fn unit_of(dir: &Path) -> PathBuf {
    for place in ["/run/systemd/system", "/etc/systemd/system"] {
        fs::create_dir_all(place).unwrap();
    }
    let escaped = output("systemd-escape", ["--path".as_ref(), dir.as_os_str()]).stdout;
    let escaped = String::from_utf8(escaped).unwrap();
    let name = format!("idshift-mount-{}.service", escaped.trim());
    Path::new("/etc/systemd/system").join(name)
}

#[test]
fn a_file_that_idshift_has_not_written_stays() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("data");
    fs::create_dir(&dir).unwrap();
    let unit = unit_of(&dir);
    let text = "[Service]\nExecStart=/bin/true\n";
    let make: [&dyn Fn(); 2] = [&|| fs::write(&unit, text).unwrap(), &|| {
        symlink("/dev/null", &unit).unwrap();
    }];
    for make in make {
        make();
        for options in [&["--persist", "--dry-run"][..], &["--persist"]] {
            let refused = mount(&dir, options).exits(4);
            let why = format!(
                "{}: is there and was not written by idshift",
                unit.display()
            );
            refused.says(&why);
        }
        let listed = Run::of(Command::new(Idshift::program()).args(["mounts", "--json"]));
        assert_eq!(listed.json()["mounts"].as_array().map(Vec::len), Some(0));
        if !unit.is_symlink() {
            mount(&dir, &[]).exits(0);
            for options in [&["--dry-run"][..], &[]] {
                let refused = umount(&dir, options).exits(4);
                let refused = refused.says("was not written by idshift, which does not remove it");
                let command = format!("`idshift umount --keep-unit {}`", dir.display());
                refused.says(&command);
            }
            umount(&dir, &["--keep-unit"]).exits(0);
            assert_eq!(fs::read_to_string(&unit).unwrap(), text);
        }
        fs::remove_file(&unit).unwrap();
    }
}

#[test]
fn what_root_runs_at_boot_lies_where_only_root_writes() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("data");
    fs::create_dir(&dir).unwrap();
    unit_of(&dir);
    let temporary = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let shared = PathBuf::from("/etc/everybody");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    for (place, why) in [
        (temporary.path().to_path_buf(), "/var/tmp is emptied"),
        (shared, "others than root (/etc/everybody has mode 1777)"),
    ] {
        let program = place.join("idshift");
        fs::write(&program, "").unwrap();
        sh("mount", ["--bind".as_ref(), Idshift::program(), &*program]);
        for options in [&["--persist", "--dry-run"][..], &["--persist"]] {
            let mut command = Command::new(&program);
            let run = Run::of(
                command
                    .args(["mount", "--map", MAP])
                    .args(options)
                    .arg(&dir),
            );
            let run = run.exits(4).says(why);
            run.says(&format!("install -m 755 {} /usr/", program.display()));
        }
        // A mount that ends with the host needs no program at boot.
        let mut command = Command::new(&program);
        Run::of(command.args(["mount", "--map", MAP]).arg(&dir)).exits(0);
        umount(&dir, &[]).exits(0);
        sh("umount", [&program]);
    }
}

/// systemd does not answer when the same is said again, or something else: what was there makes the mount at the next boot.
#[test]
fn a_unit_that_works_stays_where_systemd_does_not_answer() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("data");
    fs::create_dir(&dir).unwrap();
    let unit = unit_of(&dir);
    let programs = tempfile::tempdir().unwrap();
    let systemctl = |what: &str| {
        let path = programs.path().join("systemctl");
        fs::write(&path, format!("#!/bin/sh\n{what}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!(
        "{}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap()
    );
    let persist = |more: &[&str]| {
        let mut command = Command::new(Idshift::installed());
        command
            .args(["mount", "--map", MAP, "--persist"])
            .args(more);
        Run::of(command.arg(&dir).env("PATH", &path))
    };
    let failing = "echo 'Failed to connect to bus' >&2; exit 1";
    // Of the first one nothing stays.
    systemctl(failing);
    persist(&[]).exits(4).says("the mount was removed again");
    assert!(!unit.exists());
    systemctl("exit 0");
    persist(&[]).exits(0);
    let text = fs::read_to_string(&unit).unwrap();
    systemctl(failing);
    let refused = persist(&[]).exits(4).says("Failed to connect to bus");
    refused.says("the mount and its unit stay");
    assert_eq!(fs::read_to_string(&unit).unwrap(), text);
    // Another text of it, as of an older version.
    let older = format!("{text}# older\n");
    fs::write(&unit, &older).unwrap();
    persist(&[]).exits(4);
    assert_eq!(fs::read_to_string(&unit).unwrap(), older);
    systemctl("exit 0");
    persist(&[]).exits(0);
    assert_eq!(fs::read_to_string(&unit).unwrap(), text);
    fs::remove_file(&unit).unwrap();
    umount(&dir, &[]).exits(0);
}
