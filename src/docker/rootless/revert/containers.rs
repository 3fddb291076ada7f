//! The metadata of all containers, which a user wrote.

use std::path::Path;

use serde_json::Value;

use super::networks::without_network_ids;
use super::powers::{config_powers, host_powers, is_plain_name};
use crate::docker::DockerError;
use crate::docker::data_root::{ContainerFiles, DockerRoot, names, not_json};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::rootless::metadata::{
    CONFIG, ContainerWithFiles, HOSTCONFIG, Rewritten, rewritten,
};
use crate::docker::steps::CONTAINERS;
use crate::store_move::untrusted::json::object;

/// Most of the members that are told of one container.
const TOLD: usize = 8;

/// What becomes of the metadata of containers.
pub(super) struct Metadata {
    /// Files that change.
    pub rewritten: Vec<Rewritten>,
    /// Names of containers that start with the daemon.
    pub restarted: Vec<String>,
    /// Networks that containers have and the plain daemon has not.
    pub networks: Vec<String>,
}

/// The metadata as the plain daemon will read it, whose data-root is `to`. Containers that would get more of the host from
/// it than a plain container has are refused. What is checked is the new text: a path that was not rewritten leads to where
/// the user can put a symlink.
///
/// # Errors
/// The first of them, with what it asks for.
pub(super) fn check(
    root: &DockerRoot,
    all: &[ContainerWithFiles],
    (moved, to): (&PathRewriter, &Path),
) -> Result<Metadata, DockerError> {
    for id in names(&root.path.join(CONTAINERS))? {
        let dir = root.path.join(CONTAINERS).join(&id);
        if !all.iter().any(|(_, files)| files.id == id) {
            let why = "is not what dockerd writes. Move it out of the data-root";
            return Err(DockerError::in_the_way(dir, why));
        }
    }
    let mut found = Metadata {
        rewritten: rewritten(root, all, moved)?,
        restarted: Vec::new(),
        networks: Vec::new(),
    };
    for (container, files) in all {
        let dir = root.path.join(CONTAINERS).join(&files.id);
        let mut after = found.text_of(files, CONFIG, &files.config).to_string();
        let changed =
            without_network_ids(&after).map_err(|error| not_json(&dir.join(CONFIG), &error))?;
        if let Some((text, networks)) = changed {
            found.set(files, (CONFIG, &files.config), &text);
            found.networks.extend(networks);
            after = text;
        }
        let hostconfig = files.hostconfig.as_deref().unwrap_or("{}");
        let hostconfig = found.text_of(files, HOSTCONFIG, hostconfig).to_string();
        let read = AsRead::of(&dir, &after, &hostconfig)?;
        read.check((&container.name, &dir), (&files.id, to), all)?;
        if read.is_restarted() {
            found.restarted.push(container.name.clone());
        }
    }
    found.restarted.sort();
    found.networks.sort();
    found.networks.dedup();
    Ok(found)
}

impl Metadata {
    /// What the daemon will read of this file of a container.
    fn text_of<'a>(&'a self, files: &ContainerFiles, name: &str, before: &'a str) -> &'a str {
        let is_it = |file: &&Rewritten| file.id == files.id && file.name == name;
        let file = self.rewritten.iter().find(is_it);
        file.map_or(before, |file| &file.after)
    }

    fn set(&mut self, files: &ContainerFiles, (name, before): (&'static str, &str), after: &str) {
        let is_it = |file: &&mut Rewritten| file.id == files.id && file.name == name;
        match self.rewritten.iter_mut().find(is_it) {
            Some(file) => file.after = after.into(),
            // It was never started.
            None if after == before => {}
            None => self.rewritten.push(Rewritten {
                id: files.id.clone(),
                name,
                before: before.into(),
                after: after.into(),
            }),
        }
    }
}

/// The two files of a container as dockerd understands them.
struct AsRead {
    config: serde_json::Map<String, Value>,
    hostconfig: serde_json::Map<String, Value>,
}

impl AsRead {
    fn of(dir: &Path, config: &str, hostconfig: &str) -> Result<AsRead, DockerError> {
        let parse = |name: &str, text: &str| {
            object(text).map_err(|error| not_json(&dir.join(name), &error))
        };
        Ok(AsRead {
            config: parse(CONFIG, config)?,
            hostconfig: parse(HOSTCONFIG, hostconfig)?,
        })
    }

    fn check(
        &self,
        (name, dir): (&str, &Path),
        (id, to): (&str, &Path),
        all: &[ContainerWithFiles],
    ) -> Result<(), DockerError> {
        let is_peer = |called: &str| {
            all.iter()
                .any(|(other, files)| other.name == called || files.id == called)
        };
        let mut powers = config_powers(&self.config, to, id);
        if self.config.get("id").and_then(Value::as_str) != Some(id) || !is_plain_name(id) {
            powers.push("id".into());
        }
        powers.extend(host_powers(&self.hostconfig, &is_peer));
        if powers.is_empty() {
            return Ok(());
        }
        let more = if powers.len() > TOLD { ", …" } else { "" };
        let told = powers[..powers.len().min(TOLD)].join(", ");
        Err(DockerError::in_the_way(
            dir,
            format!(
                "container {name} has settings that could give it more of the host when root's daemon runs it: {told}{more}. \
                 Start the rootless daemon, `docker commit` the container if you need its files, `docker rm` it, and create it \
                 again in the plain daemon"
            ),
        ))
    }

    fn is_restarted(&self) -> bool {
        let policy = self.hostconfig.get("restartpolicy");
        let name = policy
            .and_then(|policy| policy.get("name"))
            .and_then(Value::as_str);
        name.is_some_and(|name| !["", "no"].contains(&name))
    }
}
