//! What cannot be mounted, or is not mounted as it should be, is refused by name.

use super::{INNER, idmapped_host, mount, tiny_host, unmount};
use crate::support::docker::*;
use crate::support::mounted::Mounted;
use crate::support::{isolation, output};

#[test]
fn a_daemon_does_not_start_without_the_mount() {
    let (host, idshift) = tiny_host();
    migrate(&idshift, &host, &["--idmapped"])
        .exits(0)
        .says("idshift docker mount");
    unmount(&host);
    let point = host.data_root.join(INNER);
    let log = host.try_start(REMAPPED).err().expect("it starts");
    assert!(log.contains("operation not permitted"), "{log}");
    assert_eq!(std::fs::read_dir(&point).unwrap().count(), 0);
    for what in ["revert", "migrate"] {
        let refused = idshift.run(docker_args(what, &host)).exits(4);
        refused.says("mount is missing: `idshift docker mount --data-root");
    }
    assert!(mount(&host, &[]).exits(0).text().contains("is mounted now"));
    let again = mount(&host, &["--json"]).exits(0);
    assert_eq!(again.json()["mounts"][0]["mounted_before"], true, "{again}");
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    mount(&host, &[])
        .exits(4)
        .says("is not remapped by a mount");
}

#[test]
fn what_has_no_way_is_refused_by_name() {
    let (host, idshift) = tiny_host();
    let start = snapshot(&host.data_root);
    // Something is mounted below.
    let data = host.data_root.join("volumes/vol/_data");
    let mounted = Mounted::new("tmpfs", "size=1m", &data);
    for more in [&["--idmapped"][..], &["--idmapped", "--dry-run"]] {
        let refused = migrate(&idshift, &host, more).exits(4);
        refused
            .says(data.to_str().unwrap())
            .says("is a mount point (tmpfs)");
    }
    drop(mounted);
    // Ranges that cannot be exchanged.
    std::fs::write(
        "/etc/subuid",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    )
    .unwrap();
    std::fs::write(
        "/etc/subgid",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    )
    .unwrap();
    migrate(&idshift, &host, &["--idmapped"])
        .exits(4)
        .says("cannot be exchanged");
    isolation::own_etc();
    same(&start, &snapshot(&host.data_root), "refused");

    migrate(&idshift, &host, &[]).exits(0);
    let refused = migrate(&idshift, &host, &["--idmapped"]).exits(4);
    refused.says("first `idshift docker revert`, then `idshift docker migrate --idmapped`");
    revert(&idshift, &host, &[]).exits(0);
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    migrate(&idshift, &host, &["--idmapped"])
        .exits(4)
        .says("by a mount already");
    migrate(&idshift, &host, &["--bind-mounts"])
        .exits(4)
        .says("without --bind-mounts");
    revert(&idshift, &host, &[]).exits(0);
}

/// As after a restore that lost the flag, and a daemon that was started once without the mount.
#[test]
fn files_below_the_mount_are_refused_before_any_change() {
    let (host, idshift) = idmapped_host();
    unmount(&host);
    let point = host.data_root.join(INNER);
    output("chattr", ["-i".as_ref(), point.as_os_str()]);
    std::fs::write(point.join("file"), "kept").unwrap();
    mount(&host, &[]).exits(0);
    let start = snapshot(&host.data_root);
    for (what, more) in [
        ("revert", &[][..]),
        ("revert", &["--dry-run"]),
        ("migrate", &[]),
    ] {
        let args = [&docker_args(what, &host)[..], more].concat();
        let refused = idshift.run(args).exits(4);
        refused
            .says("holds files that a daemon wrote without the mount")
            .says("move away the files in it, chattr +i");
        same(&start, &snapshot(&host.data_root), what);
    }
    unmount(&host);
    std::fs::remove_file(point.join("file")).unwrap();
    // Empty, it need not be immutable to be removed.
    mount(&host, &[]).exits(0);
    revert(&idshift, &host, &[]).exits(0);
    assert!(!point.exists());
}

/// What the daemon makes with the new ids would be nobody's without the mount.
#[test]
fn other_ranges_than_those_of_the_mount_are_refused() {
    let (host, idshift) = idmapped_host();
    let ranges = |lines: &str| {
        for file in ["/etc/subuid", "/etc/subgid"] {
            std::fs::write(file, lines).unwrap();
        }
    };
    let start = snapshot(&host.data_root);
    let told = [
        "b:0:100000:65536",
        "Put `dockremap:100000:65536` back into /etc/subuid and /etc/subgid",
        "first `idshift docker revert`",
    ];
    for lines in [
        "dockremap:100000:131072\n",
        "dockremap:100000:65536\ndockremap:300000:65536\n",
    ] {
        ranges(lines);
        let audit = audit(&host).exits(3).text();
        assert!(told.iter().all(|told| audit.contains(told)), "{audit}");
        for run in [
            idshift.run(docker_args("revert", &host)),
            idshift.run(docker_args("migrate", &host)),
            mount(&host, &[]),
        ] {
            let run = run.exits(4);
            told.iter().fold(run, |run, told| run.says(told));
        }
        same(&start, &snapshot(&host.data_root), lines);
    }
    // The daemon does not start then, as nothing is mounted.
    unmount(&host);
    mount(&host, &[]).exits(4);
    assert!(host.try_start(REMAPPED).is_err());
    isolation::own_etc();
    mount(&host, &[]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
}
