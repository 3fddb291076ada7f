//! Pure: what in the row of a container gives it more of the host than a plain one has, when root's Podman starts it.
//!
//! Members are those of `ContainerConfig` (Podman 5.4.2, `libpod/container_config.go`), in lower case. What 5.8 has more,
//! as artifacts and GPUs, is not known and must be empty.

use std::path::{Component, Path};

use serde_json::{Map, Value, json};

use super::adapted::NETWORK;
use super::mounts::{is_free, of_volume};
use super::seccomp::Profile;
use super::spec;
use crate::podman::paths::Directories;
use crate::podman::revert::members::{
    UnknownMembers, all, all_texts, below, is_id, is_unset, unless, wrong,
};
use crate::store_move::untrusted::is_volume_name;

/// Members that are about the container itself alone, whatever they say.
const FLAGS: [&str; 11] = [
    "createnetns",
    "createworkingdir",
    "noshm",
    "noshmshare",
    "passwd",
    "readwritetmpfs",
    "stdin",
    "useimagehostname",
    "useimagehosts",
    "useimageresolvconf",
    "volatile",
];
const NUMBERS: [&str; 11] = [
    "healthcheck_on_failure_action",
    "healthmaxlogcount",
    "healthmaxlogsize",
    "lockid",
    "logsize",
    "restart_retries",
    "shmsize",
    "shmsizesystemd",
    "stopsignal",
    "stoptimeout",
    "timeout",
];
const TEXTS: [&str; 3] = ["createdtime", "rawimagename", "rootfsimagename"];
const LISTS: [&str; 7] = [
    "command",
    "dnsoption",
    "dnssearch",
    "dnsserver",
    "entrypoint",
    "hostsadd",
    "uservolumes",
];

/// Labels by which root's `podman auto-update` pulls images and restarts units.
const ORDERS: [&str; 2] = ["io.containers.autoupdate", "podman_systemd_unit"];

/// Members of which Podman wrote one of these. A program is one of root's `containers.conf(5)`; no log goes to what starts it.
const CHOICES: [(&str, &[&str]); 7] = [
    ("runtime", &["crun", "runc"]),
    ("cgroupmanager", &["systemd", "cgroupfs"]),
    ("cgroupsmode", &["enabled", "no-conmon"]),
    ("logdriver", &["journald", "k8s-file", "json-file", "none"]),
    ("healthlogdestination", &["local", "events_logger"]),
    (
        "sdnotifymode",
        &["container", "conmon", "healthy", "ignore"],
    ),
    (
        "restart_policy",
        &["no", "on-failure", "always", "unless-stopped"],
    ),
];

/// Where a container is, and what comes along with it.
pub(super) struct Around<'a> {
    /// Root's Podman.
    pub to: &'a Directories,
    /// Its full id and its name.
    pub id: &'a str,
    pub name: &'a str,
    /// Whether a volume of this name comes along.
    pub has_volume: &'a dyn Fn(&str) -> bool,
    /// Whether root's Podman has a secret of this name.
    pub has_secret: &'a dyn Fn(&str) -> bool,
    pub profile: &'a Profile,
}

/// What is wrong with a `ContainerConfig`.
pub(super) fn powers(config: &Map<String, Value>, around: &Around<'_>) -> UnknownMembers {
    let nothing = Value::Null;
    let member = |name: &str| config.get(name).unwrap_or(&nothing);
    let dir = around.place(&around.to.graph_root, "");
    let slice = match member("cgroupmanager").as_str() {
        Some("cgroupfs") => "/libpod_parent",
        _ => "machine.slice",
    };
    let needed = [
        ("id", json!(around.id)),
        ("name", json!(around.name)),
        ("staticdir", json!(dir)),
        ("cgroupparent", json!(slice)),
    ];
    let mut found: UnknownMembers = (needed.iter())
        .filter(|(name, value)| member(name) != value)
        .map(|(name, _)| name.to_string())
        .collect();
    found.extend(below("spec", spec::powers(member("spec"), around.profile)));
    let others = config.iter().filter(|(name, value)| {
        let is_checked = *name == "spec" || needed.iter().any(|(it, _)| it == name);
        !is_checked && !is_unset(value)
    });
    for (name, value) in others {
        found.extend(below(name, around.member(name, value)));
    }
    found
}

impl Around<'_> {
    /// A file of the container's own below this directory.
    fn place(&self, top: &Path, name: &str) -> String {
        let dir = top
            .join("overlay-containers")
            .join(self.id)
            .join("userdata");
        let place = match name {
            "" => dir,
            name => dir.join(name),
        };
        place.to_string_lossy().into_owned()
    }

    fn member(&self, name: &str, value: &Value) -> UnknownMembers {
        let text = value.as_str();
        if let Some((_, known)) = CHOICES.iter().find(|(it, _)| *it == name) {
            return unless(text.is_some_and(|it| known.contains(&it)));
        }
        if let Some(place) = self.path_of(name) {
            return unless(text == Some(&place));
        }
        match name {
            name if FLAGS.contains(&name) => unless(value.is_boolean()),
            name if NUMBERS.contains(&name) => unless(value.is_i64() || value.is_u64()),
            name if TEXTS.contains(&name) => unless(value.is_string()),
            name if LISTS.contains(&name) => unless(all(value, Value::is_string)),
            "rootfsimageid" => unless(text.is_some_and(is_id)),
            "mounts" => {
                let shm = self.place(&self.to.graph_root, "shm");
                unless(all_texts(value, |it| it == shm))
            }
            "namedvolumes" => unlike(value, &|it| of_volume(it, self.has_volume)),
            "secrets" => unlike(value, &|it| self.secret(it)),
            "secret_env" => wrong(value, &|_, it| self.secret(it)),
            "idmappingsoptions" => wrong(value, &|name, _| {
                unless(["hostuidmapping", "hostgidmapping"].contains(&name))
            }),
            "labels" => wrong(value, &|name, value| {
                unless(value.is_string() && !ORDERS.contains(&name))
            }),
            // It is that on hosts without SELinux.
            "labelopts" => unless(value == &json!(["disable"])),
            "user" => unless(value.is_string()),
            // `keep-groups` would give it those of whoever starts it.
            "groups" => unless(all_texts(value, |it| it != "keep-groups")),
            "umask" => unless(text.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))),
            "timezone" => unless(text.is_some_and(is_time_zone)),
            _ => network(name, value),
        }
    }

    fn path_of(&self, name: &str) -> Option<String> {
        let (graph_root, run_root) = (&self.to.graph_root, &self.to.run_root);
        Some(match name {
            "shmdir" => self.place(graph_root, "shm"),
            "secretspath" => self.place(graph_root, "secrets"),
            "logpath" => self.place(graph_root, "ctr.log"),
            "conmonpidfile" => self.place(run_root, "conmon.pid"),
            "pid_file" => self.place(run_root, "pidfile"),
            _ => return None,
        })
    }

    /// Its content is in the container's own directory, or is looked up by name.
    fn secret(&self, secret: &Value) -> UnknownMembers {
        let name = secret
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let place = self.to.graph_root.join("secrets/filedriver");
        let is_target = |it: &str| match it.starts_with('/') {
            true => is_free(it),
            false => {
                let mut parts = Path::new(it).components();
                parts.all(|part| matches!(part, Component::Normal(_)))
            }
        };
        if !is_volume_name(name) || !(self.has_secret)(name) {
            return vec!["name".into()];
        }
        wrong(secret, &|member, value| match member {
            "name" | "id" | "createdat" | "updatedat" | "metadata" | "labels" => Vec::new(),
            "uid" | "gid" | "mode" => unless(value.is_u64()),
            "target" => unless(value.as_str().is_some_and(is_target)),
            "driver" => unless(value == "file"),
            "driveroptions" => wrong(value, &|name, value| {
                unless(name == "path" && value.as_str() == place.to_str())
            }),
            _ => unless(false),
        })
    }
}

fn unlike(value: &Value, of_each: &dyn Fn(&Value) -> UnknownMembers) -> UnknownMembers {
    match value {
        Value::Array(all) => all.iter().flat_map(of_each).collect(),
        other => unless(is_unset(other)),
    }
}

fn network(name: &str, value: &Value) -> UnknownMembers {
    match name {
        "networkmode" => unless(value == "bridge" || value == "none"),
        "newnetworks" => wrong(value, &|name, options| match name {
            NETWORK => wrong(options, &|name, value| match name {
                "aliases" => unless(all_texts(value, is_volume_name)),
                "interface_name" => unless(value.as_str().is_some_and(is_volume_name)),
                "static_ips" => unless(all_texts(value, is_address)),
                "static_mac" => unless(value.as_str().is_some_and(is_address)),
                _ => unless(false),
            }),
            _ => unless(false),
        }),
        "newportmappings" => unlike(value, &|port| {
            wrong(port, &|name, value| match name {
                "container_port" | "host_port" | "range" => unless(value.is_u64()),
                "host_ip" => unless(value.as_str().is_some_and(is_address)),
                "protocol" => unless(["tcp", "udp", "sctp"].iter().any(|it| value == it)),
                _ => unless(false),
            })
        }),
        "exposedports" => wrong(value, &|_, value| unless(all(value, Value::is_string))),
        "healthcheck" | "startuphealthcheck" => wrong(value, &|name, value| match name {
            "test" => unless(all(value, Value::is_string)),
            "interval" | "timeout" | "startperiod" | "startinterval" | "retries" | "successes" => {
                unless(value.is_u64())
            }
            _ => unless(false),
        }),
        _ => unless(false),
    }
}

fn is_address(text: &str) -> bool {
    let is_fine = |it: u8| it.is_ascii_hexdigit() || it == b'.' || it == b':';
    text.bytes().all(is_fine)
}

/// A file below `/usr/share/zoneinfo`, which Podman copies into the container.
fn is_time_zone(text: &str) -> bool {
    let is_fine = |it: u8| it.is_ascii_alphanumeric() || b"+-_/".contains(&it);
    !text.starts_with('/') && text.bytes().all(is_fine)
}
