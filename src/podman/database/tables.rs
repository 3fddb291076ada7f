//! Which tables a database has, and one that is made anew with volumes and containers only.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::{Database, DatabaseError, SCHEMA, text};
use crate::podman::paths::Directories;

/// Statements that make Podman's tables.
const TABLES: &str = include_str!("schema.sql");

/// A volume, as two tables have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRow {
    /// Its name.
    pub name: String,
    /// `VolumeConfig`, JSON.
    pub config: String,
    /// `VolumeState`, JSON.
    pub state: String,
}

/// A container, as a user's database has it. Nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedContainer {
    /// Primary key.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of a pod.
    pub pod: Option<String>,
    /// `ContainerConfig`, JSON.
    pub config: String,
    /// `ContainerState`, JSON.
    pub state: String,
}

/// A container, as tables have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEntry {
    /// Full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `ContainerConfig`, JSON.
    pub config: String,
    /// `ContainerState`, JSON.
    pub state: String,
    /// `ContainerStatus` of `libpod/define/containerstate.go`.
    pub status: i64,
    /// What its process ended with.
    pub exit_code: i64,
    /// Names of the volumes that it uses.
    pub volumes: BTreeSet<String>,
}

impl Database {
    /// Refuses anything but Podman's own tables, as it makes them: a view, a trigger, a computed column or an index could run
    /// what its author likes.
    pub(super) fn check_tables(&self) -> Result<(), DatabaseError> {
        let known: BTreeSet<String> = statements().map(one_line).collect();
        let sql = "SELECT type, name, sql FROM sqlite_schema";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let made_by: Option<String> = row.get(2)?;
            let is_known = match (kind.as_str(), &made_by) {
                ("table", Some(sql)) => known.contains(&one_line(sql)),
                // SQLite makes it for a primary key.
                ("index", None) => name.starts_with("sqlite_autoindex_"),
                _ => false,
            };
            if !is_known {
                let what = format!("the {kind} {name:?}");
                return Err(DatabaseError::Strange { what });
            }
        }
        Ok(())
    }

    /// All volumes with their states, by name.
    ///
    /// # Errors
    /// A row is not what Podman writes.
    pub fn volume_rows(&self) -> Result<Vec<VolumeRow>, DatabaseError> {
        let sql = "SELECT c.Name, c.JSON, s.JSON, c.StorageID FROM VolumeConfig c \
                   LEFT JOIN VolumeState s ON s.Name = c.Name ORDER BY c.Name";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let storage: Option<String> = row.get(3)?;
            if storage.is_some_and(|id| !id.is_empty()) {
                let what = format!("the volume {name:?} of an image");
                return Err(DatabaseError::Strange { what });
            }
            found.push(VolumeRow {
                config: text(row, 1)?,
                state: text(row, 2)?,
                name,
            });
        }
        Ok(found)
    }

    /// All containers with their states, by name.
    ///
    /// # Errors
    /// A row is not what Podman writes.
    pub fn container_rows(&self) -> Result<Vec<UncheckedContainer>, DatabaseError> {
        let sql = "SELECT c.ID, c.Name, c.PodID, c.JSON, s.JSON FROM ContainerConfig c \
                   LEFT JOIN ContainerState s ON s.ID = c.ID ORDER BY c.Name";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(UncheckedContainer {
                id: row.get(0)?,
                name: row.get(1)?,
                pod: row.get(2)?,
                config: text(row, 3)?,
                state: text(row, 4)?,
            });
        }
        Ok(found)
    }
}

/// The bytes of a database with these directories, this storage driver, these volumes and these containers.
///
/// # Errors
/// One is there twice.
pub fn rebuild(
    directories: &Directories,
    driver: &str,
    (volumes, containers): (&[VolumeRow], &[ContainerEntry]),
) -> Result<Vec<u8>, DatabaseError> {
    let mut connection = Connection::open_in_memory()?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let [static_dir, tmp_dir, graph_root, run_root, volume_dir] = [
        &directories.static_dir,
        &directories.tmp_dir,
        &directories.graph_root,
        &directories.run_root,
        &directories.volume_dir,
    ]
    .map(|path| path.to_string_lossy().into_owned());
    transaction.execute(
        "INSERT INTO DBConfig VALUES (1, ?1, 'linux', ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            SCHEMA, static_dir, tmp_dir, graph_root, run_root, driver, volume_dir
        ],
    )?;
    for VolumeRow {
        name,
        config,
        state,
    } in volumes
    {
        let sql = "INSERT INTO VolumeState VALUES (?1, ?2)";
        transaction.execute(sql, params![name, blob(state)])?;
        let sql = "INSERT INTO VolumeConfig VALUES (?1, NULL, ?2)";
        transaction.execute(sql, params![name, blob(config)])?;
    }
    for container in containers {
        insert(&transaction, container)?;
    }
    transaction.commit()?;
    Ok(connection.serialize(c"main")?.to_vec())
}

/// As `AddContainer` does it (Podman 5.4.2, `libpod/sqlite_state_internal.go`).
fn insert(connection: &Connection, container: &ContainerEntry) -> Result<(), DatabaseError> {
    let ContainerEntry { id, name, .. } = container;
    connection.execute("INSERT INTO IDNamespace VALUES (?1)", params![id])?;
    connection.execute(
        "INSERT INTO ContainerConfig VALUES (?1, ?2, NULL, ?3)",
        params![id, name, blob(&container.config)],
    )?;
    let (status, exit_code) = (container.status, container.exit_code);
    connection.execute(
        "INSERT INTO ContainerState VALUES (?1, ?2, ?3, ?4)",
        params![id, status, exit_code, blob(&container.state)],
    )?;
    for volume in &container.volumes {
        let sql = "INSERT INTO ContainerVolume VALUES (?1, ?2)";
        connection.execute(sql, params![id, volume])?;
    }
    Ok(())
}

/// Podman writes JSON as blobs, though the columns are of text.
fn blob(text: &str) -> Value {
    Value::Blob(text.as_bytes().to_vec())
}

fn statements() -> impl Iterator<Item = &'static str> {
    let all = TABLES.split(';').map(|it| {
        let begin = it.find("CREATE").unwrap_or(it.len());
        it[begin..].trim()
    });
    all.filter(|it| !it.is_empty())
}

/// Without what is only layout.
fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn volume(name: &str) -> VolumeRow {
        VolumeRow {
            name: name.into(),
            config: "{}".into(),
            state: "{\"mountCount\":0}".into(),
        }
    }

    fn container(id: &str, name: &str) -> ContainerEntry {
        ContainerEntry {
            id: id.into(),
            name: name.into(),
            config: "{}".into(),
            state: "{\"state\":6}".into(),
            status: 6,
            exit_code: 3,
            volumes: BTreeSet::from(["one".into()]),
        }
    }

    #[test]
    fn a_new_database_is_one_of_podmans() {
        let to = Directories::rootful(Path::new("/srv/s"));
        let volumes = [volume("one"), volume("two")];
        let containers = [container("a", "one"), container("b", "two")];
        let made = |rows: (&[VolumeRow], &[ContainerEntry])| rebuild(&to, "overlay", rows);
        let bytes = made((&volumes, &containers)).unwrap();
        let database = Database::read_users(&bytes).unwrap();
        assert_eq!(database.directories().unwrap(), to);
        assert_eq!(database.volume_rows().unwrap(), volumes);
        let rows = database.container_rows().unwrap();
        let names: Vec<(&str, &str)> = rows.iter().map(|it| (&*it.id, &*it.name)).collect();
        assert_eq!(names, [("a", "one"), ("b", "two")]);
        assert_eq!(bytes, made((&volumes, &containers)).unwrap());
        assert!(made((&[volume("a"), volume("a")], &[])).is_err());
        assert!(made((&[], &[container("a", "one"), container("b", "one")])).is_err());
    }

    #[test]
    fn what_podman_does_not_make_is_refused() {
        let to = Directories::rootful(Path::new("/srv/s"));
        let plain = rebuild(&to, "overlay", (&[volume("one")], &[])).unwrap();
        for (more, expected) in [
            ("CREATE TABLE Mine(a);", "the table \"Mine\""),
            ("CREATE VIEW v AS SELECT 1;", "the view \"v\""),
            (
                "CREATE INDEX i ON VolumeConfig(length(Name));",
                "the index \"i\"",
            ),
            (
                "CREATE TRIGGER t AFTER INSERT ON PodConfig BEGIN DELETE FROM PodState; END;",
                "the trigger \"t\"",
            ),
            (
                "ALTER TABLE VolumeState ADD COLUMN x AS (hex(Name)) VIRTUAL;",
                "the table \"VolumeState\"",
            ),
            (
                "UPDATE VolumeConfig SET StorageID = 'a';",
                "the volume \"one\" of an image",
            ),
        ] {
            let mut connection = Connection::open_in_memory().unwrap();
            let read = connection.deserialize_read_exact(c"main", &plain[..], plain.len(), false);
            read.unwrap();
            connection.execute_batch(more).unwrap();
            let bytes = connection.serialize(c"main").unwrap().to_vec();
            let error = match Database::read_users(&bytes) {
                Ok(database) => database.volume_rows().unwrap_err(),
                Err(error) => error,
            };
            assert!(error.to_string().contains(expected), "{more}: {error}");
        }
    }
}
