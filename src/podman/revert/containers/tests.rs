use std::path::Path;

use serde_json::{Value, json};

use super::adapted::{PROFILE, adapt};
use super::config::{Around, powers};
use super::seccomp::Profile;
use crate::podman::paths::Directories;
use crate::podman::revert::members::of_text;

const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// As a user's Podman 5.4.2 writes it, shortened, with paths of root's.
fn row() -> Value {
    let dir = format!("/s/overlay-containers/{ID}/userdata");
    json!({
        "id": ID, "name": "c", "staticDir": dir, "ShmDir": format!("{dir}/shm"), "mounts": [format!("{dir}/shm")],
        "secretsPath": format!("{dir}/secrets"), "logPath": format!("{dir}/ctr.log"), "logDriver": "k8s-file",
        "conmonPidFile": format!("/run/containers/storage/overlay-containers/{ID}/userdata/conmon.pid"),
        "cgroupManager": "systemd", "cgroupParent": "machine.slice", "cgroupsMode": "enabled", "createNetNS": true,
        "networkMode": "pasta", "network_options": {"pasta": ["--pcap", "/etc/x"]}, "CreateCommand": ["podman", "create"],
        "lockID": 1, "privileged": false, "labelopts": ["disable"], "labels": {"a": "b"}, "runtime": "crun",
        "idMappingsOptions": {"HostUIDMapping": true, "HostGIDMapping": true, "UIDMap": null, "AutoUserNsOpts": {"Size": 0}},
        "newPortMappings": [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp"}],
        "namedVolumes": [{"volumeName": "v", "dest": "/v", "options": ["rw", "nosuid"]}],
        "spec": {
            "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "hostname": "h",
            "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "capabilities": {"bounding": ["CAP_CHOWN"]}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
                "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
                "resources": {},
                "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                    "/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/fs/selinux"],
                "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
            }
        }
    })
}

fn wrong(row: &Value) -> Vec<String> {
    let profile: Profile = serde_json::from_str(
        r#"{"syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}"#,
    )
    .unwrap();
    let around = Around {
        to: &Directories::rootful(Path::new("/s")),
        id: ID,
        name: "c",
        has_volume: &|name| name == "v",
        has_secret: &|name| name == "s",
        profile: &profile,
    };
    powers(&of_text(&row.to_string()).unwrap(), &around)
}

fn adapted(mut row: Value, has_apparmor: bool) -> Value {
    adapt(row.as_object_mut().unwrap(), has_apparmor);
    row
}

#[test]
fn a_users_container_becomes_a_plain_one() {
    let plain = adapted(row(), false);
    assert_eq!(wrong(&plain), Vec::<String>::new());
    assert_eq!(plain["networkMode"], "bridge");
    let aliases = json!({"podman": {"interface_name": "eth0", "aliases": ["001122334455", "h"]}});
    assert_eq!(plain["newNetworks"], aliases);
    assert_eq!(
        plain["spec"]["linux"]["resources"]["devices"],
        json!([{"allow": false, "access": "rwm"}])
    );
    for gone in ["CreateCommand", "network_options"] {
        assert_eq!(plain.get(gone), None);
    }
    let confined = adapted(row(), true);
    assert_eq!(confined["spec"]["process"]["apparmorProfile"], PROFILE);
    assert_eq!(wrong(&confined), Vec::<String>::new());
    assert_eq!(adapted(confined, false), plain);
}

#[test]
fn what_is_not_made_anew_is_refused() {
    assert_eq!(
        wrong(&row()),
        ["networkmode", "network_options", "createcommand"]
    );
    for (pointer, value, expected) in [
        ("/networkMode", json!("host"), "networkmode"),
        (
            "/spec/process/apparmorProfile",
            json!("mine"),
            "spec.process.apparmorprofile",
        ),
        (
            "/spec/linux/maskedPaths",
            json!(["/proc/keys"]),
            "spec.linux.maskedpaths",
        ),
        (
            "/spec/linux/seccomp/syscalls/0/names/0",
            json!("reboot"),
            "spec.linux.seccomp",
        ),
        (
            "/namedVolumes/0/volumeName",
            json!("w"),
            "namedvolumes.volumename",
        ),
        ("/staticDir", json!("/etc"), "staticdir"),
        (
            "/newPortMappings/0/protocol",
            json!("icmp"),
            "newportmappings.protocol",
        ),
    ] {
        let mut changed = row();
        match changed.pointer_mut(pointer) {
            Some(member) => *member = value,
            None => {
                let (above, name) = pointer.rsplit_once('/').unwrap();
                changed.pointer_mut(above).unwrap()[name] = value;
            }
        }
        assert_eq!(wrong(&adapted(changed, true))[0], expected);
    }
    for needed in ["id", "name", "staticDir", "cgroupParent", "spec"] {
        let mut without = adapted(row(), false);
        without.as_object_mut().unwrap().remove(needed);
        assert!(!wrong(&without).is_empty(), "{needed}");
    }
}
