//! What Podman's database says of root's containers, volumes and networks, and what is different about them in a user's Podman.

use std::path::{Path, PathBuf};

use super::database::json::Rewriter;
use super::database::{ContainerRow, Database, DatabaseError};
use super::networks::{self, Network};
use super::obstacles::Config;
use super::paths::{Directories, PathMap};
use super::store::{DRIVER, SQLITE, Store};
use crate::idmap::{Direction, Mapped};
use crate::store_move::MoveError;
use crate::store_move::obstacle::{Obstacle, first_open_port};
use crate::store_move::user::RootlessUser;

/// What a database says of a store.
pub(super) struct Rows {
    pub containers: Vec<(ContainerRow, Config)>,
    pub notes: Vec<String>,
    pub content: Option<Vec<u8>>,
}

pub(super) fn in_database(store: &Store) -> impl Fn(DatabaseError) -> MoveError {
    let path = store.path.join(SQLITE);
    move |error| MoveError::in_the_way(&path, error.to_string())
}

pub(super) fn read_rows(
    store: &Store,
    database: Option<Database>,
    rewriter: &Rewriter,
    new: &Directories,
) -> Result<Rows, MoveError> {
    let Some(database) = database else {
        return Ok(Rows {
            containers: Vec::new(),
            notes: Vec::new(),
            content: None,
        });
    };
    let failed = in_database(store);
    let mut containers = Vec::new();
    for row in database.containers().map_err(&failed)? {
        let config = Config::parse(&row.config).map_err(|error| {
            let why = format!(
                "the container {} is not what Podman writes: {error}",
                row.name
            );
            MoveError::in_the_way(store.path.join(SQLITE), why)
        })?;
        containers.push((row, config));
    }
    let volumes = database.volumes().map_err(&failed)?;
    let notes = volumes
        .iter()
        .filter_map(|row| volume_note(&row.key, &row.text))
        .collect();
    // A Podman that starts with a new database of a user's writes this driver's name there (5.4.2).
    let content = database
        .rewritten(rewriter, (new, DRIVER))
        .map_err(&failed)?;
    Ok(Rows {
        containers,
        notes,
        content: Some(content),
    })
}

/// A volume whose driver is another program.
fn volume_note(name: &str, text: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(text).ok()?;
    let driver = config["volumeDriver"].as_str().unwrap_or("local");
    if !["", "local", "image"].contains(&driver) {
        return Some(format!(
            "Volume {name} needs the volume driver {driver} there, too"
        ));
    }
    let options = &config["volumeOptions"];
    let kind = options["type"].as_str().unwrap_or_default();
    let device = options["device"].as_str().unwrap_or_default();
    let is_bind = options["o"]
        .as_str()
        .is_some_and(|it| it.split(',').any(|it| it.ends_with("bind")));
    match (kind, device) {
        ("tmpfs", _) | (_, "") => None,
        (_, device) if is_bind => Some(format!(
            "Volume {name} leads to {device}, which keeps its owners"
        )),
        (kind, device) => Some(format!(
            "Volume {name} mounts {device} ({kind}), which a user cannot mount: it does not work there"
        )),
    }
}

/// Networks of root's, and what is different about them.
pub(super) struct Networks {
    pub all: Vec<Network>,
    pub notes: Vec<String>,
    pub incompatible: Vec<(String, Obstacle)>,
}

pub(super) fn networks_of(rows: &Rows) -> Result<Networks, MoveError> {
    let all = Network::all_in(Path::new(networks::ROOTS))?;
    let mut incompatible = Vec::new();
    for (row, config) in &rows.containers {
        let missing = config
            .own_networks()
            .find(|name| !all.iter().any(|it| it.name == *name));
        incompatible.extend(missing.map(|name| {
            let obstacle = Obstacle {
                what: format!(
                    "is in the network {name}, of which there is no file in {}",
                    networks::ROOTS
                ),
                help: "`podman network create` makes it there",
                is_fatal: true,
            };
            (row.name.clone(), obstacle)
        }));
    }
    Ok(Networks {
        notes: all.iter().filter_map(Network::obstacle).collect(),
        all,
        incompatible,
    })
}

/// Networks that the store does not have, and whether it has a directory for them.
pub(super) fn missing_networks(all: &[Network], store: &Path) -> (Vec<Network>, bool) {
    let there = store.join(networks::USERS);
    let missing = all.iter().filter(|it| !there.join(&it.file).exists());
    (missing.cloned().collect(), there.symlink_metadata().is_ok())
}

pub(super) fn incompatible(
    all: &[(ContainerRow, Config)],
    user: &RootlessUser,
) -> Vec<(String, Obstacle)> {
    let first_port = first_open_port();
    let is_mapped = |mapped| matches!(mapped, Mapped::To(_));
    let has_ids = |uid, gid| {
        is_mapped(user.map.uids.map(uid, Direction::Into))
            && is_mapped(user.map.gids.map(gid, Direction::Into))
    };
    let of_each = all.iter().flat_map(|(row, config)| {
        let found = config.obstacles(first_port, &has_ids).into_iter();
        found.map(|it| (row.name.clone(), it))
    });
    of_each.collect()
}

/// What containers use of the host that does not move along.
pub(super) fn binds(all: &[(ContainerRow, Config)], paths: &PathMap) -> Vec<(String, PathBuf)> {
    let of_each = all.iter().flat_map(|(row, config)| {
        let sources = config.binds();
        sources.map(|source| (row.name.clone(), source))
    });
    let stays = |source: &Path| {
        source
            .to_str()
            .is_none_or(|text| paths.path(text).is_none())
    };
    let mut found: Vec<_> = of_each.filter(|(_, source)| stays(source)).collect();
    found.sort();
    found.dedup();
    found
}
