//! Pure: what a container mounts. Members are those of `runtime-spec`, `config.md`, Mounts, and of
//! `ContainerNamedVolume` (Podman 5.4.2, `libpod/container.go`).

use std::path::{Component, Path};

use serde_json::Value;

use crate::podman::obstacles::INIT;
use crate::podman::revert::members::{UnknownMembers, all_texts, unless, wrong};

/// What Podman mounts in each container by itself: where, which type, and from what.
const PLAIN: [(&str, &str, &str); 7] = [
    ("/proc", "proc", "proc"),
    ("/dev", "tmpfs", "tmpfs"),
    ("/dev/pts", "devpts", "devpts"),
    ("/dev/shm", "tmpfs", "shm"),
    ("/dev/mqueue", "mqueue", "mqueue"),
    ("/sys", "sysfs", "sysfs"),
    ("/sys/fs/cgroup", "cgroup", "cgroup"),
];

/// Of these, those that only the host changes.
const READ_ONLY: [&str; 2] = ["/sys", "/sys/fs/cgroup"];

/// What `--init` binds, where it is in a host (`containers.conf(5)`, `init_path`).
const INIT_PROGRAMS: [&str; 4] = [
    "/usr/libexec/podman/catatonit",
    "/usr/local/libexec/podman/catatonit",
    "/usr/local/lib/podman/catatonit",
    "/usr/bin/catatonit",
];

/// Options that limit a mount, or are about itself alone.
const HARMLESS: [&str; 20] = [
    "bind",
    "exec",
    "gid=5",
    "newinstance",
    "nodev",
    "noexec",
    "nosuid",
    "notmpcopyup",
    "private",
    "ptmxmode=0666",
    "rbind",
    "relatime",
    "ro",
    "rprivate",
    "rw",
    "strictatime",
    "tmpcopyup",
    // Contents of the container at this place are not copied into the volume.
    "nocopy",
    // SELinux labels, which hosts with containers that come along do not have.
    "z",
    "Z",
];

/// Directories in which a mount could stand for what the runtime looks at.
const OF_RUNTIME: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What is wrong with a mount of `spec.mounts`.
pub(super) fn of_spec(mount: &Value) -> UnknownMembers {
    let text = |name: &str| mount.get(name).and_then(Value::as_str).unwrap_or_default();
    let destination = text("destination");
    let is_own = PLAIN.contains(&(destination, text("type"), text("source")));
    let is_init =
        destination == INIT && text("type") == "bind" && INIT_PROGRAMS.contains(&text("source"));
    let is_memory = (text("type"), text("source")) == ("tmpfs", "tmpfs") && is_free(destination);
    let must_be_read_only = READ_ONLY.contains(&destination) || is_init;
    if !is_own && !is_init && !is_memory {
        return vec![destination.to_string()];
    }
    wrong(mount, &|name, value| match name {
        "destination" | "type" | "source" => Vec::new(),
        "options" => unless(
            all_texts(value, |it| is_harmless(it, !is_init))
                && (!must_be_read_only || is_read_only(value)),
        ),
        _ => unless(false),
    })
    .into_iter()
    .chain(unset_read_only(mount, must_be_read_only))
    .collect()
}

/// Options that are not there do not make it read-only.
fn unset_read_only(mount: &Value, is_needed: bool) -> UnknownMembers {
    let has_options = mount.get("options").is_some_and(Value::is_array);
    match is_needed && !has_options {
        true => vec!["options".into()],
        false => Vec::new(),
    }
}

/// What is wrong with a named volume; `is_taken`: whether one of this name comes along.
pub(super) fn of_volume(volume: &Value, is_taken: &dyn Fn(&str) -> bool) -> UnknownMembers {
    let name = volume.get("volumename").and_then(Value::as_str);
    let name = name.unwrap_or_default();
    let wrong = wrong(volume, &|member, value| match member {
        "volumename" => unless(is_taken(name)),
        "dest" => unless(value.as_str().is_some_and(is_free)),
        "options" => unless(all_texts(value, |it| is_harmless(it, false))),
        "setanonymous" => unless(value.is_boolean()),
        _ => unless(false),
    });
    match (wrong.is_empty(), is_taken(name)) {
        (true, false) => vec!["volumename".into()],
        _ => wrong,
    }
}

fn is_read_only(options: &Value) -> bool {
    let all = options.as_array();
    let has = |option: &str| all.is_some_and(|all| all.iter().any(|it| it == option));
    has("ro") && !has("rw")
}

/// `in_memory`: whether it may say how large it is, and whose.
fn is_harmless(option: &str, in_memory: bool) -> bool {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'%')
    };
    match option.split_once('=') {
        Some(("size" | "mode" | "uid" | "gid" | "nr_inodes", value)) if in_memory => {
            is_plain(value)
        }
        _ => HARMLESS.contains(&option),
    }
}

/// An absolute path that leads into no directory of the runtime's.
pub(super) fn is_free(path: &str) -> bool {
    let place = Path::new(path);
    let is_plain = |part: Component<'_>| !matches!(part, Component::ParentDir | Component::CurDir);
    place.is_absolute()
        && place != Path::new("/")
        && place.components().all(is_plain)
        && !OF_RUNTIME.iter().any(|dir| place.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman::revert::members::of_text;

    fn object(text: &str) -> Value {
        Value::Object(of_text(text).unwrap())
    }

    #[test]
    fn only_what_podman_mounts_by_itself_is_mounted() {
        let mount = |destination: &str, kind: &str, source: &str, options: &str| {
            object(&format!(
                r#"{{"destination":"{destination}","type":"{kind}","source":"{source}","options":[{options}]}}"#
            ))
        };
        for (destination, kind, source, options, expected) in [
            ("/proc", "proc", "proc", r#""nosuid","noexec""#, None),
            ("/sys", "sysfs", "sysfs", r#""nosuid","ro""#, None),
            (
                "/tmp/x",
                "tmpfs",
                "tmpfs",
                r#""rw","size=1m","mode=1777""#,
                None,
            ),
            (
                INIT,
                "bind",
                "/usr/libexec/podman/catatonit",
                r#""bind","ro""#,
                None,
            ),
            ("/sys", "sysfs", "sysfs", r#""nosuid""#, Some("options")),
            ("/sys", "sysfs", "sysfs", r#""ro","rw""#, Some("options")),
            (
                "/sys/fs/cgroup",
                "cgroup",
                "cgroup",
                r#""rw""#,
                Some("options"),
            ),
            ("/proc", "proc", "proc", r#""subset=pid""#, Some("options")),
            ("/tmp", "tmpfs", "tmpfs", r#""suid""#, Some("options")),
            ("/tmp", "tmpfs", "tmpfs", r#""dev""#, Some("options")),
            (
                "/tmp",
                "tmpfs",
                "tmpfs",
                r#""mode=0,upperdir=/etc""#,
                Some("options"),
            ),
            ("/host", "bind", "/", r#""rbind""#, Some("/host")),
            ("/proc", "bind", "/proc", r#""rbind""#, Some("/proc")),
            ("/proc/self", "tmpfs", "tmpfs", "", Some("/proc/self")),
            ("/a/../proc", "tmpfs", "tmpfs", "", Some("/a/../proc")),
            ("/o", "overlay", "overlay", r#""lowerdir=/etc""#, Some("/o")),
            (INIT, "bind", "/home/ann/init", r#""bind","ro""#, Some(INIT)),
            (
                INIT,
                "bind",
                "/usr/bin/catatonit",
                r#""bind","rw""#,
                Some("options"),
            ),
        ] {
            let found = of_spec(&mount(destination, kind, source, options));
            assert_eq!(
                found.first().map(String::as_str),
                expected,
                "{destination} {options}"
            );
        }
        let none = object(r#"{"destination":"/sys","type":"sysfs","source":"sysfs"}"#);
        assert_eq!(of_spec(&none), ["options"]);
        let ids =
            r#"{"destination":"/proc","type":"proc","source":"proc","uidMappings":[{"hostID":0}]}"#;
        assert_eq!(of_spec(&object(ids)), ["uidmappings"]);
    }

    #[test]
    fn a_volume_is_one_that_comes_along() {
        let is_taken = |name: &str| name == "v";
        for (text, expected) in [
            (
                r#"{"volumeName":"v","dest":"/v","options":["rprivate","nosuid","nodev","rbind"]}"#,
                None,
            ),
            (r#"{"volumeName":"w","dest":"/v"}"#, Some("volumename")),
            (r#"{"dest":"/v"}"#, Some("volumename")),
            (r#"{"volumeName":"v","dest":"v"}"#, Some("dest")),
            (r#"{"volumeName":"v","dest":"/dev/x"}"#, Some("dest")),
            (
                r#"{"volumeName":"v","dest":"/v","options":["O","upperdir=/etc"]}"#,
                Some("options"),
            ),
            (
                r#"{"volumeName":"v","dest":"/v","options":["idmap=uids=0-0-1"]}"#,
                Some("options"),
            ),
            (
                r#"{"volumeName":"v","dest":"/v","options":["size=1"]}"#,
                Some("options"),
            ),
            (
                r#"{"volumeName":"v","dest":"/v","options":["dev"]}"#,
                Some("options"),
            ),
            (
                r#"{"volumeName":"v","dest":"/v","SubPath":"x"}"#,
                Some("subpath"),
            ),
        ] {
            let found = of_volume(&object(text), &is_taken);
            assert_eq!(found.first().map(String::as_str), expected, "{text}");
        }
    }
}
