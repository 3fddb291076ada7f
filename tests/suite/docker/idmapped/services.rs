//! Real services on volumes, plain, remapped by a mount, and plain again.

use std::path::PathBuf;

use super::in_range;
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, long, need_root};
use crate::volume::services::{POSTGRES, RABBITMQ, end, start, wait_for};

fn sql(daemon: &Daemon<'_>, text: &str) -> String {
    wait_for(
        daemon,
        "db",
        &["psql", "-h", "/tmp", "-Atc", text, "postgres"],
    )
}

fn client(daemon: &Daemon<'_>, args: &[&str]) -> String {
    let command = [&["python3", "/client.py"], args].concat();
    wait_for(daemon, "broker", &command)
}

fn start_both(daemon: &Daemon<'_>) {
    start(daemon, "db", "pg:1", "pg:/data");
    start(daemon, "broker", "rabbitmq:1", "mq:/var/lib/rabbitmq");
}

fn end_both(daemon: &Daemon<'_>) {
    end(daemon, "db");
    end(daemon, "broker");
}

#[test]
fn a_database_and_a_broker_keep_what_they_have_there_and_back() {
    need_root();
    if !long() {
        return;
    }
    let host = Host::new();
    let idshift = Idshift::new();
    let plain = host.start(&[]);
    plain.import("IDSHIFT_TEST_SERVICES_TAR", "services:1");
    plain.build("rabbitmq:1", RABBITMQ);
    // A volume takes the owner of the directory that it is mounted on.
    plain.build(
        "pg:1",
        &POSTGRES.replace(
            "USER postgres",
            "RUN mkdir /data && chown postgres:postgres /data\nUSER postgres",
        ),
    );
    start_both(&plain);
    sql(&plain, "create table t(x int)");
    sql(&plain, "insert into t values (42)");
    client(&plain, &["publish", "do it"]);
    end_both(&plain);
    plain.stop();

    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    start_both(&remapped);
    assert_eq!(sql(&remapped, "select x from t"), "42");
    sql(&remapped, "insert into t values (43)");
    sql(&remapped, "checkpoint");
    assert_eq!(client(&remapped, &["take"]), "do it");
    client(&remapped, &["publish", "do more"]);
    end_both(&remapped);
    remapped.stop();

    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<PathBuf>::new());
    let plain = host.start(&[]);
    start_both(&plain);
    assert_eq!(sql(&plain, "select x from t order by x"), "42\n43");
    assert_eq!(client(&plain, &["take"]), "do more");
    end_both(&plain);
    plain.stop();
}
