//! Pure: a row as root's Podman makes one. What a user's Podman has otherwise, because it is a user's, is made anew, and so is
//! what Podman needs for nothing but to tell how the container was made.

use serde_json::{Map, Value, json};

/// The names that begin with this are AppArmor profiles of Podman's own.
pub(super) const APPARMOR: &str = "containers-default-";

/// Networks of a user's without root: a program for each container.
const OF_USER: [&str; 2] = ["pasta", "slirp4netns"];

/// The profile that Podman 5.4.2 loads on a host with AppArmor. It installs any of such a name that is not loaded
/// (`containers/common` 0.62, `pkg/apparmor`).
pub(super) const PROFILE: &str = "containers-default-0.62.2";

/// The network that every Podman has.
pub(super) const NETWORK: &str = "podman";

/// What lets a container open no device of the host but those that the runtime makes. A user's Podman leaves it out.
pub(super) fn device_rules() -> Value {
    json!([{ "allow": false, "access": "rwm" }])
}

/// Changes a row; `has_apparmor`: whether containers of root's are confined by AppArmor.
pub(super) fn adapt(config: &mut Map<String, Value>, has_apparmor: bool) {
    // `podman generate systemd --new` would write it into a unit of root's.
    config.remove("CreateCommand");
    if needs_network(config) {
        config.insert("networkMode".into(), "bridge".into());
        config.remove("network_options");
        let options = json!({ "interface_name": "eth0", "aliases": aliases(config) });
        config.insert("newNetworks".into(), json!({ NETWORK: options }));
    }
    if let Some(linux) = member(config, &["spec", "linux"]) {
        let resources = linux.entry("resources").or_insert_with(|| json!({}));
        if let Some(resources) = resources.as_object_mut() {
            resources.insert("devices".into(), device_rules());
        }
    }
    if let Some(process) = member(config, &["spec", "process"]) {
        let profile = process.get("apparmorProfile").and_then(Value::as_str);
        // Any other is refused.
        if profile.is_none_or(|it| it.is_empty() || it.starts_with(APPARMOR)) {
            match has_apparmor {
                true => process.insert("apparmorProfile".into(), PROFILE.into()),
                false => process.remove("apparmorProfile"),
            };
        }
    }
}

fn needs_network(config: &Map<String, Value>) -> bool {
    let mode = config.get("networkMode").and_then(Value::as_str);
    // The rest of it is options.
    let mode = mode
        .unwrap_or_default()
        .split(':')
        .next()
        .unwrap_or_default();
    OF_USER.contains(&mode)
}

/// Names by which other containers find it: its short id, and its host name.
fn aliases(config: &Map<String, Value>) -> Vec<&str> {
    let id = config.get("id").and_then(Value::as_str);
    let spec = config.get("spec");
    let hostname = spec
        .and_then(|spec| spec.get("hostname"))
        .and_then(Value::as_str);
    let short = id.and_then(|id| id.get(..12));
    let hostname = hostname.filter(|name| !name.is_empty());
    short.into_iter().chain(hostname).collect()
}

fn member<'a>(
    config: &'a mut Map<String, Value>,
    names: &[&str],
) -> Option<&'a mut Map<String, Value>> {
    let mut names = names.iter();
    let first = config.get_mut(*names.next()?)?;
    names
        .try_fold(first, |value, name| value.get_mut(*name))?
        .as_object_mut()
}
