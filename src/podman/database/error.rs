//! Why a database is not used.

use thiserror::Error;

use super::SCHEMA;

/// Why a database is not used.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// It is not what Podman writes.
    #[error("is not a database of Podman's: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite finds it damaged.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// A row is not what Podman writes.
    #[error("{table} of {key} is not what Podman writes: {source}")]
    Json {
        /// Which table.
        table: &'static str,
        /// Which row.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer Podman's.
    #[error(
        "has schema {0}, and this idshift knows {SCHEMA}. `idshift --version` shows its version"
    )]
    Schema(i64),
    /// It has what Podman does not make.
    #[error(
        "has {what}, which Podman 5.4 does not make in this way. `podman save` and `podman volume export`, run as the user, take out \
         what is needed"
    )]
    Strange {
        /// A table, a view, or what else.
        what: String,
    },
    /// Part of it is in another file.
    #[error(
        "has a write-ahead log. Podman makes none; `sqlite3 db.sql 'PRAGMA journal_mode=DELETE'` ends it"
    )]
    WriteAheadLog,
}
