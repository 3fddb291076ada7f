//! Pure: what in the metadata of a container would give it power over the host if a plain daemon, which is root, started
//! it as it is. Whoever had the rootless data-root wrote that metadata as they liked.
//!
//! A member that is not known here must be empty: a later Docker may have given it a meaning. Members are in lower case
//! ([`crate::store_move::untrusted::json`]).

use std::path::{Component, Path};

use serde_json::{Map, Value};

/// Members of `hostconfig.json` that limit a container, or are about itself alone.
const HARMLESS: [&str; 48] = [
    "autoremove",
    "blkiodevicereadbps",
    "blkiodevicereadiops",
    "blkiodevicewritebps",
    "blkiodevicewriteiops",
    "blkioweight",
    "blkioweightdevice",
    "capdrop",
    "consolesize",
    "containeridfile",
    "cpucount",
    "cpupercent",
    "cpuperiod",
    "cpuquota",
    "cpurealtimeperiod",
    "cpurealtimeruntime",
    "cpushares",
    "cpusetcpus",
    "cpusetmems",
    "dns",
    "dnsoptions",
    "dnssearch",
    "extrahosts",
    "groupadd",
    "iomaximumbandwidth",
    "iomaximumiops",
    "init",
    "kernelmemory",
    "kernelmemorytcp",
    "links",
    "memory",
    "memoryreservation",
    "memoryswap",
    "memoryswappiness",
    "nanocpus",
    "oomkilldisable",
    "pidslimit",
    "portbindings",
    "publishallports",
    "readonlyrootfs",
    "restartpolicy",
    "shmsize",
    "tmpfs",
    "ulimits",
    "volumedriver",
    "volumesfrom",
    "cgroupnsmode",
    "isolation",
];

/// Members of `config.v2.json` that are about the container itself alone.
const HARMLESS_CONFIG: [&str; 18] = [
    "args",
    "config",
    "created",
    "driver",
    "hasbeenmanuallyrestarted",
    "hasbeenmanuallystopped",
    "hasbeenstartedbefore",
    "id",
    "image",
    "imagemanifest",
    "name",
    "networksettings",
    "nonewprivileges",
    "os",
    "path",
    "restartcount",
    "streamconfig",
    "platform",
];

/// Paths that a container must not see, or not write to, as Docker has them by itself (20.10).
const MASKED: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Drivers of logs that write to the container's own directory, or nowhere.
const LOGS: [&str; 4] = ["", "json-file", "local", "none"];

/// What a `hostconfig.json` asks for beyond a plain container: its members, by name. `is_peer`: whether a container of this
/// name or id comes along. Others may be made later, by root.
pub(super) fn host_powers(
    config: &Map<String, Value>,
    is_peer: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let is_shared = |mode: &str| match mode.strip_prefix("container:") {
        Some(name) => is_peer(name),
        None => true,
    };
    let asks = |(name, value): (&String, &Value)| {
        let is_fine = HARMLESS.contains(&name.as_str())
            || match name.as_str() {
                // An empty list means that nothing is hidden; none, that Docker's own list counts.
                "maskedpaths" => has_all(value, &MASKED),
                "readonlypaths" => has_all(value, &READ_ONLY),
                "networkmode" => text(value)
                    .is_some_and(|mode| mode != "host" && !mode.contains('/') && is_shared(mode)),
                "ipcmode" | "pidmode" => {
                    text(value).is_some_and(|mode| is_own_namespace(mode) && is_shared(mode))
                }
                "runtime" => ["", "runc", "io.containerd.runc.v2"]
                    .map(Some)
                    .contains(&text(value)),
                "logconfig" => {
                    let kind = value.get("type").unwrap_or(&Value::Null);
                    is_empty(kind) || text(kind).is_some_and(|kind| LOGS.contains(&kind))
                }
                "binds" => all(value, |bind| text(bind).is_some_and(is_named_volume)),
                "mounts" => all(value, is_harmless_mount),
                "securityopt" => all(value, |option| {
                    text(option).is_some_and(|it| it.starts_with("no-new-privileges"))
                }),
                _ => is_empty(value),
            };
        (!is_fine).then(|| name.clone())
    };
    config.iter().filter_map(asks).collect()
}

/// What a `config.v2.json` asks for beyond a plain container whose directory, and whose volumes, are in this docker root:
/// its members, by name.
pub(super) fn config_powers(config: &Map<String, Value>, root: &Path, id: &str) -> Vec<String> {
    let own = root.join("containers").join(id);
    let volumes = root.join("volumes");
    let asks = |(name, value): (&String, &Value)| {
        let is_fine = HARMLESS_CONFIG.contains(&name.as_str())
            || match name.as_str() {
                "logpath" | "hostnamepath" | "hostspath" | "resolvconfpath" | "shmpath" => {
                    text(value).is_some_and(|path| path.is_empty() || is_below(path, &own))
                }
                "mountpoints" => match value {
                    Value::Object(mounts) => mounts.values().all(|it| is_volume_of(it, &volumes)),
                    other => is_empty(other),
                },
                "state" => [
                    "running",
                    "paused",
                    "restarting",
                    "removalinprogress",
                    "pid",
                ]
                .iter()
                .all(|member| value.get(member).is_none_or(is_empty)),
                "apparmorprofile" => ["", "docker-default"].map(Some).contains(&text(value)),
                _ => is_empty(value),
            };
        (!is_fine).then(|| name.clone())
    };
    config.iter().filter_map(asks).collect()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// What a member has that nobody set.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.values().all(is_empty),
    }
}

fn all(value: &Value, is_fine: impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(all) => all.iter().all(is_fine),
        other => is_empty(other),
    }
}

fn has_all(value: &Value, paths: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(there) => paths
            .iter()
            .all(|path| there.iter().any(|it| text(it) == Some(path))),
        _ => false,
    }
}

fn is_own_namespace(mode: &str) -> bool {
    ["", "private", "shareable", "none"].contains(&mode) || mode.starts_with("container:")
}

/// `NAME:/path`: a name has no slash.
fn is_named_volume(bind: &str) -> bool {
    let source = bind.split(':').next().unwrap_or_default();
    bind.contains(':') && !source.is_empty() && !source.contains('/') && source != ".."
}

fn is_harmless_mount(mount: &Value) -> bool {
    let member = |name: &str| mount.get(name).unwrap_or(&Value::Null);
    let driver = mount
        .pointer("/volumeoptions/driverconfig")
        .unwrap_or(&Value::Null);
    match text(member("type")) {
        Some("tmpfs") => true,
        Some("volume") => {
            is_empty(driver) && text(member("source")).is_none_or(|it| !it.contains('/'))
        }
        _ => false,
    }
}

/// A volume of the local driver that is in its own place.
fn is_volume_of(mount: &Value, volumes: &Path) -> bool {
    let member = |name: &str| text(mount.get(name).unwrap_or(&Value::Null)).unwrap_or_default();
    let spec = text(mount.pointer("/spec/type").unwrap_or(&Value::Null)).unwrap_or_default();
    match (member("type"), member("driver")) {
        (kind, _) if !["", kind].contains(&spec) => false,
        ("tmpfs", _) => member("source").is_empty(),
        ("volume", "local") => {
            let name = member("name");
            // One that was never used has no source yet: the driver says where it is.
            let is_own = |source: &Path| source == volumes.join(name).join("_data");
            let source = Path::new(member("source"));
            is_plain_name(name) && (source.as_os_str().is_empty() || is_own(source))
        }
        _ => false,
    }
}

/// One name that leads nowhere else.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(it)), None) if it == name)
}

fn is_below(path: &str, top: &Path) -> bool {
    let Ok(below) = Path::new(path).strip_prefix(top) else {
        return false;
    };
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    below.components().next().is_some() && below.components().all(is_plain)
}

#[cfg(test)]
mod tests;
