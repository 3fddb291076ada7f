//! Pure: what in the OCI spec of a row gives a container more of the host than a plain one has. Members are those of
//! `runtime-spec` 1.2 (`config.md`, `config-linux.md`), in lower case.

use serde_json::Value;

use super::adapted::{APPARMOR, device_rules};
use super::mounts;
use super::seccomp::Profile;
use crate::podman::revert::members::{
    UnknownMembers, all, all_texts, below, is_unset, unless, wrong,
};

/// What Podman gives to a container by itself (`containers/common` 0.62, `pkg/config/default.go`).
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Paths that a container must not see, or not write to, as Podman has them by itself (likewise).
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/fs/selinux",
];
const READ_ONLY: [&str; 6] = [
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Namespaces that must be the container's own.
const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mount", "network", "pid", "uts"];

/// Annotations that only say how a container was made. Others are orders to crun (`crun.1`, `run.oci.*`), to systemd
/// (`org.systemd.property.*`), to hooks of the host, or to Podman, which removes the file in `…cid-file`.
const ANNOTATIONS: [(&str, &[&str]); 5] = [
    ("io.container.manager", &["libpod"]),
    ("io.podman.annotations.autoremove", &["TRUE", "FALSE"]),
    ("io.podman.annotations.init", &["TRUE", "FALSE"]),
    ("io.podman.annotations.privileged", &["FALSE"]),
    ("io.podman.annotations.publish-all", &["TRUE", "FALSE"]),
];

/// Limits of a process that are about memory, files and processes of its own.
const RLIMITS: [&str; 9] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_STACK",
];

/// What is wrong with `spec`.
pub(super) fn powers(spec: &Value, profile: &Profile) -> UnknownMembers {
    let bounding = spec.pointer("/process/capabilities/bounding");
    let bounding = bounding.and_then(Value::as_array).into_iter().flatten();
    let bounding: Vec<&str> = bounding.filter_map(Value::as_str).collect();
    let nothing = Value::Null;
    let of_linux = linux(spec.get("linux").unwrap_or(&nothing), (profile, &bounding));
    let others = wrong(spec, &|name, value| match name {
        "ociversion" | "hostname" => unless(value.is_string()),
        "process" => process(value),
        // Podman sets the path of what it has mounted.
        "root" => wrong(value, &|name, value| match name {
            "path" => unless(value == "rootfs"),
            "readonly" => Vec::new(),
            _ => unless(false),
        }),
        "mounts" => match value.as_array() {
            Some(all) => all.iter().flat_map(mounts::of_spec).collect(),
            None => unless(false),
        },
        "annotations" => annotations(value),
        "linux" => Vec::new(),
        _ => unless(false),
    });
    others.into_iter().chain(below("linux", of_linux)).collect()
}

fn process(process: &Value) -> UnknownMembers {
    wrong(process, &|name, value| match name {
        "terminal" | "nonewprivileges" => Vec::new(),
        "args" | "env" => unless(all(value, Value::is_string)),
        "cwd" => unless(value.as_str().is_some_and(|it| it.starts_with('/'))),
        "user" => wrong(value, &|name, value| match name {
            "uid" | "gid" | "umask" => unless(value.is_u64()),
            "additionalgids" => unless(all(value, Value::is_u64)),
            _ => unless(false),
        }),
        "capabilities" => wrong(value, &|name, value| match name {
            "bounding" | "effective" | "permitted" | "inheritable" | "ambient" => {
                unless(all_texts(value, |it| CAPABILITIES.contains(&it)))
            }
            _ => unless(false),
        }),
        "rlimits" => unless(all(value, is_rlimit)),
        // A negative one would have others killed first.
        "oomscoreadj" => unless(value.is_u64()),
        "apparmorprofile" => unless(value.as_str().is_some_and(|it| it.starts_with(APPARMOR))),
        _ => unless(false),
    })
}

fn is_rlimit(limit: &Value) -> bool {
    let found = wrong(limit, &|name, value| match name {
        "type" => unless(value.as_str().is_some_and(|it| RLIMITS.contains(&it))),
        "hard" | "soft" => unless(value.is_u64()),
        _ => unless(false),
    });
    found.is_empty()
}

fn annotations(value: &Value) -> UnknownMembers {
    wrong(value, &|name, value| {
        let known = ANNOTATIONS.iter().find(|(known, _)| *known == name);
        let is_fine = |values: &[&str]| value.as_str().is_some_and(|it| values.contains(&it));
        unless(known.is_some_and(|(_, values)| is_fine(values)))
    })
}

fn linux(linux: &Value, (profile, bounding): (&Profile, &[&str])) -> UnknownMembers {
    let member = |name: &str| linux.get(name).unwrap_or(&Value::Null);
    // What is not there is the host's.
    let needed = [
        ("namespaces", has_own_namespaces(member("namespaces"))),
        ("seccomp", profile.allows(member("seccomp"), bounding)),
        ("maskedpaths", has_all(member("maskedpaths"), &MASKED)),
        (
            "readonlypaths",
            has_all(member("readonlypaths"), &READ_ONLY),
        ),
    ];
    let missing = needed.iter().filter(|(_, is_fine)| !is_fine);
    let mut found: UnknownMembers = missing.map(|(name, _)| name.to_string()).collect();
    found.extend(wrong(linux, &|name, value| match name {
        "namespaces" | "seccomp" | "maskedpaths" | "readonlypaths" => Vec::new(),
        "resources" => resources(value),
        "sysctl" => wrong(value, &|name, value| {
            unless((name, value.as_str()) == ("net.ipv4.ping_group_range", Some("0 0")))
        }),
        "rootfspropagation" => unless(value == "private" || value == "rprivate"),
        _ => unless(false),
    }));
    found
}

/// Each kind is there once, and leads to no other process's.
fn has_own_namespaces(value: &Value) -> bool {
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    let mut kinds: Vec<&str> = (all.iter())
        .filter(|it| wrong(it, &|name, _| unless(name == "type")).is_empty())
        .filter_map(|it| it.get("type").and_then(Value::as_str))
        .collect();
    kinds.sort_unstable();
    kinds == NAMESPACES && kinds.len() == all.len()
}

fn has_all(value: &Value, paths: &[&str]) -> bool {
    let there = value.as_array().map_or(&[][..], Vec::as_slice);
    let is_path = |it: &Value| it.as_str().is_some_and(|it| it.starts_with('/'));
    there.iter().all(is_path) && paths.iter().all(|path| there.iter().any(|it| it == path))
}

/// Limits of memory, CPU and processes. `devices` is made anew ([`super::adapted`]).
fn resources(value: &Value) -> UnknownMembers {
    let is_text = |value: &Value| {
        let is_fine = |it: u8| it.is_ascii_digit() || it == b',' || it == b'-';
        value.as_str().is_some_and(|it| it.bytes().all(is_fine))
    };
    wrong(value, &|name, value| match name {
        "devices" => unless(value == &device_rules()),
        "memory" => wrong(value, &|name, value| match name {
            "limit" | "reservation" | "swap" | "swappiness" => {
                unless(value.is_i64() || value.is_u64())
            }
            _ => unless(false),
        }),
        "cpu" => wrong(value, &|name, value| match name {
            "shares" | "quota" | "period" => unless(value.is_i64() || value.is_u64()),
            "cpus" | "mems" => unless(is_text(value)),
            _ => unless(false),
        }),
        "pids" => wrong(value, &|name, value| {
            unless(name == "limit" && value.is_i64())
        }),
        "blockio" => wrong(value, &|name, value| {
            unless(name == "weight" && value.is_u64())
        }),
        _ => unless(is_unset(value)),
    })
}
