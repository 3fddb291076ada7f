//! Pure: what is different about a container in a user's rootless Podman, or keeps it from starting there.
//!
//! Which of them start was seen with Podman 5.4.2 and crun 1.21 on Linux 6.18 (`docs/podman.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::store_move::obstacle::Obstacle;

/// What a container's row has that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    spec: Spec,
    privileged: bool,
    #[serde(rename = "createNetNS")]
    makes_network: bool,
    #[serde(rename = "newNetworks")]
    networks: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "newPortMappings")]
    ports: Option<Vec<PortMapping>>,
    #[serde(rename = "netNsCtr")]
    network_of: String,
    #[serde(rename = "pidNsCtr")]
    processes_of: String,
    #[serde(rename = "ipcNsCtr")]
    ipc_of: String,
    rootfs: String,
    /// As given: a name, or ids.
    user: String,
    #[serde(rename = "overlayVolumes")]
    overlay_volumes: Option<Vec<Mount>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    process: Option<Process>,
    mounts: Option<Vec<Mount>>,
    linux: Option<Linux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Process {
    user: User,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    source: String,
    destination: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
    devices: Option<Vec<Device>>,
    resources: Option<Resources>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Device {
    path: String,
}

/// `runtime-spec`, Linux resources; that processes are limited is Podman's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Resources {
    memory: Option<BTreeMap<String, IgnoredAny>>,
    cpu: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "blockIO")]
    block_io: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PortMapping {
    host_port: u32,
    range: u32,
}

/// Where `--init` binds a program that is there for everybody (`containers.conf(5)`, `init_path`).
pub const INIT: &str = "/run/podman-init";

/// The network that every Podman has.
const DEFAULT_NETWORK: &str = "podman";

impl Config {
    /// From a row of `ContainerConfig`.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn parse(text: &str) -> serde_json::Result<Config> {
        serde_json::from_str(text)
    }

    /// The networks that it is in, but for the one that every Podman has.
    pub fn own_networks(&self) -> impl Iterator<Item = &str> {
        let names = self.networks.iter().flat_map(BTreeMap::keys);
        names
            .map(String::as_str)
            .filter(|name| *name != DEFAULT_NETWORK)
    }

    /// Directories and files of the host that it uses.
    pub fn binds(&self) -> impl Iterator<Item = PathBuf> {
        let mounts = self.spec.mounts.iter().flatten();
        let binds = mounts.filter(|mount| mount.kind == "bind" && mount.destination != INIT);
        let volumes = self.overlay_volumes.iter().flatten();
        let sources = binds.chain(volumes).map(|mount| mount.source.as_str());
        let sources = sources.chain([self.rootfs.as_str()]);
        sources
            .filter(|source| source.starts_with('/'))
            .map(PathBuf::from)
    }

    /// What is different about it. `first_port`: the lowest that users may open; `has_ids`: whether the user's map has this
    /// uid and this gid.
    pub fn obstacles(&self, first_port: u32, has_ids: &dyn Fn(u32, u32) -> bool) -> Vec<Obstacle> {
        let mut found = Vec::new();
        let mut add = |what: String, help, is_fatal| {
            found.push(Obstacle {
                what,
                help,
                is_fatal,
            });
        };
        let ports = self.low_ports(first_port);
        if !ports.is_empty() {
            add(
                format!("publishes {}", ports.join(", ")),
                "open the port to users with `sysctl net.ipv4.ip_unprivileged_port_start=PORT`, or publish a higher one",
                true,
            );
        }
        let has_hosts_network =
            !self.makes_network && self.network_of.is_empty() && self.lacks("network");
        match (has_hosts_network, self.privileged) {
            (true, true) => add(
                "is privileged and uses the host's network (--network=host)".into(),
                "create it again there: Podman gives such a container another /sys then",
                true,
            ),
            (true, false) => add(
                "uses the host's network (--network=host)".into(),
                "it has that network with the rights of the user: no low ports, no changes of interfaces",
                false,
            ),
            (false, true) => add(
                "is privileged".into(),
                "it has all rights in the user's namespace only: no devices of the host but those of the user, no kernel modules",
                false,
            ),
            (false, false) => {}
        }
        for (of, kind, joined) in [
            ("processes (--pid=host)", "pid", &self.processes_of),
            ("IPC (--ipc=host)", "ipc", &self.ipc_of),
        ] {
            if joined.is_empty() && self.lacks(kind) {
                add(
                    format!("uses the host's {of}"),
                    "create it again there",
                    true,
                );
            }
        }
        if let Some(user) = self.user_without_id(has_ids) {
            add(
                user,
                "give the user more ids: `usermod --add-subuids` and `--add-subgids`",
                true,
            );
        }
        let devices = self.linux().devices.iter().flatten();
        let devices: Vec<&str> = devices.map(|device| device.path.as_str()).collect();
        if !devices.is_empty() && !self.privileged {
            add(
                format!("has devices of the host: {}", devices.join(", ")),
                "it can open what the user can open: `usermod -aG GROUP USER` gives the user a group that may",
                false,
            );
        }
        if let Some(limits) = self.limits() {
            add(
                limits,
                "limits are applied with cgroup v2, systemd and delegation only (`podman info` says `cgroupControllers`)",
                false,
            );
        }
        found
    }

    fn linux(&self) -> &Linux {
        static NONE: Linux = Linux {
            namespaces: None,
            devices: None,
            resources: None,
        };
        self.spec.linux.as_ref().unwrap_or(&NONE)
    }

    /// Whether it has no namespace of this kind, so that it has the host's.
    fn lacks(&self, kind: &str) -> bool {
        let all = self.linux().namespaces.as_ref();
        all.is_some_and(|all| !all.iter().any(|namespace| namespace.kind == kind))
    }

    fn low_ports(&self, first_port: u32) -> Vec<String> {
        let mappings = self.ports.iter().flatten();
        let ports = mappings.flat_map(|it| it.host_port..it.host_port + it.range.clamp(1, 65_536));
        let mut low: Vec<u32> = ports
            .filter(|port| (1..first_port).contains(port))
            .collect();
        low.sort_unstable();
        low.dedup();
        low.iter().map(|port| format!("port {port}")).collect()
    }

    fn user_without_id(&self, has_ids: &dyn Fn(u32, u32) -> bool) -> Option<String> {
        let of_spec = self
            .spec
            .process
            .as_ref()
            .map(|process| [process.user.uid, process.user.gid]);
        let given = self.user.split(':').map(|id| id.parse().unwrap_or(0));
        let given: Vec<u32> = given.chain([0]).take(2).collect();
        let all = of_spec.into_iter().chain([[given[0], given[1]]]);
        let [uid, gid] = all.into_iter().find(|[uid, gid]| !has_ids(*uid, *gid))?;
        Some(format!(
            "runs as {uid}:{gid}, which is more than the ids that the user has"
        ))
    }

    fn limits(&self) -> Option<String> {
        let resources = self.linux().resources.as_ref()?;
        let is_set = |of: &Option<BTreeMap<String, IgnoredAny>>| {
            of.as_ref().is_some_and(|it| !it.is_empty())
        };
        let all = [
            ("memory", is_set(&resources.memory)),
            ("CPUs", is_set(&resources.cpu)),
            ("block I/O", is_set(&resources.block_io)),
        ];
        let limited = all.into_iter().filter(|(_, is_set)| *is_set);
        let limited: Vec<&str> = limited.map(|(what, _)| what).collect();
        (!limited.is_empty()).then(|| format!("limits {}", limited.join(", ")))
    }
}

#[cfg(test)]
mod tests;
