//! Pure: paths in a container's metadata, `config.v2.json` and `hostconfig.json`.
//!
//! Only the values of the known fields are exchanged in the text, byte by byte: whatever else is in
//! it, known to this program or not, stays as it is.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

mod mounts;
mod rewrite;

pub use mounts::{Bind, bind_mounts, image_mounts, local_volumes, volume_drivers};
pub use rewrite::{
    NewPath, edited, rewrite_config, rewrite_hostconfig, set_userns_host, with_graph_driver,
};

/// The settings of a container that decide whether it can run remapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// It has all privileges.
    pub privileged: bool,
    /// `host`, `container:…` or nothing.
    pub pid_mode: String,
    /// `host`, `bridge`, the name of a network, …
    pub network_mode: String,
    /// `host`, `container:…` or nothing.
    pub ipc_mode: String,
    /// `host`: not remapped.
    pub userns_mode: String,
    /// A device that has another path in the container than on the host.
    pub renamed_device: Option<String>,
    /// The storage driver that keeps its files.
    pub driver: String,
    /// It runs, or did when its daemon was killed.
    pub running: bool,
}

impl Container {
    /// From the two files.
    ///
    /// # Errors
    /// One of them is not what dockerd writes.
    pub fn parse(id: &str, config: &str, hostconfig: &str) -> serde_json::Result<Container> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "Name", default)]
            name: String,
            #[serde(rename = "State", default)]
            state: State,
            #[serde(rename = "Driver", default)]
            driver: String,
        }
        #[derive(Deserialize, Default)]
        struct State {
            #[serde(rename = "Running", default)]
            running: bool,
        }
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "PascalCase")]
        struct Host {
            privileged: bool,
            pid_mode: String,
            network_mode: String,
            ipc_mode: String,
            userns_mode: String,
            devices: Option<Vec<Device>>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "PascalCase")]
        struct Device {
            path_on_host: String,
            path_in_container: String,
        }
        let named: Named = serde_json::from_str(config)?;
        let host: Host = serde_json::from_str(hostconfig)?;
        let renamed = |device: &Device| device.path_on_host != device.path_in_container;
        let devices = host.devices.unwrap_or_default();
        Ok(Container {
            id: id.to_string(),
            name: named.name.trim_start_matches('/').to_string(),
            privileged: host.privileged,
            pid_mode: host.pid_mode,
            network_mode: host.network_mode,
            ipc_mode: host.ipc_mode,
            renamed_device: devices
                .into_iter()
                .find(renamed)
                .map(|it| it.path_in_container),
            driver: named.driver,
            userns_mode: host.userns_mode,
            running: named.state.running,
        })
    }

    /// Why it does not start remapped; `None` when it does. The first three are refused by dockerd
    /// (moby `daemon/daemon_unix.go`, `verifyPlatformContainerSettings`), the others fail in runc (seen
    /// with 1.1.5): a user namespace may not mount the host's message queues, and a device is bound
    /// there by its path in the container.
    pub fn obstacle(&self) -> Option<&'static str> {
        if self.userns_mode == "host" {
            None
        } else if self.privileged {
            Some("is privileged")
        } else if self.pid_mode == "host" {
            Some("uses the host's processes (--pid=host)")
        } else if self.network_mode == "host" {
            Some("uses the host's network (--network=host)")
        } else if self.ipc_mode == "host" {
            Some("uses the host's IPC (--ipc=host)")
        } else if self.renamed_device.is_some() {
            Some("has a device under another path than the host's (--device A:B)")
        } else {
            None
        }
    }
}

impl Container {
    /// The containers whose network, processes or IPC it shares, as it names them.
    pub fn joins(&self) -> impl Iterator<Item = &str> {
        let modes = [&self.network_mode, &self.pid_mode, &self.ipc_mode];
        modes
            .into_iter()
            .filter_map(|mode| mode.strip_prefix("container:"))
    }
}

/// Why each of these does not start remapped, its own reasons and those of containers whose
/// namespaces it shares: a process cannot join one that belongs to a user namespace around its own.
pub fn obstacles<'a>(all: impl IntoIterator<Item = &'a Container>) -> Vec<Option<String>> {
    let all: Vec<&Container> = all.into_iter().collect();
    let own = |container: &&Container| container.obstacle().map(String::from);
    let mut reasons: Vec<Option<String>> = all.iter().map(own).collect();
    let named = Named::of(&all);
    let joined = |n: usize| -> Vec<usize> {
        let names = all[n].joins();
        names.filter_map(|name| named.find(name, n)).collect()
    };
    let joins: Vec<Vec<usize>> = (0..all.len()).map(joined).collect();
    let mut joined_by = vec![Vec::new(); all.len()];
    for (n, others) in joins.iter().enumerate() {
        for other in others {
            joined_by[*other].push(n);
        }
    }
    let is_host =
        |n: usize, reasons: &[Option<String>]| all[n].userns_mode == "host" || reasons[n].is_some();
    // Whoever joins one that is not remapped; the first of them first.
    let hosts = (0..all.len()).filter(|n| is_host(*n, &reasons));
    let mut held_up: BTreeSet<usize> = hosts.flat_map(|n| joined_by[n].clone()).collect();
    while let Some(n) = held_up.pop_first() {
        let other = joins[n].iter().find(|other| is_host(**other, &reasons));
        let Some(other) = other.filter(|_| !is_host(n, &reasons)) else {
            continue;
        };
        let name = &all[*other].name;
        reasons[n] = Some(format!(
            "shares a namespace with {name}, which is not remapped"
        ));
        held_up.extend(&joined_by[n]);
    }
    reasons
}

/// Containers by what they go by.
struct Named<'a> {
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Sorted.
    ids: Vec<(&'a str, usize)>,
}

impl<'a> Named<'a> {
    fn of(all: &[&'a Container]) -> Named<'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (n, container) in all.iter().enumerate() {
            by_name.entry(&container.name).or_default().push(n);
        }
        let ids = all.iter().enumerate().map(|(n, it)| (&it.id[..], n));
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        Named { by_name, ids }
    }

    /// The first container that is called this: by its name, its id or the beginning of that. Not number `but`.
    fn find(&self, name: &str, but: usize) -> Option<usize> {
        let same_name = self.by_name.get(name).into_iter().flatten().copied();
        let first = self.ids.partition_point(|(id, _)| *id < name);
        let same_id = self.ids[first..].iter();
        let same_id = same_id.take_while(|(id, _)| !name.is_empty() && id.starts_with(name));
        let same_id = same_id.map(|(_, n)| *n);
        same_name.chain(same_id).filter(|n| *n != but).min()
    }
}

#[cfg(test)]
mod tests;
