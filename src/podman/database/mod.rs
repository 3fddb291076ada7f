//! Podman's database, `db.sql` (SQLite): read whole into memory, changed there, and given back as the bytes of a new file.
//! No file is opened by SQLite, so no journal of its own is read or made, and no symlink followed.
//!
//! - [`json`]: pure: paths in the JSON of its rows
//! - [`cgroups`]: pure: systemd slices in them
//! - [`tables`]: which tables there are, and a database that is made anew

pub mod cgroups;
mod error;
pub mod json;
pub mod tables;

use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params};
use serde::Deserialize;

pub use self::error::DatabaseError;
use self::json::{JsonKind, Rewriter};
use super::paths::Directories;

/// The only schema there is (Podman 4.4 to 5.4).
const SCHEMA: i64 = 1;

/// Bytes 18 and 19 of a database with a write-ahead log (`https://sqlite.org/fileformat2.html`).
const WAL: [u8; 2] = [2, 2];

/// A row with JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRow {
    /// Its primary key: an id, or a volume's name.
    pub key: String,
    /// Its JSON.
    pub text: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRow {
    /// Full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its configuration, JSON.
    pub config: String,
    /// `ContainerStatus` of `libpod/define/containerstate.go`.
    pub state: i64,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    state: i64,
}

impl ContainerRow {
    /// Whether it runs, or something of its last run is left: it is neither as it was made nor as it has ended.
    pub fn is_active(&self) -> bool {
        const CONFIGURED: i64 = 1;
        const EXITED: i64 = 6;
        ![CONFIGURED, EXITED].contains(&self.state)
    }
}

/// The database in memory.
pub struct Database {
    connection: Connection,
}

/// Tables with JSON, their primary keys, and what is in the JSON.
const TABLES: [(&str, &str, JsonKind); 6] = [
    ("ContainerConfig", "ID", JsonKind::Container),
    ("ContainerState", "ID", JsonKind::ContainerState),
    ("PodConfig", "ID", JsonKind::Pod),
    ("PodState", "ID", JsonKind::Pod),
    ("VolumeConfig", "Name", JsonKind::Volume),
    ("VolumeState", "Name", JsonKind::Volume),
];

impl Database {
    /// From the bytes of the file.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn read(bytes: &[u8]) -> Result<Database, DatabaseError> {
        let database = Database::open(bytes)?;
        database.check()?;
        Ok(database)
    }

    /// Reads a user's database, which may be hostile: it has Podman's own tables and nothing else.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn read_users(bytes: &[u8]) -> Result<Database, DatabaseError> {
        let database = Database::open(bytes)?;
        // First: a column may be computed by whatever its table says.
        database.check_tables()?;
        database.check()?;
        Ok(database)
    }

    fn open(bytes: &[u8]) -> Result<Database, DatabaseError> {
        if bytes.get(18..20) == Some(&WAL) {
            return Err(DatabaseError::WriteAheadLog);
        }
        let mut connection = Connection::open_in_memory()?;
        connection.deserialize_read_exact(c"main", bytes, bytes.len(), false)?;
        // Somebody else's file: nothing in it is to be run.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        Ok(Database { connection })
    }

    fn check(&self) -> Result<(), DatabaseError> {
        let one = |sql: &str| {
            self.connection
                .query_row(sql, [], |row| row.get::<_, String>(0))
        };
        let said = one("PRAGMA integrity_check(1)")?;
        if said != "ok" {
            return Err(DatabaseError::Damaged(said));
        }
        let sql = "SELECT SchemaVersion FROM DBConfig";
        match self.connection.query_row(sql, [], |row| row.get(0))? {
            SCHEMA => Ok(()),
            other => Err(DatabaseError::Schema(other)),
        }
    }

    /// The directories that it names.
    ///
    /// # Errors
    /// It names none.
    pub fn directories(&self) -> Result<Directories, DatabaseError> {
        let sql = "SELECT StaticDir, TmpDir, GraphRoot, RunRoot, VolumeDir FROM DBConfig";
        let path = |row: &Row<'_>, n: usize| row.get::<_, String>(n).map(Into::into);
        Ok(self.connection.query_row(sql, [], |row| {
            Ok(Directories {
                static_dir: path(row, 0)?,
                tmp_dir: path(row, 1)?,
                graph_root: path(row, 2)?,
                run_root: path(row, 3)?,
                volume_dir: path(row, 4)?,
            })
        })?)
    }

    /// All containers, by name.
    ///
    /// # Errors
    /// A row is not what Podman writes.
    pub fn containers(&self) -> Result<Vec<ContainerRow>, DatabaseError> {
        let sql = "SELECT c.ID, c.Name, c.JSON, s.JSON FROM ContainerConfig c \
                   JOIN ContainerState s ON s.ID = c.ID ORDER BY c.Name";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let id: String = row.get(0)?;
            Ok((id, row.get(1)?, text(row, 2)?, text(row, 3)?))
        })?;
        let mut containers = Vec::new();
        for row in rows {
            let (id, name, config, state) = row?;
            // Podman 5.4.2 writes the column `State` once, when the container is made.
            let state: State =
                serde_json::from_str(&state).map_err(|source| DatabaseError::Json {
                    table: "ContainerState",
                    key: id.clone(),
                    source,
                })?;
            containers.push(ContainerRow {
                id,
                name,
                config,
                state: state.state,
            });
        }
        Ok(containers)
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// A row is not what Podman writes.
    pub fn volumes(&self) -> Result<Vec<JsonRow>, DatabaseError> {
        self.rows("VolumeConfig", "Name")
    }

    /// The names of all pods.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn pod_names(&self) -> Result<Vec<String>, DatabaseError> {
        let sql = "SELECT Name FROM PodConfig ORDER BY Name";
        let mut statement = self.connection.prepare(sql)?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// How many pods there are.
    ///
    /// # Errors
    /// It is not what Podman writes.
    pub fn pods(&self) -> Result<usize, DatabaseError> {
        Ok(self.rows("PodConfig", "ID")?.len())
    }

    fn rows(&self, table: &str, key: &str) -> Result<Vec<JsonRow>, DatabaseError> {
        let sql = format!("SELECT {key}, JSON FROM {table} ORDER BY {key}");
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            let (key, text) = (row.get(0)?, text(row, 1)?);
            Ok(JsonRow { key, text })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The bytes of a database with other paths. `driver`: what it says of the storage driver.
    ///
    /// # Errors
    /// A row is not what Podman writes.
    pub fn rewritten(
        mut self,
        rewriter: &Rewriter,
        (to, driver): (&Directories, &str),
    ) -> Result<Vec<u8>, DatabaseError> {
        let mut changes = Vec::new();
        for (table, key_column, kind) in TABLES {
            for row in self.rows(table, key_column)? {
                let new =
                    rewriter
                        .rewrite(kind, &row.text)
                        .map_err(|source| DatabaseError::Json {
                            table,
                            key: row.key.clone(),
                            source,
                        })?;
                if new != row.text {
                    let sql = format!("UPDATE {table} SET JSON = ?1 WHERE {key_column} = ?2");
                    changes.push((sql, row.key, new));
                }
            }
        }
        let transaction = self.connection.transaction()?;
        for (sql, key, new) in changes {
            // Podman writes it as a blob, though the column is of text.
            transaction.execute(&sql, params![Value::Blob(new.into_bytes()), key])?;
        }
        let sql = "UPDATE DBConfig SET StaticDir = ?1, TmpDir = ?2, GraphRoot = ?3, RunRoot = ?4, VolumeDir = ?5, \
                   GraphDriver = ?6";
        let paths = [
            &to.static_dir,
            &to.tmp_dir,
            &to.graph_root,
            &to.run_root,
            &to.volume_dir,
        ];
        let mut values: Vec<String> = paths
            .map(|path| path.to_string_lossy().into_owned())
            .to_vec();
        values.push(driver.to_string());
        transaction.execute(sql, rusqlite::params_from_iter(values))?;
        transaction.commit()?;
        Ok(self.connection.serialize(c"main")?.to_vec())
    }
}

/// A column that is a blob, or text.
fn text(row: &Row<'_>, n: usize) -> rusqlite::Result<String> {
    let bytes = match row.get_ref(n)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
        other => {
            return Err(rusqlite::Error::InvalidColumnType(
                n,
                "JSON".into(),
                other.data_type(),
            ));
        }
    };
    let text = std::str::from_utf8(bytes).map_err(rusqlite::Error::Utf8Error)?;
    Ok(text.to_string())
}

#[cfg(test)]
mod tests;
