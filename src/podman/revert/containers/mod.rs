//! Containers of a user's, as root's Podman will start them. USER wrote all that Podman knows of them. So only a container that
//! asks for nothing of the host but what a plain one has comes along; any other is refused by its name.
//!
//! - `config`, `spec`, `mounts`: pure: which members a row may have; `seccomp`: which system calls
//! - `adapted`: pure: what is made anew in a row; `state`: likewise, of how its last run ended
//! - `files`: directories of containers, and the list of them
//! - `host`: what confines a plain container on this host

mod adapted;
mod config;
mod files;
mod host;
mod mounts;
mod seccomp;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde_json::{Map, Value};

use self::config::{Around, powers};
use self::host::Confinement;
use crate::fs::escape::shell_word;
use crate::podman::and_more;
use crate::podman::database::json::{JsonKind, Rewriter};
use crate::podman::database::tables::{ContainerEntry, UncheckedContainer, VolumeRow};
use crate::podman::database::{Database, DatabaseError};
use crate::podman::paths::Directories;
use crate::podman::revert::members::{is_id, of_text};
use crate::podman::revert::volumes::{LOCKS, lock_of};
use crate::podman::store::{DRIVER, Store};
use crate::store_move::MoveError;
use crate::store_move::untrusted::is_volume_name;
use crate::store_move::user::RootlessUser;

/// Most of the members that are told of one container.
const TOLD: usize = 8;

/// What containers are checked against.
pub(super) struct Context<'a> {
    pub store: &'a Store,
    pub user: &'a RootlessUser,
    /// Directories of root's Podman, and what changes paths to those.
    pub to: &'a Directories,
    pub rewriter: &'a Rewriter,
    /// Names of those that come along.
    pub secrets: HashSet<String>,
}

/// What becomes of containers.
#[derive(Default)]
pub(super) struct Containers {
    /// Their rows.
    pub rows: Vec<ContainerEntry>,
    /// Names of those that start when the host does, if `podman-restart.service` is enabled.
    pub restarted: Vec<String>,
    /// Names of those whose logs are in the journal of systemd.
    pub logged: Vec<String>,
    /// Names, in the store, of files that stay behind.
    pub left: Vec<[String; 4]>,
}

/// All containers as root's Podman will have them.
///
/// # Errors
/// What is in the way, by name.
pub(super) fn checked(
    context: &Context<'_>,
    volumes: &[VolumeRow],
    database: Option<&Database>,
) -> Result<Containers, MoveError> {
    let store = context.store;
    let failed = |error: DatabaseError| MoveError::in_the_way(&store.path, error.to_string());
    let (pods, rows) = match database {
        Some(database) => (
            database.pod_names().map_err(failed)?,
            database.container_rows().map_err(failed)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    context.refuse_pods(&pods)?;
    context.refuse_unlisted(&rows)?;
    let known: Vec<(&str, &str)> = rows.iter().map(|row| (&*row.id, &*row.name)).collect();
    let left = files::check(store, &known)?;
    if rows.is_empty() {
        return Ok(Containers::default());
    }
    let confinement = Confinement::of_host(&store.path)?;
    let mut locks: HashSet<Option<u64>> = (volumes.iter())
        .map(|volume| lock_of(&volume.config))
        .collect();
    let mut found = Containers {
        left,
        ..Containers::default()
    };
    let mut refused = Vec::new();
    for row in rows {
        let name = row.name.clone();
        match context.container(row, (volumes, &confinement)) {
            Ok(adapted) => {
                let lock = lock_of(&adapted.row.config);
                if lock.is_none_or(|it| it >= LOCKS) || !locks.insert(lock) {
                    refused.push((name, vec!["lockid".to_string()]));
                    continue;
                }
                found
                    .restarted
                    .extend(adapted.is_restarted.then(|| name.clone()));
                found.logged.extend(adapted.is_logged.then_some(name));
                found.rows.push(adapted.row);
            }
            Err(members) => refused.push((name, members)),
        }
    }
    context.refuse_powers(&refused)?;
    Ok(found)
}

/// A container that comes along.
struct Adapted {
    row: ContainerEntry,
    is_restarted: bool,
    is_logged: bool,
}

impl Context<'_> {
    /// A row as it is to be, or the members that are in the way. What is checked is the new text: a path that was not
    /// rewritten leads to where the user can put a symlink.
    fn container(
        &self,
        row: UncheckedContainer,
        (volumes, confinement): (&[VolumeRow], &Confinement),
    ) -> Result<Adapted, Vec<String>> {
        let unread = |error: serde_json::Error| vec![error.to_string()];
        // Before anything else: who reads a text with a member twice sees one of the two.
        of_text(&row.config).map_err(unread)?;
        let text = self
            .rewriter
            .rewrite(JsonKind::Container, &row.config)
            .map_err(unread)?;
        let mut config: Map<String, Value> = serde_json::from_str(&text).map_err(unread)?;
        adapted::adapt(&mut config, confinement.has_apparmor);
        let text = Value::Object(config).to_string();
        let members = of_text(&text).map_err(unread)?;
        let around = Around {
            to: self.to,
            id: &row.id,
            name: &row.name,
            has_volume: &|name| volumes.iter().any(|it| it.name == name),
            has_secret: &|name| self.secrets.contains(name),
            profile: &confinement.profile,
        };
        let mut wrong = powers(&members, &around);
        // Both become parts of paths, of names of units, and of arguments of programs.
        if !is_id(&row.id) || row.id.bytes().any(|it| it.is_ascii_uppercase()) {
            wrong.push("id".into());
        }
        if !is_volume_name(&row.name) {
            wrong.push("name".into());
        }
        wrong.extend(row.pod.is_some().then(|| "pod".to_string()));
        let ended = match state::ended(&row.state) {
            Ok(Some(ended)) => ended,
            Ok(None) => {
                wrong.push("state (it runs, or `podman stop` did not end it)".into());
                return Err(wrong);
            }
            Err(error) => {
                wrong.push(format!("state ({error})"));
                return Err(wrong);
            }
        };
        if !wrong.is_empty() {
            wrong.dedup();
            return Err(wrong);
        }
        let is = |name: &str, values: &[&str]| {
            let value = members.get(name).and_then(Value::as_str);
            value.is_some_and(|value| values.contains(&value))
        };
        Ok(Adapted {
            is_restarted: is("restart_policy", &["always", "unless-stopped"]),
            is_logged: is("logdriver", &["journald"]) && ended.status == state::EXITED,
            row: ContainerEntry {
                volumes: volumes_of(&members),
                id: row.id,
                name: row.name,
                config: text,
                state: ended.text,
                status: ended.status,
                exit_code: ended.exit_code,
            },
        })
    }

    fn refuse_pods(&self, pods: &[String]) -> Result<(), MoveError> {
        let Some(first) = pods.first() else {
            return Ok(());
        };
        let why = format!(
            "has the pod {}{}. Containers become root's, but not pods. Run as {}: `podman commit` keeps the files of a container \
             as an image; `podman pod rm {}` removes what is in the way. Create it again as root afterwards",
            shell_word(Path::new(first)),
            and_more(pods.len()),
            self.user.name,
            words(pods)
        );
        Err(MoveError::in_the_way(&self.store.path, why))
    }

    /// What the list of containers has and Podman does not know is another program's (Buildah), and the other way round it
    /// has no files.
    fn refuse_unlisted(&self, rows: &[UncheckedContainer]) -> Result<(), MoveError> {
        let listed = self.store.listed(DRIVER, "containers")?;
        let has_row = |id: &str, names: &[String]| {
            rows.iter()
                .any(|row| row.id == id && [&row.name].into_iter().eq(names))
        };
        let mut names: Vec<String> = (listed.iter())
            .filter(|it| !has_row(&it.id, it.names.as_deref().unwrap_or_default()))
            .map(|it| it.name().to_string())
            .collect();
        let has_files = |id: &str| listed.iter().filter(|it| it.id == id).count() == 1;
        let rows = rows.iter().filter(|row| !has_files(&row.id));
        names.extend(rows.map(|row| row.name.clone()));
        names.sort();
        names.dedup();
        let Some(first) = names.first() else {
            return Ok(());
        };
        let why = format!(
            "has the container {}{}, which is another program's (Buildah), or not what Podman makes. `podman rm {}`, run as {}, \
             removes what is in the way",
            shell_word(Path::new(first)),
            and_more(names.len()),
            words(&names),
            self.user.name
        );
        Err(MoveError::in_the_way(&self.store.path, why))
    }

    fn refuse_powers(&self, refused: &[(String, Vec<String>)]) -> Result<(), MoveError> {
        let Some((first, members)) = refused.first() else {
            return Ok(());
        };
        let names: Vec<String> = refused.iter().map(|(name, _)| name.clone()).collect();
        let more = if members.len() > TOLD { ", …" } else { "" };
        let why = format!(
            "has the container {}{}, with settings that could give it more of the host than a plain one has when root's Podman \
             runs it: {}{more}. Run as {}: `podman commit` keeps the files of a container as an image; `podman rm {}` removes \
             what is in the way. Create it again as root afterwards",
            shell_word(Path::new(first)),
            and_more(refused.len()),
            members[..members.len().min(TOLD)].join(", "),
            self.user.name,
            words(&names)
        );
        Err(MoveError::in_the_way(&self.store.path, why))
    }
}

fn words(names: &[String]) -> String {
    let words: Vec<String> = names.iter().map(|it| shell_word(Path::new(it))).collect();
    words.join(" ")
}

fn volumes_of(config: &Map<String, Value>) -> BTreeSet<String> {
    let all = config.get("namedvolumes").and_then(Value::as_array);
    let names = all
        .into_iter()
        .flatten()
        .filter_map(|it| it.get("volumename"));
    names.filter_map(Value::as_str).map(String::from).collect()
}
