//! A remapped root whose user has lost its ranges, or has others now: what is named goes back to them, and changes no root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::volumes::{INNER, Place, owner};
use crate::support::docker::snapshot;
use crate::support::{Idshift, Run, isolation, scene, sh};

const LINE: &str = "dockremap:100000:65536\n";

/// Gives dockremap these lines in this test's own `/etc`.
fn ranges(lines: &str) {
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, lines).unwrap();
    }
}

/// As `userdel` leaves it.
fn lose_user() {
    for file in ["/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap();
        let others = text.lines().filter(|line| !line.starts_with("dockremap:"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(file, others).unwrap();
    }
}

#[test]
fn a_lost_user_is_made_again_with_the_ranges_of_its_root() {
    let place = Place::new();
    place.volume("v1");
    let idshift = Idshift::new();
    for more in [&["--idmapped"][..], &[]] {
        isolation::own_etc();
        // Not the ranges that dockerd would give away first.
        ranges("other:100000:65536\ndockremap:165536:65536\n");
        place.run(&idshift, "migrate", more).exits(0);
        let start = snapshot(&place.root);
        lose_user();
        let refused = place.run(&idshift, "revert", &[]).exits(4);
        let audited = place.audit();
        assert_eq!(audited.code, Some(3), "{audited}");
        let rebase = ["--from", "b:0:165536:65536"];
        let rebased = place.run(&idshift, "rebase", &rebase).exits(4);
        for told in [&refused.stderr, &audited.text(), &rebased.stderr] {
            assert!(told.contains("there is no user dockremap"), "{told}");
            assert!(!told.contains("--create-user"), "{told}");
        }
        let command = "--add-subuids 165536-231071 --add-subgids 165536-231071 dockremap`";
        let advice = refused.stderr.split('`').nth(1).unwrap().to_string();
        assert!(refused.stderr.contains(command), "{refused}");
        assert!(audited.text().contains(command), "{audited}");
        assert_eq!(start, snapshot(&place.root));
        sh("sh", ["-c", &advice]);
        place.run(&idshift, "revert", &[]).exits(0);
    }
}

#[test]
fn a_user_with_other_ranges_is_told_what_its_root_needs() {
    let place = Place::new();
    place.volume("v1");
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &[]).exits(0);
    ranges("dockremap:300000:65536\n");
    let root = place.root.display();
    for what in ["revert", "migrate"] {
        place
            .run(&idshift, what, &[])
            .exits(4)
            .says("100000.100000, of another range than dockremap has now")
            .says(&format!(
                "`idshift docker rebase --from b:0:100000:65536 --data-root {root}`"
            ))
            .says("put `dockremap:100000:65536` back into /etc/subuid and /etc/subgid");
    }
    ranges(LINE);
    place
        .run(&idshift, "migrate", &[])
        .exits(4)
        .says("which is remapped already: `idshift docker revert` goes back");
    place.run(&idshift, "revert", &[]).exits(0);
}

#[test]
fn a_mount_is_not_made_where_the_daemon_would_start_on_an_empty_root() {
    let place = Place::new();
    place.volume("v1");
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &["--idmapped"]).exits(0);
    let point = place.root.join(INNER);
    nix::mount::umount2(&point, nix::mount::MntFlags::empty()).unwrap();
    fs::create_dir_all("/etc/docker").unwrap();
    let settings = |remap: &str| {
        let text = format!(
            r#"{{"data-root": {:?}, "userns-remap": "{remap}"}}"#,
            place.root
        );
        fs::write("/etc/docker/daemon.json", text).unwrap();
    };
    settings("default");
    let mount = || {
        let mut command = Command::new(Idshift::program());
        Run::of(
            command
                .args(["docker", "mount", "--data-root"])
                .arg(&place.root),
        )
    };
    ranges("dockremap:300000:65536\n");
    let back = "Put `dockremap:100000:65536` back into /etc/subuid and /etc/subgid";
    mount().exits(4).says(back);
    // A daemon was started on it, and made an empty root.
    fs::create_dir_all(place.root.join("300000.300000/image/overlay2")).unwrap();
    mount().exits(4).says(back);
    fs::remove_dir_all(place.root.join("300000.300000")).unwrap();
    let audited = place.audit();
    assert_eq!(audited.code, Some(3), "{audited}");
    assert!(audited.text().contains(back), "{audited}");
    assert!(!audited.text().contains("docker rebase"), "{audited}");
    for what in ["revert", "migrate"] {
        place.run(&idshift, what, &[]).exits(4).says(back);
    }
    // Without userns-remap, nothing says that the daemon means these ranges.
    settings("");
    mount().exits(0);
    nix::mount::umount2(&point, nix::mount::MntFlags::empty()).unwrap();
    ranges(LINE);
    settings("default");
    mount().exits(0);
    place.run(&idshift, "revert", &[]).exits(0);
}

#[test]
fn a_mount_beside_a_run_that_was_cut_short_names_the_run() {
    let place = Place::new();
    place.volume("v1");
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &["--idmapped"]).exits(0);
    // As a power cut leaves it: the permanent migration has moved the mount's directory out of sight.
    let mut command = idshift.command(scene::docker_args("migrate", &place.root, &[]));
    let killed = crate::support::docker::killed_at(
        {
            command.stdout(std::process::Stdio::null());
            command
        },
        "fchownat",
        1,
    );
    assert!(killed);
    let mut command = Command::new(Idshift::program());
    let run = Run::of(
        command
            .args(["docker", "mount", "--data-root"])
            .arg(&place.root),
    );
    let run = run
        .exits(4)
        .says("was interrupted here")
        .says("idshift resume");
    assert!(!run.stderr.contains("--idmapped"), "{run}");
}

/// `docker rebase` leaves what containers bind in the range of before.
#[test]
fn what_is_in_a_range_of_before_is_named_by_revert() {
    let place = Place::new();
    let bound = place.data(&place.beside("bound"));
    place.container(
        "web",
        &[(bound.to_str().unwrap(), "/m")],
        serde_json::json!({}),
    );
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &["--bind-mounts"]).exits(0);
    assert_eq!(owner(&bound.join("file")), 100_033);
    ranges("dockremap:300000:65536\n");
    let rebase = ["--from", "b:0:100000:65536"];
    place.run(&idshift, "rebase", &rebase).exits(0);
    let command = format!(
        "idshift prepare --reverse --map b:0:100000:65536 {}",
        bound.display()
    );
    for more in [
        &["--dry-run"][..],
        &["--dry-run", "--bind-mounts"],
        &["--bind-mounts"],
    ] {
        place.run(&idshift, "revert", more).exits(0).says(&command);
    }
    idshift.run(command.split(' ').skip(1)).exits(0);
    assert_eq!(owner(&bound.join("file")), 33);
}

#[test]
fn what_the_audit_says_of_the_host_a_migration_says_too() {
    let place = Place::new();
    place.volume("v1");
    let idshift = Idshift::new();
    let above = place.dir.path();
    let mode = |bits: u32| fs::set_permissions(above, fs::Permissions::from_mode(bits)).unwrap();
    mode(0o700);
    let closed = format!("chmod o+x {}", above.display());
    let audited = place.audit().exits(3);
    assert!(audited.text().contains(&closed), "{audited}");
    for more in [&["--dry-run"][..], &["--idmapped", "--dry-run"], &[]] {
        place.run(&idshift, "migrate", more).exits(4).says(&closed);
    }
    mode(0o701);
    ranges("dockremap:100000:65536\nbob:120000:65536\n");
    let shared = "line 2 of /etc/subuid gives ids 120000-165535 of the range to bob";
    let dry = place
        .run(&idshift, "migrate", &["--dry-run"])
        .exits(0)
        .says(shared);
    assert!(dry.stderr.contains("/etc/subgid"), "{dry}");
    let json = place
        .run(&idshift, "migrate", &["--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["shared_ranges"][0]["owner"], "bob", "{json}");
    place.run(&idshift, "migrate", &[]).exits(0).says(shared);
}
