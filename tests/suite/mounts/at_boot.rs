//! What the unit of a persistent mount makes at each boot, and what is said of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::mounts::{listed, mounted_at, owner, umount};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, output};

/// A host that systemd started, by its looks; its `systemctl` does nothing.
struct Host {
    programs: tempfile::TempDir,
}

impl Host {
    fn new() -> Host {
        for place in ["/run/systemd/system", "/etc/systemd/system"] {
            fs::create_dir_all(place).unwrap();
        }
        let programs = tempfile::tempdir().unwrap();
        let systemctl = programs.path().join("systemctl");
        fs::write(&systemctl, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        Host { programs }
    }

    fn idshift<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Run {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.programs.path().display());
        let mut command = Command::new(Idshift::installed());
        Run::of(command.args(words).env("PATH", path))
    }

    /// `idshift mount` with the usual map.
    fn mount(&self, words: &[&str]) -> Run {
        self.idshift(
            ["mount", "--map", MAP]
                .into_iter()
                .chain(words.iter().copied()),
        )
    }
}

fn unit_of(target: &Path) -> PathBuf {
    let escaped = output("systemd-escape", ["--path".as_ref(), target.as_os_str()]).stdout;
    let name = String::from_utf8_lossy(&escaped).trim().to_string();
    Path::new("/etc/systemd/system").join(format!("idshift-mount-{name}.service"))
}

/// The value of a line of a unit.
fn value(unit: &Path, key: &str) -> String {
    let text = fs::read_to_string(unit).unwrap();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(key));
    values.next().unwrap().to_string()
}

/// As at a boot.
fn start(unit: &Path) -> Run {
    Run::of(Command::new("sh").args(["-c", &value(unit, "ExecStart=")]))
}

#[test]
fn a_unit_makes_the_mount_that_is_there() {
    let (fs, host) = (TestFs::new(Kind::Ext4), Host::new());
    let (project, at) = (fs.path().join("project"), fs.path().join("at"));
    for dir in [&project, &at] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(project.join("file"), "").unwrap();
    for path in [&project, &project.join("file")] {
        chown(path, Some(1000), Some(1000)).unwrap();
    }
    let paths = [project.to_str().unwrap(), at.to_str().unwrap()];
    let unit = unit_of(&at);
    let again = |more: &[&str]| host.mount(&[&paths[..], &["--owner", "999:999"], more].concat());
    again(&[]).exits(0);
    assert_eq!(owner(&at.join("file")), (100_999, 100_999));
    // Another owner on disk is another mount.
    for more in [&["--persist"][..], &[], &["--dry-run"]] {
        let refused = again(&[more, &["--disk-owner", "2000:2000"]].concat()).exits(4);
        refused.says("is there already").says("idshift umount");
        assert!(!unit.exists(), "{more:?}");
    }
    // As the program in a container may do.
    chown(&project, Some(0), Some(0)).unwrap();
    let run = again(&["--persist"]).exits(0);
    assert!(run.text().contains("Mounted already"), "{run}");
    umount(&at, &["--keep-unit"]).exits(0);
    assert_eq!(mounted_at(&at), [""; 0]);
    start(&unit).exits(0);
    assert_eq!(owner(&at.join("file")), (100_999, 100_999));
    assert_eq!(owner(&at), (100_000, 100_000));
    host.idshift(["umount", paths[1]]).exits(0);
}

#[test]
fn the_unit_that_makes_a_mount_is_told_and_one_that_makes_another() {
    let (fs, host) = (TestFs::new(Kind::Ext4), Host::new());
    let dir = fs.path().join("data");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(33), Some(33)).unwrap();
    let (path, unit) = (dir.to_str().unwrap(), unit_of(&dir));
    let unit_text = unit.to_str().unwrap();
    const ENDS: &str = "lasts until the next boot";
    let run = host.mount(&[path]).exits(0);
    assert!(run.text().contains(ENDS), "{run}");
    // What is allowed makes no other mount, nor does a swap of a user with itself.
    let persist = ["--persist", "--allow-system-path", "--owner", "33:33", path];
    host.mount(&persist).exits(0);
    for same in [&[][..], &["--owner", "33:33"]] {
        let run = host.mount(&[same, &[path]].concat()).exits(0);
        assert!(
            run.text()
                .contains(&format!("At each boot {unit_text} makes it")),
            "{run}"
        );
        assert!(
            !run.text().contains(ENDS) && !run.stderr.contains("another mount"),
            "{run}"
        );
    }
    let json = host.mount(&["--json", path]).exits(0).json();
    assert_eq!(json["unit"], unit_text);
    let told = format!("At each boot {unit_text} makes another mount on {path}");
    let others = [
        &["--map", "b:0:200000:65536"][..],
        &["--map", MAP, "--map", "u:70000:300000:1"],
        &["--map", MAP, "--owner", "7:7"],
        &["--map", MAP, "--read-only"],
    ];
    for other in others {
        host.idshift(["umount", "--keep-unit", path]).exits(0);
        let mount = |more: &[&str]| {
            let words = [&["mount"], other, more, &[path]].concat();
            host.idshift(words).exits(0)
        };
        let run = mount(&[]);
        assert!(
            run.stderr.contains(&told) && run.stderr.contains("add --persist"),
            "{run}"
        );
        assert!(run.text().contains(ENDS), "{run}");
        assert!(mount(&["--json"]).json()["unit"].is_null(), "{other:?}");
        // What is advised.
        mount(&["--persist"]);
        let run = mount(&[]);
        assert!(
            run.text()
                .contains(&format!("At each boot {unit_text} makes it")),
            "{run}"
        );
    }
    host.idshift(["umount", path]).exits(0);
    assert_eq!(listed(&dir).len(), 0);
}

/// `podman-systemd.unit(5)`: such a unit is started by itself.
#[test]
fn a_quadlet_unit_is_to_wait_for_the_mount() {
    let (fs, host) = (TestFs::new(Kind::Ext4), Host::new());
    let (dir, quadlet) = (fs.path().join("data"), fs.path().join("web.container"));
    fs::create_dir(&dir).unwrap();
    let text = "[Container]\nImage=web\nUIDMap=0:100000:65536\nGIDMap=0:100000:65536\n";
    fs::write(&quadlet, text).unwrap();
    let from = [
        "mount",
        "--map-from",
        quadlet.to_str().unwrap(),
        dir.to_str().unwrap(),
    ];
    let run = host.idshift(from).exits(0);
    assert!(!run.stderr.contains("After="), "{run}");
    let run = host.idshift(from.into_iter().chain(["--persist"])).exits(0);
    let unit = unit_of(&dir);
    let name = unit.file_name().unwrap().to_str().unwrap();
    let told = format!("`Requires={name}` and `After={name}`");
    assert!(run.stderr.contains(&told), "{run}");
    host.idshift(["umount", dir.to_str().unwrap()]).exits(0);
}
