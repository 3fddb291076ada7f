//! A container of LXC itself (Debian 12), made unprivileged, moved to another range and made privileged again.

use super::debian_rootfs::debian;
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{Snapshot, assert_same, need_root};

const CONTAINER: &str = "/srv/lxc/web";
const ROOTFS: &str = "/srv/lxc/web/rootfs";

const CONFIG: &str = "lxc.uts.name = web
lxc.rootfs.path = dir:/srv/lxc/web/rootfs
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:mixed sys:ro
lxc.console.path = none
lxc.init.cmd = /bin/sleep infinity
";

/// The configuration with a range for the container.
fn config(range: Option<u32>) -> String {
    let lines = range.map(|host| {
        ["u", "g"]
            .map(|ids| format!("lxc.idmap = {ids} 0 {host} 65536\n"))
            .concat()
    });
    format!("{CONFIG}{}", lines.unwrap_or_default())
}

/// What the container sees of its own files, and whether what takes rights works in it.
const INSIDE: &str = "
find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run \\) -prune -o -printf '%p %U:%G %m\\n' | sort | sha256sum
find / -xdev -uid 65534 -o -xdev -gid 65534 | grep -v -e ^/proc -e ^/sys -e ^/dev | wc -l
getcap /usr/bin/ping
setpriv --reuid 1000 --regid 1000 --clear-groups su -s /bin/sh -c id nobody </dev/null 2>&1 | tail -1
getfacl -cnp /srv/shared
";

/// Starts the container, runs what is said, stops it; what that printed.
fn in_container(host: &EngineHost, script: &str) -> String {
    let log = "/var/log/lxc-web.log";
    let start = format!(
        "rm -f {log}; lxc-start -P /srv/lxc -n web -l INFO -o {log} || {{ cat {log} >&2; exit 1; }}"
    );
    host.sh(&start);
    let attach = [
        "lxc-attach",
        "-P",
        "/srv/lxc",
        "-n",
        "web",
        "--clear-env",
        "--",
        "sh",
        "-c",
    ];
    let run = host.run(&[&attach[..], &[script]].concat());
    host.sh("lxc-stop -P /srv/lxc -n web -k");
    assert_eq!(run.code, Some(0), "{run}");
    run.text()
}

#[test]
fn a_container_of_lxc_runs_after_each_change_of_its_range() {
    need_root();
    let mut host = EngineHost::off(Release::Bookworm);
    std::fs::create_dir_all(host.path(CONTAINER)).unwrap();
    let rootfs = debian(&host.path(ROOTFS));
    let file = format!("{CONTAINER}/config");
    host.write(&file, config(None));
    host.boot();
    host.sh(&format!(
        "mkdir {ROOTFS}/srv/shared; setfacl -m u:1000:rwx,d:g:33:rx {ROOTFS}/srv/shared"
    ));
    let privileged = in_container(&host, INSIDE);
    assert!(privileged.contains("cap_net_raw"), "{privileged}");
    // LXC makes places for what it mounts.
    let started = Snapshot::of(&rootfs);

    // To an unprivileged one.
    host.write(&file, config(Some(100_000)));
    let nobodys = host.run(&[
        "sh",
        "-c",
        "lxc-start -P /srv/lxc -n web && lxc-attach -P /srv/lxc -n web -- touch /root/x",
    ]);
    assert_ne!(nobodys.code, Some(0), "its root owns nothing: {nobodys}");
    let _ = host.run(&["lxc-stop", "-P", "/srv/lxc", "-n", "web", "-k"]);
    host.idshift(&["shift", "--map-from", &file, ROOTFS])
        .exits(0);
    let unprivileged = in_container(&host, INSIDE);
    assert_eq!(unprivileged, privileged);
    let map = in_container(
        &host,
        "cat /proc/self/uid_map; touch /srv/made; chown 33:33 /srv/made",
    );
    assert_eq!(
        map.split_whitespace().collect::<Vec<_>>(),
        ["0", "100000", "65536"]
    );
    assert_eq!(Snapshot::of(&rootfs).at("srv/made")["uid"], 100_033);

    // To another range, which is what the configuration says then.
    host.write("/srv/lxc/old", config(Some(100_000)));
    host.write(&file, config(Some(300_000)));
    host.idshift(&["shift", "--from", "/srv/lxc/old", "--to", &file, ROOTFS])
        .exits(0);
    assert_eq!(Snapshot::of(&rootfs).at("srv/made")["uid"], 300_033);
    in_container(&host, "rm /srv/made");
    assert_eq!(in_container(&host, INSIDE), privileged);

    // And back to a privileged one.
    host.idshift(&["shift", "--reverse", "--map-from", &file, ROOTFS])
        .exits(0);
    host.write(&file, config(None));
    assert_eq!(in_container(&host, INSIDE), privileged);
    // The container's own doing: times, and a login that failed.
    let untouched = |snapshot: &Snapshot| {
        snapshot.clone().edited(|lines| {
            lines.remove(&b"var/log/btmp"[..]);
            for line in lines.values_mut() {
                for key in ["atime_ns", "mtime_ns"] {
                    line.as_object_mut().unwrap().remove(key);
                }
            }
        })
    };
    let now = Snapshot::of(&rootfs);
    assert_same(&untouched(&started), &untouched(&now), "privileged again");
}
