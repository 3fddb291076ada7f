//! Pure: what is different about a container in a rootless daemon, or keeps it from starting there.
//!
//! Which of them start was seen with Docker 20.10.24 and RootlessKit 1.1.0, on a host with cgroup v1 (`docs/rootless.md`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::store_move::obstacle::Obstacle;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    privileged: bool,
    network_mode: String,
    pid_mode: String,
    ipc_mode: String,
    userns_mode: String,
    cgroup_parent: String,
    port_bindings: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    devices: Option<Vec<Device>>,
    device_requests: Option<Vec<serde::de::IgnoredAny>>,
    memory: i64,
    nano_cpus: i64,
    cpu_shares: i64,
    cpu_quota: i64,
    cpuset_cpus: String,
    blkio_weight: u16,
    pids_limit: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct PortBinding {
    host_port: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Device {
    path_on_host: String,
    path_in_container: String,
}

/// What is different about the container that has this `hostconfig.json`. `first_port`: the lowest that users may open.
///
/// # Errors
/// It is not what dockerd writes.
pub fn obstacles(hostconfig: &str, first_port: u32) -> serde_json::Result<Vec<Obstacle>> {
    let host: HostConfig = serde_json::from_str(hostconfig)?;
    let mut found = Vec::new();
    let mut add = |what: String, help, is_fatal| {
        found.push(Obstacle {
            what,
            help,
            is_fatal,
        });
    };
    let ports = low_ports(&host, first_port);
    if !ports.is_empty() {
        add(
            format!("publishes {}", ports.join(", ")),
            "open the port to users with `sysctl net.ipv4.ip_unprivileged_port_start=PORT`, or publish a higher one",
            true,
        );
    }
    if host.network_mode == "host" {
        add(
            "uses the host's network (--network=host)".into(),
            "it has the daemon's own network, which cannot be reached from outside: publish its ports instead",
            false,
        );
    }
    if host.privileged {
        add(
            "is privileged".into(),
            "it has all rights in the user's namespace only: no devices of the host, no kernel modules",
            false,
        );
    }
    let namespaces = [
        ("processes", "pid", &host.pid_mode),
        ("IPC", "ipc", &host.ipc_mode),
    ];
    for (of, option, mode) in namespaces {
        if mode == "host" {
            add(
                format!("uses the host's {of} (--{option}=host)"),
                "create it again without that option",
                true,
            );
        }
    }
    if host.userns_mode == "host" {
        add(
            "is marked --userns=host".into(),
            "the option has no effect: its root is the user, not the host's root",
            false,
        );
    }
    let devices = host.devices.as_deref().unwrap_or_default();
    let is_renamed = |device: &&Device| device.path_on_host != device.path_in_container;
    if let Some(device) = devices.iter().find(is_renamed) {
        add(
            format!("has the device {} under another path", device.path_on_host),
            "create it again with the same path on both sides",
            true,
        );
    }
    if let Some(devices) = devices_of(&host) {
        add(
            devices,
            "it can open what the user can open: `usermod -aG GROUP USER` gives the user a group that may",
            false,
        );
    }
    if let Some(limits) = limits(&host) {
        add(
            limits,
            "limits are applied with cgroup v2, systemd and delegation only (`docker info` says `Cgroup Driver: systemd`)",
            false,
        );
    }
    Ok(found)
}

fn low_ports(host: &HostConfig, first_port: u32) -> Vec<String> {
    let all = host.port_bindings.iter().flatten();
    let bindings = all.flat_map(|(_, bindings)| bindings.iter().flatten());
    let mut low: Vec<u32> = bindings
        .filter_map(|binding| first_of(&binding.host_port))
        .filter(|port| (1..first_port).contains(port))
        .collect();
    low.sort_unstable();
    low.dedup();
    low.iter().map(|port| format!("port {port}")).collect()
}

/// The first port of `80` or `80-90`.
fn first_of(ports: &str) -> Option<u32> {
    ports.split('-').next()?.parse().ok()
}

fn devices_of(host: &HostConfig) -> Option<String> {
    let devices = host.devices.iter().flatten();
    let paths: Vec<&str> = devices.map(|it| it.path_on_host.as_str()).collect();
    let requests = host.device_requests.iter().flatten().count();
    match (&paths[..], requests) {
        ([], 0) => None,
        ([], _) => Some("asks for devices (--gpus)".into()),
        (paths, _) => Some(format!("has devices of the host: {}", paths.join(", "))),
    }
}

fn limits(host: &HostConfig) -> Option<String> {
    let all = [
        ("memory", host.memory > 0),
        (
            "CPUs",
            host.nano_cpus > 0 || host.cpu_shares > 0 || host.cpu_quota > 0,
        ),
        ("the choice of CPUs", !host.cpuset_cpus.is_empty()),
        ("block I/O", host.blkio_weight > 0),
        ("processes", host.pids_limit.is_some_and(|most| most > 0)),
    ];
    let limited = all.into_iter().filter(|(_, is_set)| *is_set);
    let limited: Vec<&str> = limited.map(|(what, _)| what).collect();
    match (&limited[..], &host.cgroup_parent[..]) {
        ([], "") => None,
        ([], parent) => Some(format!("is in the cgroup {parent}")),
        (limited, _) => Some(format!("limits {}", limited.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store_move::obstacle::FIRST_OPEN_PORT;

    fn found(hostconfig: &str) -> Vec<String> {
        let all = obstacles(hostconfig, FIRST_OPEN_PORT).unwrap();
        all.into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn what_a_rootless_daemon_cannot_give_is_named() {
        for (hostconfig, expected) in [
            ("{}", &[][..]),
            (
                r#"{"PortBindings":null,"Devices":null,"PidsLimit":null}"#,
                &[],
            ),
            (
                r#"{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"80"},{"HostPort":"8080"}],"53/udp":[{"HostPort":"53"}],"9/tcp":null}}"#,
                &["publishes port 53, port 80"],
            ),
            (r#"{"PortBindings":{"80/tcp":[{"HostPort":""}]}}"#, &[]),
            (r#"{"PortBindings":{"80/tcp":[{"HostPort":"1024"}]}}"#, &[]),
            (
                r#"{"Privileged":true,"NetworkMode":"host","PidMode":"host","IpcMode":"host","UsernsMode":"host"}"#,
                &[
                    "uses the host's network (--network=host)",
                    "is privileged",
                    "uses the host's processes (--pid=host)",
                    "uses the host's IPC (--ipc=host)",
                    "is marked --userns=host",
                ],
            ),
            (
                r#"{"Devices":[{"PathOnHost":"/dev/snd","PathInContainer":"/dev/snd"}]}"#,
                &["has devices of the host: /dev/snd"],
            ),
            (
                r#"{"Devices":[{"PathOnHost":"/dev/snd","PathInContainer":"/dev/x"}]}"#,
                &[
                    "has the device /dev/snd under another path",
                    "has devices of the host: /dev/snd",
                ],
            ),
            (
                r#"{"DeviceRequests":[{"Count":-1}]}"#,
                &["asks for devices (--gpus)"],
            ),
            (
                r#"{"Memory":1000,"NanoCpus":5,"PidsLimit":9,"CpusetCpus":"0"}"#,
                &["limits memory, CPUs, the choice of CPUs, processes"],
            ),
            (r#"{"PidsLimit":-1,"CpuShares":0}"#, &[]),
        ] {
            assert_eq!(found(hostconfig), expected, "{hostconfig}");
        }
        let low = r#"{"PortBindings":{"80/tcp":[{"HostPort":"80"}]}}"#;
        assert_eq!(obstacles(low, 80).unwrap(), []);
    }
}
