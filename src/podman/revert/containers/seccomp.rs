//! Which system calls a container may make, compared with those that root's Podman would allow it on this host.
//!
//! Podman takes them from a file of the host when a container is made (`seccomp.json`, `containers/common`,
//! `pkg/seccomp`), and keeps them in its row.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::podman::conf_file;
use crate::podman::revert::members::{all, is_empty, is_unset};
use crate::store_move::MoveError;

/// The files of the host: the first that is there counts (`containers.conf(5)`).
const FILES: [&str; 2] = [
    "/etc/containers/seccomp.json",
    "/usr/share/containers/seccomp.json",
];

/// What refuses a call.
const REFUSING: [&str; 4] = [
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
];

/// A condition for an argument of a call: its index, two values and an operator.
type Condition = (u64, u64, u64, String);

/// What a host allows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Profile {
    arch_map: Vec<ArchMap>,
    syscalls: Vec<Calls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Calls {
    names: Vec<String>,
    action: String,
    args: Option<Vec<Arg>>,
    includes: Filter,
    excludes: Filter,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Arg {
    index: u64,
    value: u64,
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
}

/// A processor, as the profile and the kernel's filter call it.
const ARCHES: [(&str, &str, &str); 3] = [
    ("x86_64", "amd64", "SCMP_ARCH_X86_64"),
    ("aarch64", "arm64", "SCMP_ARCH_AARCH64"),
    ("s390x", "s390x", "SCMP_ARCH_S390X"),
];

impl Profile {
    /// That of this host; `None`: it has none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_host() -> Result<Option<Profile>, MoveError> {
        for file in FILES {
            let path = Path::new(file);
            let Some(bytes) = conf_file::of_system(path)? else {
                continue;
            };
            let profile = serde_json::from_slice(&bytes).map_err(|error| {
                let why = format!(
                    "is no seccomp profile: {error}. Correct it: root's Podman needs it, too"
                );
                MoveError::in_the_way(path, why)
            })?;
            return Ok(Some(profile));
        }
        Ok(None)
    }

    /// Whether a container with this bounding set gets no more from this filter than from the profile.
    pub fn allows(&self, filter: &Value, bounding: &[&str]) -> bool {
        let allowed = self.allowed(bounding);
        let foreign = self.architectures();
        let Some(members) = filter.as_object() else {
            return false;
        };
        let refuses = |action: &Value| action.as_str().is_some_and(|it| REFUSING.contains(&it));
        let is_fine = |name: &str, value: &Value| match name {
            "defaultaction" => refuses(value),
            "defaulterrnoret" => value.is_u64(),
            "architectures" => all(value, |it| {
                it.as_str().is_some_and(|it| foreign.contains(&it))
            }),
            "syscalls" => all(value, |calls| {
                let action = calls.get("action").unwrap_or(&Value::Null);
                match action == "SCMP_ACT_ALLOW" {
                    true => is_among(calls, &allowed),
                    false => refuses(action) && has_known_members(calls),
                }
            }),
            _ => is_empty(value),
        };
        let has_default = members.get("defaultaction").is_some_and(&refuses);
        has_default
            && members
                .iter()
                .all(|(name, value)| is_unset(value) || is_fine(name, value))
    }

    /// Calls with their conditions, of which all must hold.
    fn allowed(&self, bounding: &[&str]) -> HashSet<(&str, Vec<Condition>)> {
        let arch = this_arch().map_or("", |(_, name, _)| name);
        let has_cap = |cap: &String| bounding.contains(&cap.as_str());
        let has_arch = |all: &Vec<String>| all.iter().any(|it| it == arch);
        let counts = |calls: &&Calls| {
            calls.action == "SCMP_ACT_ALLOW"
                && !has_arch(&calls.excludes.arches)
                && !calls.excludes.caps.iter().any(has_cap)
                && (calls.includes.arches.is_empty() || has_arch(&calls.includes.arches))
                && calls.includes.caps.iter().all(has_cap)
        };
        let of_calls = |calls: &Calls| -> Vec<Condition> {
            let args = calls.args.iter().flatten();
            let mut all: Vec<Condition> = args
                .map(|arg| (arg.index, arg.value, arg.value_two, arg.op.clone()))
                .collect();
            all.sort();
            all
        };
        let calls = self.syscalls.iter().filter(counts);
        calls
            .flat_map(|calls| {
                let conditions = of_calls(calls);
                calls
                    .names
                    .iter()
                    .map(move |name| (name.as_str(), conditions.clone()))
            })
            .collect()
    }

    fn architectures(&self) -> Vec<&str> {
        let Some((_, _, native)) = this_arch() else {
            return Vec::new();
        };
        let map = self.arch_map.iter().find(|map| map.architecture == native);
        let others = map.and_then(|map| map.sub_architectures.as_ref());
        let others = others.into_iter().flatten().map(String::as_str);
        std::iter::once(native).chain(others).collect()
    }
}

fn this_arch() -> Option<(&'static str, &'static str, &'static str)> {
    let this = std::env::consts::ARCH;
    ARCHES.into_iter().find(|(rust, _, _)| *rust == this)
}

/// Whether each of these calls may be made by the profile: on the same conditions, or on none.
fn is_among(calls: &Value, allowed: &HashSet<(&str, Vec<Condition>)>) -> bool {
    let Some(conditions) = conditions(calls.get("args").unwrap_or(&Value::Null)) else {
        return false;
    };
    let is_allowed = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        allowed.contains(&(name, Vec::new())) || allowed.contains(&(name, conditions.clone()))
    };
    has_known_members(calls) && all(calls.get("names").unwrap_or(&Value::Null), is_allowed)
}

/// `None`: they are not what Podman writes.
fn conditions(args: &Value) -> Option<Vec<Condition>> {
    let list = match args {
        Value::Null => return Some(Vec::new()),
        other => other.as_array()?,
    };
    let number = |arg: &Value, name: &str| arg.get(name).map_or(Some(0), Value::as_u64);
    let condition = |arg: &Value| {
        let op = arg.get("op").and_then(Value::as_str)?;
        let known = ["index", "value", "valuetwo", "op"];
        let members = arg.as_object()?;
        if !members.keys().all(|name| known.contains(&name.as_str())) {
            return None;
        }
        let values = (
            number(arg, "index")?,
            number(arg, "value")?,
            number(arg, "valuetwo")?,
        );
        Some((values.0, values.1, values.2, op.to_string()))
    };
    let mut all: Vec<Condition> = list.iter().map(condition).collect::<Option<_>>()?;
    all.sort();
    Some(all)
}

fn has_known_members(calls: &Value) -> bool {
    let known = ["names", "action", "errnoret", "args"];
    calls.as_object().is_some_and(|members| {
        members
            .iter()
            .all(|(name, value)| is_unset(value) || known.contains(&name.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman::revert::members::of_text;

    const HOST: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[
        {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
        {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],"syscalls":[
        {"names":["read","write"],"action":"SCMP_ACT_ALLOW","args":[]},
        {"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}],"excludes":{"caps":["CAP_SYS_ADMIN"]}},
        {"names":["setns"],"action":"SCMP_ACT_ERRNO","errnoRet":1},
        {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
        {"names":["other"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["ppc64le"]}}]}"#;

    #[test]
    fn no_call_is_allowed_that_the_host_does_not_allow() {
        let profile: Profile = serde_json::from_str(HOST).unwrap();
        let calls = |more: &str| {
            format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":[],"syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW"}}{more}]}}"#
            )
        };
        let condition = |value: u64| {
            calls(&format!(
                r#",{{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":{value},"op":"SCMP_CMP_MASKED_EQ"}}]}}"#
            ))
        };
        let one = |name: &str, action: &str| {
            calls(&format!(r#",{{"names":["{name}"],"action":"{action}"}}"#))
        };
        for (text, expected) in [
            (calls(""), true),
            (condition(5), true),
            (one("setns", "SCMP_ACT_ERRNO"), true),
            (one("unknown", "SCMP_ACT_KILL_PROCESS"), true),
            (condition(4), false),
            (one("clone", "SCMP_ACT_ALLOW"), false),
            (one("setns", "SCMP_ACT_ALLOW"), false),
            (one("setns", "SCMP_ACT_LOG"), false),
            (one("setns", "SCMP_ACT_NOTIFY"), false),
            (one("mount", "SCMP_ACT_ALLOW"), false),
            (one("other", "SCMP_ACT_ALLOW"), false),
            (
                calls("").replace("\"defaultAction\":\"SCMP_ACT_ERRNO\",", ""),
                false,
            ),
            (calls("").replacen("ACT_ERRNO", "ACT_ALLOW", 1), false),
            (calls("").replace("[],", "[\"SCMP_ARCH_MIPS\"],"), false),
            (
                calls("").replacen('{', "{\"listenerPath\":\"/x\",", 1),
                false,
            ),
            (
                calls("").replacen('{', "{\"flags\":[\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"],", 1),
                false,
            ),
            ("{}".to_string(), false),
        ] {
            let filter = Value::Object(of_text(&text).unwrap());
            assert_eq!(profile.allows(&filter, &["CAP_CHOWN"]), expected, "{text}");
        }
        let mount = Value::Object(of_text(&one("mount", "SCMP_ACT_ALLOW")).unwrap());
        assert!(profile.allows(&mount, &["CAP_SYS_ADMIN"]));
        assert!(!profile.allows(&Value::Null, &[]));
    }
}
