//! Pure: paths in the JSON of Podman's database. Only the values of known fields are exchanged in the text, byte by byte:
//! whatever else is in it, known to this program or not, stays as it is.
//!
//! The fields are those of Podman 4.4 to 5.4 (`libpod/container_config.go` and what it writes).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::cgroups::Cgroups;
use crate::docker::container::{NewPath, edited};
use crate::podman::paths::PathMap;

/// The names that lead to a value; `*` is each entry of a list or an object.
type Pattern = &'static [&'static str];

const CONTAINER_PATHS: &[Pattern] = &[
    &["ShmDir"],
    &["staticDir"],
    &["secretsPath"],
    &["logPath"],
    &["conmonPidFile"],
    &["pid_file"],
    &["rootfs"],
    &["mounts", "*"],
    &["exitCommand", "*"],
    &["secrets", "*", "driverOptions", "path"],
    &["secret_env", "*", "driverOptions", "path"],
    &["overlayVolumes", "*", "source"],
    &["spec", "mounts", "*", "source"],
];

const CONTAINER_STATE_PATHS: &[Pattern] = &[
    &["configPath"],
    &["runDir"],
    &["mountpoint"],
    &["bindMounts", "*"],
];

const VOLUME_PATHS: &[Pattern] = &[&["mountPoint"], &["volumeOptions", "device"]];

const SECRETS_PATHS: &[Pattern] = &[&["secrets", "*", "driverOptions", "path"]];

const CGROUPS: &[Pattern] = &[&["cgroupParent"], &["cgroupPath"]];

/// What is in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `ContainerConfig`
    Container,
    /// `ContainerState`
    ContainerState,
    /// `PodConfig`, `PodState`
    Pod,
    /// `VolumeConfig`, `VolumeState`
    Volume,
    /// `secrets/secrets.json`
    Secrets,
}

/// What changes in such texts.
#[derive(Clone, Debug)]
pub struct Rewriter {
    /// Where paths lead afterwards.
    pub paths: PathMap,
    /// Cgroups likewise.
    pub cgroups: Cgroups,
}

impl Rewriter {
    /// The text as it is to be.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn rewrite(&self, kind: JsonKind, text: &str) -> serde_json::Result<String> {
        let (patterns, has_cgroups) = match kind {
            JsonKind::Container => (CONTAINER_PATHS, true),
            JsonKind::ContainerState => (CONTAINER_STATE_PATHS, false),
            JsonKind::Pod => (&[][..], true),
            JsonKind::Volume => (VOLUME_PATHS, false),
            JsonKind::Secrets => (SECRETS_PATHS, false),
        };
        let new_path = |path: &str| self.paths.path(path);
        let new_cgroup = |path: &str| self.cgroups.path(path);
        let (new_path, new_cgroup): (NewPath<'_>, NewPath<'_>) = (&new_path, &new_cgroup);
        let cgroups = CGROUPS.iter().filter(|_| has_cgroups);
        let patterns = patterns.iter().map(|pattern| (pattern, new_path));
        let top: &RawValue = serde_json::from_str(text)?;
        let mut found = Vec::new();
        for (pattern, new) in patterns.chain(cgroups.map(|pattern| (pattern, new_cgroup))) {
            let mut values = Vec::new();
            pick(top, pattern, &mut values);
            found.extend(values.into_iter().map(|value| (value, new)));
        }
        Ok(edited(text, found.into_iter()))
    }
}

/// The values to which these names lead. What has another shape has none.
fn pick<'a>(value: &'a RawValue, pattern: &[&str], found: &mut Vec<&'a RawValue>) {
    let Some((first, rest)) = pattern.split_first() else {
        found.push(value);
        return;
    };
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
        let wanted = members
            .iter()
            .filter(|(name, _)| *first == "*" || *name == first);
        wanted.for_each(|(_, value)| pick(value, rest, found));
    } else if *first == "*"
        && let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(value.get())
    {
        entries.iter().for_each(|value| pick(value, rest, found));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::podman::paths::Directories;

    fn rewriter() -> Rewriter {
        let graph_root = Path::new("/var/lib/containers/storage");
        let to = Directories::rootless(Path::new("/home/ann/s"), 1000);
        Rewriter {
            paths: PathMap::new(&Directories::rootful(graph_root), graph_root, &to),
            cgroups: Cgroups::to_user(1000),
        }
    }

    #[test]
    fn paths_change_where_podman_has_them_and_nowhere_else() {
        let text = r#"{"spec": {"process":{"env":["P=/run/libpod","/run/libpod"]},"mounts":[{"destination":"/run/libpod","source":"/run/libpod/x"},{"source":"tmpfs"}]},
            "labels":{"staticDir":"/run/libpod"},"staticDir":"/var/lib/containers/storage/a\u002fb","mounts":["/run/libpod"],
            "secrets":[{"driverOptions":{"path":"/var/lib/containers/storage/secrets"}}],"secret_env":{"/run/libpod":{"driverOptions":{"path":"/run/libpod"}}},"cgroupParent":"machine.slice","large":123456789012345678901234567890,"logPath":null}"#;
        let expected = r#"{"spec": {"process":{"env":["P=/run/libpod","/run/libpod"]},"mounts":[{"destination":"/run/libpod","source":"/run/user/1000/libpod/tmp/x"},{"source":"tmpfs"}]},
            "labels":{"staticDir":"/run/libpod"},"staticDir":"/home/ann/s/a/b","mounts":["/run/user/1000/libpod/tmp"],
            "secrets":[{"driverOptions":{"path":"/home/ann/s/secrets"}}],"secret_env":{"/run/libpod":{"driverOptions":{"path":"/run/user/1000/libpod/tmp"}}},"cgroupParent":"user.slice","large":123456789012345678901234567890,"logPath":null}"#;
        assert_eq!(
            rewriter().rewrite(JsonKind::Container, text).unwrap(),
            expected
        );
        let state = r#"{"runDir":"/run/containers/storage/x","bindMounts":{"/etc/hosts":"/run/containers/storage/h"},"error":"/run/libpod"}"#;
        let expected = r#"{"runDir":"/run/user/1000/containers/x","bindMounts":{"/etc/hosts":"/run/user/1000/containers/h"},"error":"/run/libpod"}"#;
        assert_eq!(
            rewriter().rewrite(JsonKind::ContainerState, state).unwrap(),
            expected
        );
        let volume = r#"{"mountPoint":"/var/lib/containers/storage/volumes/v/_data","volumeOptions":{"device":"/srv"}}"#;
        let expected =
            r#"{"mountPoint":"/home/ann/s/volumes/v/_data","volumeOptions":{"device":"/srv"}}"#;
        assert_eq!(
            rewriter().rewrite(JsonKind::Volume, volume).unwrap(),
            expected
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(rewriter().rewrite(JsonKind::Pod, "{").is_err());
    }
}
