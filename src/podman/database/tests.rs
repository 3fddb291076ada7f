use std::path::Path;

use rusqlite::Connection;

use super::cgroups::Cgroups;
use super::json::Rewriter;
use super::*;
use crate::podman::paths::PathMap;

const GRAPH_ROOT: &str = "/var/lib/containers/storage";

/// The columns that matter of the tables of Podman 5.4.2, with a container, a pod and a volume.
const TABLES_AND_ROWS: &str = r#"
CREATE TABLE DBConfig(ID INTEGER PRIMARY KEY NOT NULL, SchemaVersion INTEGER NOT NULL, OS TEXT NOT NULL, StaticDir TEXT NOT NULL,
  TmpDir TEXT NOT NULL, GraphRoot TEXT NOT NULL, RunRoot TEXT NOT NULL, GraphDriver TEXT NOT NULL, VolumeDir TEXT NOT NULL, CHECK (ID IN (1)));
CREATE TABLE ContainerConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, PodID TEXT, JSON TEXT NOT NULL);
CREATE TABLE ContainerState(ID TEXT PRIMARY KEY NOT NULL, State INTEGER NOT NULL, ExitCode INTEGER, JSON TEXT NOT NULL);
CREATE TABLE PodConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, JSON TEXT NOT NULL);
CREATE TABLE PodState(ID TEXT PRIMARY KEY NOT NULL, InfraContainerID TEXT, JSON TEXT NOT NULL);
CREATE TABLE VolumeConfig(Name TEXT PRIMARY KEY NOT NULL, StorageID TEXT, JSON TEXT NOT NULL);
CREATE TABLE VolumeState(Name TEXT PRIMARY KEY NOT NULL, JSON TEXT NOT NULL);
INSERT INTO DBConfig VALUES (1, 1, 'linux', '/var/lib/containers/storage/libpod', '/run/libpod', '/var/lib/containers/storage',
  '/run/containers/storage', '', '/var/lib/containers/storage/volumes');
INSERT INTO ContainerConfig VALUES ('c1', 'web', 'p1', CAST('{"staticDir":"/var/lib/containers/storage/x","name":"web"}' AS BLOB));
INSERT INTO ContainerState VALUES ('c1', 1, 0, CAST('{"state":6,"runDir":"/run/containers/storage/x"}' AS BLOB));
INSERT INTO PodConfig VALUES ('p1', 'pod', CAST('{"cgroupParent":"machine.slice"}' AS BLOB));
INSERT INTO PodState VALUES ('p1', NULL, CAST('{"cgroupPath":"machine.slice/machine-libpod_pod_p1.slice"}' AS BLOB));
INSERT INTO VolumeConfig VALUES ('v1', NULL, '{"mountPoint":"/var/lib/containers/storage/volumes/v1/_data"}');
INSERT INTO VolumeState VALUES ('v1', '{"mountCount":0}');
"#;

fn bytes(more: &str) -> Vec<u8> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLES_AND_ROWS).unwrap();
    connection.execute_batch(more).unwrap();
    connection.serialize(c"main").unwrap().to_vec()
}

fn rewriter() -> (Rewriter, Directories) {
    let top = Path::new(GRAPH_ROOT);
    let to = Directories::rootless(Path::new("/home/ann/s"), 1000);
    let rewriter = Rewriter {
        paths: PathMap::new(&Directories::rootful(top), top, &to),
        cgroups: Cgroups::to_user(1000),
    };
    (rewriter, to)
}

#[test]
fn a_database_gets_the_directories_of_the_user() {
    let database = Database::read(&bytes("")).unwrap();
    let old = database.directories().unwrap();
    assert_eq!(old, Directories::rootful(Path::new(GRAPH_ROOT)));
    assert_eq!(database.pods().unwrap(), 1);
    assert!(!database.containers().unwrap()[0].is_active());
    let (rewriter, to) = rewriter();
    let new = database.rewritten(&rewriter, (&to, "overlay")).unwrap();

    let database = Database::read(&new).unwrap();
    assert_eq!(database.directories().unwrap(), to);
    let container = &database.containers().unwrap()[0];
    assert_eq!(
        container.config,
        r#"{"staticDir":"/home/ann/s/x","name":"web"}"#
    );
    let one = |sql: &str| -> String {
        let read = database.connection.query_row(sql, [], |row| text(row, 0));
        read.unwrap()
    };
    assert_eq!(
        one("SELECT JSON FROM ContainerState"),
        r#"{"state":6,"runDir":"/run/user/1000/containers/x"}"#
    );
    assert_eq!(
        one("SELECT JSON FROM PodConfig"),
        r#"{"cgroupParent":"user.slice"}"#
    );
    assert!(
        one("SELECT JSON FROM PodState")
            .contains("user@1000.service/user.slice/user-libpod_pod_p1.slice")
    );
    assert_eq!(
        one("SELECT JSON FROM VolumeConfig"),
        r#"{"mountPoint":"/home/ann/s/volumes/v1/_data"}"#
    );
    assert_eq!(one("SELECT GraphDriver FROM DBConfig"), "overlay");
    // Podman reads blobs.
    assert_eq!(one("SELECT typeof(JSON) FROM ContainerConfig"), "blob");
}

#[test]
fn the_same_database_gives_the_same_bytes() {
    let new = || {
        let (rewriter, to) = rewriter();
        Database::read(&bytes(""))
            .unwrap()
            .rewritten(&rewriter, (&to, "overlay"))
            .unwrap()
    };
    assert_eq!(new(), new());
}

#[test]
fn nothing_in_a_database_is_run() {
    let trigger =
        "CREATE TRIGGER t AFTER UPDATE ON DBConfig BEGIN DELETE FROM ContainerConfig; END;";
    let (rewriter, to) = rewriter();
    let new = Database::read(&bytes(trigger))
        .unwrap()
        .rewritten(&rewriter, (&to, "overlay"));
    assert_eq!(
        Database::read(&new.unwrap())
            .unwrap()
            .containers()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_is_no_database_of_podmans_is_refused() {
    let whole = bytes("");
    for (bad, expected) in [
        (b"".to_vec(), "not a database of Podman's"),
        (
            b"idshift is moving this Podman store".to_vec(),
            "not a database of Podman's",
        ),
        (whole[..whole.len() / 2].to_vec(), ""),
        (
            bytes("UPDATE DBConfig SET SchemaVersion = 2;"),
            "has schema 2",
        ),
        (bytes("DELETE FROM DBConfig;"), "not a database of Podman's"),
        (
            [&whole[..18], &[2, 2], &whole[20..]].concat(),
            "write-ahead log",
        ),
    ] {
        let error = Database::read(&bad).err().map(|error| error.to_string());
        assert!(
            error.as_ref().is_some_and(|error| error.contains(expected)),
            "{expected}: {error:?}"
        );
    }
    let broken = bytes("UPDATE ContainerConfig SET JSON = '{';");
    let (rewriter, to) = rewriter();
    let error = Database::read(&broken)
        .unwrap()
        .rewritten(&rewriter, (&to, "overlay"));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("ContainerConfig of c1")
    );
}

#[test]
fn a_container_that_was_not_cleaned_up_is_active() {
    for (state, expected) in [
        (1, false),
        (2, true),
        (3, true),
        (4, true),
        (5, true),
        (6, false),
    ] {
        let set = format!("UPDATE ContainerState SET JSON = '{{\"state\":{state}}}';");
        let database = Database::read(&bytes(&set)).unwrap();
        assert_eq!(
            database.containers().unwrap()[0].is_active(),
            expected,
            "{state}"
        );
    }
}
