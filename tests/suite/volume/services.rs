//! Real services on a bind mount: RabbitMQ and PostgreSQL, from a directory that they cannot use to
//! one that they can, and back to a plain daemon.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::{REMAPPED, same, snapshot};
use crate::support::{Idshift, Run, need_root, output};

/// A broker whose user is 999:999, as in the images that people use.
pub const RABBITMQ: &str = r#"FROM services:1
RUN old=$(id -u rabbitmq) && groupmod -g 999 rabbitmq && usermod -u 999 rabbitmq \
 && rm -rf /var/lib/rabbitmq /var/log/rabbitmq && mkdir -p /var/lib/rabbitmq /var/log/rabbitmq \
 && chown rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
RUN printf '%s\n' '#!/bin/sh' 'exec /usr/lib/rabbitmq/bin/rabbitmq-server' > /entrypoint && chmod 755 /entrypoint
RUN printf '%s\n' 'import pika, sys' \
  'c = pika.BlockingConnection(pika.ConnectionParameters("localhost"))' 'ch = c.channel()' \
  'if sys.argv[1] == "publish":' \
  '    ch.queue_declare("work", durable=True)' '    ch.confirm_delivery()' \
  '    ch.basic_publish("", "work", sys.argv[2].encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)' \
  'else:' '    print(ch.basic_get("work", auto_ack=sys.argv[1] == "take")[2].decode())' 'c.close()' > /client.py
ENV RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_LOGS=- HOME=/var/lib/rabbitmq
USER rabbitmq
ENTRYPOINT ["/entrypoint"]
"#;

pub const POSTGRES: &str = r#"FROM services:1
RUN groupmod -g 998 postgres && usermod -u 998 postgres
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'PATH=$(echo /usr/lib/postgresql/*/bin):$PATH' \
  'test -e /data/PG_VERSION || initdb -A trust -D /data' 'exec postgres -D /data -k /tmp -h ""' > /entrypoint \
 && chmod 755 /entrypoint
USER postgres
ENTRYPOINT ["/entrypoint"]
"#;

/// A directory below one that only root may enter, as /root is.
fn below_a_closed_one(host: &Host) -> PathBuf {
    let closed = host.beside().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let dir = closed.join("data");
    fs::create_dir(&dir).unwrap();
    dir
}

fn check(dir: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    Run::of(command.arg("check").arg(dir).args(args))
}

fn prepare(idshift: &Idshift, dir: &Path, args: &[&str]) -> Run {
    idshift.run([&["prepare", dir.to_str().unwrap()], args].concat())
}

/// Starts a container in the background with the directory mounted.
pub fn start(daemon: &Daemon<'_>, name: &str, image: &str, mount: &str) {
    let run = ["run", "-d", "--network", "none", "--name", name];
    daemon.docker(&[&run[..], &["-v", mount, image]].concat());
}

/// Waits until a command in a container works; what it prints.
pub fn wait_for(daemon: &Daemon<'_>, name: &str, command: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let run = daemon.try_docker(&[&["exec", name], command].concat());
        if run.code == Some(0) {
            return run.text().trim().to_string();
        }
        let logs = || daemon.try_docker(&["logs", name]);
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{run}\n{}",
            logs()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Waits until a container has stopped by itself; what it said.
fn wait_for_end(daemon: &Daemon<'_>, name: &str) -> String {
    let begun = Instant::now();
    while daemon.docker(&["inspect", "-f", "{{.State.Running}}", name]) == "true" {
        assert!(begun.elapsed() < Duration::from_secs(90), "it runs on");
        std::thread::sleep(Duration::from_millis(300));
    }
    let logs = daemon.try_docker(&["logs", name]);
    format!("{}{}", logs.text(), logs.stderr)
}

pub fn end(daemon: &Daemon<'_>, name: &str) {
    daemon.docker(&["stop", "-t", "60", name]);
    daemon.docker(&["rm", name]);
}

#[test]
fn a_broker_keeps_its_messages_there_and_back() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let dir = below_a_closed_one(&host);
    let mount = format!("{}:/var/lib/rabbitmq", dir.display());
    let client = |daemon: &Daemon<'_>, args: &[&str]| {
        let command = [&["python3", "/client.py"], args].concat();
        wait_for(daemon, "broker", &command)
    };

    let remapped = host.start(REMAPPED);
    remapped.import("IDSHIFT_TEST_SERVICES_TAR", "services:1");
    remapped.build("rabbitmq:1", RABBITMQ);
    start(&remapped, "broker", "rabbitmq:1", &mount);
    let said = wait_for_end(&remapped, "broker");
    assert!(said.contains("eacces"), "{said}");
    each_check_tells_that_it_cannot(&host, &dir, &mount);
    remapped.docker(&["rm", "broker"]);

    a_copy_is_prepared_and_undone(&idshift, &host);

    let options = ["--owner", "999:999", "--fix-parents"];
    prepare(&idshift, &dir, &options).exits(0);
    check(&dir, &["--as", "999:999", "--old-runtime"]).exits(0);
    start(&remapped, "broker", "rabbitmq:1", &mount);
    client(&remapped, &["publish", "do it"]);
    let busy = prepare(&idshift, &dir, &["--reverse"]);
    assert_eq!(busy.code, Some(4), "{busy}");
    assert!(busy.stderr.contains("in container"), "{busy}");
    end(&remapped, "broker");
    start(&remapped, "broker", "rabbitmq:1", &mount);
    assert_eq!(client(&remapped, &["look"]), "do it");
    end(&remapped, "broker");
    let owner = |dir: &Path| fs::metadata(dir).unwrap().uid();
    assert_eq!(owner(&dir.join("mnesia")), 100_999);
    check(&dir, &["--as", "999:999", "--recursive"]).exits(0);
    // Without -v, the first 50 are listed; the broker makes about as many.
    let strangers = check(&dir, &["--as", "1000:1000", "--recursive", "-v"]);
    assert_eq!(strangers.code, Some(3), "{strangers}");
    assert!(strangers.text().contains(".erlang.cookie"), "{strangers}");
    remapped.stop();

    prepare(&idshift, &dir, &["--reverse"]).exits(0);
    assert_eq!(owner(&dir.join("mnesia")), 999);
    let plain = host.start(&[]);
    plain.import("IDSHIFT_TEST_SERVICES_TAR", "services:1");
    plain.build("rabbitmq:1", RABBITMQ);
    start(&plain, "broker", "rabbitmq:1", &mount);
    assert_eq!(client(&plain, &["take"]), "do it");
    end(&plain, "broker");
    plain.stop();
}

fn each_check_tells_that_it_cannot(host: &Host, dir: &Path, mount: &str) {
    let told = check(dir, &["--as", "999:999"]);
    assert_eq!(told.code, Some(3), "{told}");
    for words in [
        "No: container user 999:999 cannot use",
        "create  fails: Permission denied",
        "belongs to 0:0",
        &format!("idshift prepare {} --owner 999:999", dir.display()),
    ] {
        assert!(told.text().contains(words), "{words:?} in {told}");
    }
    let data_root = host.data_root.to_str().unwrap();
    let of_image = ["--image-user", "rabbitmq:1", "--data-root", data_root];
    let of_container = ["--container", "broker", "--data-root", data_root];
    for user in [of_image, of_container] {
        let told = check(dir, &user);
        assert_eq!(told.code, Some(3), "{told}");
        assert!(told.text().contains("container user 999:999"), "{told}");
    }
    let file = host.beside().join("compose.yaml");
    let service = format!("services: {{broker: {{image: 'rabbitmq:1', volumes: ['{mount}']}}}}");
    fs::write(&file, service).unwrap();
    let by_name = format!("docker run -v {mount} -u root:rabbitmq --group-add daemon rabbitmq:1");
    for (flag, value, user) in [
        ("--compose", file.to_str().unwrap(), "999:999"),
        ("--run", &by_name, "0:999"),
    ] {
        let mut command = Command::new(Idshift::program());
        let told = Run::of(command.args(["check", flag, value, "--data-root", data_root]));
        assert_eq!(told.code, Some(3), "{told}");
        assert!(
            told.text().contains(&format!("  {user}  cannot use it")),
            "{told}"
        );
    }
}

/// The same once more beside it, to be undone.
fn a_copy_is_prepared_and_undone(idshift: &Idshift, host: &Host) {
    let copy = host.beside().join("closed2/data");
    output(
        "cp",
        [
            "-a",
            host.beside().join("closed").to_str().unwrap(),
            host.beside().join("closed2").to_str().unwrap(),
        ],
    );
    let fresh = snapshot(copy.parent().unwrap());
    let options = ["--owner", "999:999", "--fix-parents"];
    prepare(idshift, &copy, &options).exits(0);
    assert_ne!(fresh, snapshot(copy.parent().unwrap()));
    idshift.run(["rollback", "latest"]).exits(0);
    same(
        &fresh,
        &snapshot(copy.parent().unwrap()),
        "after prepare and rollback",
    );
}

#[test]
fn a_database_goes_into_the_range_and_back() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let dir = host.beside().join("pg");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&dir, Some(998), Some(998)).unwrap();
    let mount = format!("{}:/data", dir.display());
    let sql = |daemon: &Daemon<'_>, text: &str| {
        wait_for(
            daemon,
            "db",
            &["psql", "-h", "/tmp", "-Atc", text, "postgres"],
        )
    };

    let plain = host.start(&[]);
    plain.import("IDSHIFT_TEST_SERVICES_TAR", "services:1");
    plain.build("pg:1", POSTGRES);
    start(&plain, "db", "pg:1", &mount);
    sql(&plain, "create table t(x int)");
    sql(&plain, "insert into t values (42)");
    end(&plain, "db");
    plain.stop();
    let start_state = snapshot(&dir);

    let remapped = host.start(REMAPPED);
    remapped.import("IDSHIFT_TEST_SERVICES_TAR", "services:1");
    remapped.build("pg:1", POSTGRES);
    start(&remapped, "db", "pg:1", &mount);
    wait_for_end(&remapped, "db");
    remapped.docker(&["rm", "db"]);
    let told = check(&dir, &["--as", "998:998"]);
    assert_eq!(told.code, Some(3), "{told}");
    let advice = format!("idshift prepare {}\n", dir.display());
    assert!(told.text().ends_with(&advice), "{told}");

    prepare(&idshift, &dir, &[]).exits(0);
    start(&remapped, "db", "pg:1", &mount);
    assert_eq!(sql(&remapped, "select x from t"), "42");
    end(&remapped, "db");
    let nothing = prepare(&idshift, &dir, &[]).exits(0);
    assert!(nothing.text().contains("Shifted 0 of"), "{nothing}");
    remapped.stop();

    prepare(&idshift, &dir, &["--reverse"]).exits(0);
    let plain = host.start(&[]);
    start(&plain, "db", "pg:1", &mount);
    assert_eq!(sql(&plain, "select x from t"), "42");
    end(&plain, "db");
    plain.stop();
    assert!(start_state.len() > 100);
}
