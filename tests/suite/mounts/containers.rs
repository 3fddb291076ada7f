//! Real containers of a remapped Docker on a directory that is seen through an idmapped mount.

use std::fs;
use std::os::unix::fs::chown;

use crate::support::daemon::Host;
use crate::support::docker::REMAPPED;
use crate::support::engine_host::{EngineHost, Release};
use crate::support::mounts::{listed, mount, owner, umount};
use crate::support::volume::check;
use crate::support::{long, need_root};

#[test]
fn a_remapped_container_uses_a_mounted_directory_as_a_plain_one_does() {
    need_root();
    let host = Host::new();
    let dir = host.beside().join("closed/data");
    fs::create_dir_all(dir.join("private")).unwrap();
    for (path, id) in [("", 33), ("private", 33)] {
        chown(dir.join(path), Some(id), Some(id)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(dir.join(path), mode).unwrap();
    }
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let bind = format!("{}:/d", dir.display());
    let run = |user: &str, script: &str| {
        let words = [
            "run",
            "--rm",
            "--network=none",
            "-u",
            user,
            "-v",
            &bind,
            "tiny:1",
            "sh",
            "-c",
            script,
        ];
        daemon.try_docker(&words)
    };
    let script =
        "echo new > /d/private/new && cat /d/private/new && stat -c %u:%g /d /d/private/new";
    assert_ne!(run("33:33", script).code, Some(0), "not as it is on disk");
    check(&dir, &["--as", "33:33"]).exits(3);

    mount(&dir, &[]).exits(0);
    check(&dir, &["--as", "33:33", "--recursive"]).exits(0);
    let done = run("33:33", script).exits(0);
    assert_eq!(done.text(), "new\n33:33\n33:33\n");
    // Root of the container may do all that root of a plain one may.
    run(
        "0:0",
        "touch /d/of-root && chown 7:7 /d/of-root && chmod 4755 /d/of-root",
    )
    .exits(0);
    // One that runs on uses the mount.
    let up = [
        "run",
        "-d",
        "--network=none",
        "--name",
        "web",
        "-v",
        &bind,
        "tiny:1",
        "sleep",
        "1000",
    ];
    daemon.docker(&up);
    let [one] = &listed(&dir)[..] else { panic!() };
    assert!(one["used_by"][0]["container"].is_string(), "{one}");
    umount(&dir, &[])
        .exits(4)
        .says("in container web")
        .says("docker stop web");
    daemon.docker(&["rm", "-f", "web"]);
    umount(&dir, &[]).exits(0);
    assert_eq!(owner(&dir.join("private/new")), (33, 33));
    assert_eq!(owner(&dir.join("of-root")), (7, 7));
    assert_ne!(run("33:33", script).code, Some(0));
}

/// Services that start containers at boot, as the packages of Podman, LXC, Incus, LXD and Proxmox VE name them.
const STARTERS: [&str; 7] = [
    "podman",
    "podman-restart",
    "lxc",
    "incus",
    "lxd",
    "snap.lxd.daemon",
    "pve-guests",
];

#[test]
fn a_persistent_mount_is_there_before_docker_after_a_reboot() {
    need_root();
    // What differs between them is systemd's version.
    let is_asked = |release: &Release| long() || matches!(release, Release::Trixie);
    for release in Release::all().into_iter().filter(is_asked) {
        let mut host = EngineHost::off(release);
        host.write("/etc/docker/daemon.json", r#"{"userns-remap":"default"}"#);
        host.write("/srv/app/file", "old");
        host.boot();
        host.import_tiny("tiny:1");
        host.sh("chown -R 33:33 /srv/app; chmod 700 /srv/app");
        host.idshift(&["mount", "--persist", "/srv/app"]).exits(0);
        host.docker(&[
            "run", "-d", "--restart=always", "--name", "web", "-u", "33:33", "-v", "/srv/app:/d", "tiny:1",
            "sh", "-c", "cat /d/file > /d/again-$(cat /proc/sys/kernel/random/boot_id) || touch /tmp/failed; sleep 1000",
        ]);
        // Others that start containers, at a boot at which the mount is late.
        let units = "/etc/systemd/system";
        let late = format!("{units}/idshift-mount-srv-app.service.d/late.conf");
        host.write(&late, "[Service]\nExecStartPre=/bin/sleep 2\n");
        for other in STARTERS {
            let look = format!("stat -c %%u /srv/app > /root/{other}");
            let text = format!(
                "[Service]\nType=oneshot\nExecStart=/bin/sh -c '{look}'\n[Install]\nWantedBy=multi-user.target\n"
            );
            let unit = format!("{other}.service");
            // One may be masked, which is a symlink.
            let _ = fs::remove_file(host.path(&format!("{units}/{unit}")));
            host.write(&format!("{units}/{unit}"), text);
            let wanted = format!("{units}/multi-user.target.wants/{unit}");
            host.sh(&format!("ln -sf ../{unit} {wanted}"));
        }
        host.reboot();
        for other in STARTERS {
            assert_eq!(host.sh(&format!("cat /root/{other}")), "100033", "{other}");
        }
        host.sh(&format!("rm {late}; systemctl daemon-reload"));
        let unit = host.sh("cd /etc/systemd/system; echo idshift-mount-*.service");
        assert_eq!(unit, "idshift-mount-srv-app.service");
        assert_eq!(host.sh(&format!("systemctl is-active {unit}")), "active");
        assert!(host.sh("findmnt -no OPTIONS /srv/app").contains("idmapped"));
        assert_eq!(host.sh("stat -c %u /srv/app"), "100033");
        assert_eq!(
            host.docker(&["exec", "web", "stat", "-c", "%u:%g", "/d/file"]),
            "33:33"
        );
        // Docker restarted, with the unit still there.
        host.sh("systemctl restart docker");
        assert_eq!(host.sh("findmnt -n /srv/app | wc -l"), "1");
        // Switched off by hand, and found to be so.
        host.docker(&["rm", "-f", "web"]);
        host.sh(&format!("systemctl stop {unit}"));
        assert_eq!(host.sh("stat -c %u /srv/app /srv/app/file"), "33\n33");
        let mounts = host.idshift(&["mounts"]).exits(0);
        assert!(mounts.text().contains("missing"), "{mounts}");
        // What is advised works also where the unit takes itself for started.
        let advice = format!("systemctl restart {unit}");
        for gone in ["true", "umount /srv/app"] {
            host.sh(gone);
            assert_eq!(host.sh("stat -c %u /srv/app"), "33");
            let mounts = host.idshift(&["mounts"]).exits(0);
            assert!(mounts.text().contains(&advice), "{mounts}");
            host.sh(&advice);
            assert_eq!(host.sh("stat -c %u /srv/app"), "100033");
        }
        host.idshift(&["umount", "/srv/app"]).exits(0);
        assert!(!host.path(&format!("/etc/systemd/system/{unit}")).exists());
        host.reboot();
        assert_eq!(host.sh("stat -c %u /srv/app"), "33");
        let mounts = host.idshift(&["mounts"]).exits(0);
        assert!(mounts.text().contains("No idmapped mounts"), "{mounts}");
    }
}
