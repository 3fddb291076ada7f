//! Which JSON is Docker's configuration.

use serde_json::{Map, Value};

/// Keys of `daemon.json` that other JSON does not have (`dockerd(8)`, "Daemon configuration file").
const KEYS: [&str; 26] = [
    "userns-remap",
    "data-root",
    "exec-root",
    "exec-opts",
    "storage-driver",
    "storage-opts",
    "log-driver",
    "log-opts",
    "log-level",
    "insecure-registries",
    "registry-mirrors",
    "default-address-pools",
    "default-runtime",
    "default-ulimits",
    "cgroup-parent",
    "live-restore",
    "features",
    "builder",
    "bip",
    "iptables",
    "ip6tables",
    "ipv6",
    "hosts",
    "dns",
    "containerd",
    "no-new-privileges",
];

/// Whether it is one. An empty one is: dockerd takes its defaults.
pub(super) fn is_one(object: &Map<String, Value>) -> bool {
    object.is_empty() || KEYS.iter().any(|key| object.contains_key(*key))
}
