//! A host in a swarm: what services bind is seen by their tasks, and what is not seen is said, with what lists it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::volumes::{Place, owner};
use crate::support::bolt_write::{Node, file};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, need_root};

/// A service whose only container is removed by hand: nothing but the task is left of it.
fn service_without_container(daemon: &Daemon<'_>, source: &Path) {
    daemon.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let mount = format!("type=bind,src={},dst=/in", source.display());
    let service = ["service", "create", "--detach", "--name", "web"];
    let once = ["--network", "host", "--restart-condition", "none"];
    let what = ["--mount", &mount, "tiny:1", "sleep", "1000"];
    daemon.docker(&[&service[..], &once, &what].concat());
    let start = Instant::now();
    loop {
        let containers = daemon.docker(&["ps", "-aq", "--filter", "status=running"]);
        if !containers.is_empty() {
            daemon.docker(&["rm", "-f", &containers]);
            return;
        }
        let tasks = daemon.docker(&["service", "ps", "--no-trunc", "web"]);
        assert!(start.elapsed() < Duration::from_secs(60), "{tasks}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The command in a message that begins so.
fn command<'t>(text: &'t str, start: &str) -> &'t str {
    let mut quoted = text.split('`').skip(1).step_by(2);
    quoted
        .find(|command| command.starts_with(start))
        .expect(start)
}

#[test]
fn binds_of_a_task_without_container_are_listed() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let bound = host.beside().join("web");
    fs::create_dir(&bound).unwrap();
    fs::write(bound.join("file"), "").unwrap();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    service_without_container(&plain, &bound);
    let audited = audit_with(&host, &["--json"]).json();
    let binds = audited["bind_mounts"].as_array().unwrap();
    let of_service = binds.iter().find(|it| it["container"] == "(service web)");
    assert_eq!(
        of_service.map(|it| &it["source"]),
        Some(&bound.to_str().unwrap().into()),
        "{binds:#?}"
    );
    // On the host's network, it does not start remapped: to shift the directory is of no use.
    assert_eq!(of_service.unwrap()["kind"], "does-not-start");
    let advice = of_service.unwrap()["advice"].as_str().unwrap();
    assert!(!advice.contains("prepare"), "{advice}");
    let findings = audited["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["what"] == "swarm services");
    let remedy = found.unwrap()["remedy"].as_str().unwrap();
    // What is said to help lists it.
    let listed = plain.shell(command(remedy, "docker service ls"));
    assert_eq!(listed, format!("web {}", bound.display()));
    plain.stop();
    // A manager that stops forgets its tasks, and removes their containers: what is left is said.
    migrate(&idshift, &host, &["--create-user", "--bind-mounts"])
        .exits(0)
        .says("This host is in a swarm: binds of services are seen only where a container or a task of")
        .says("`docker service ls -q");
}

/// A field of a protobuf message that is text or a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [
        &[number << 3 | 2, u8::try_from(bytes.len()).unwrap()],
        bytes,
    ]
    .concat()
}

/// As a worker keeps it that is stopped: `Task { spec { container { mounts { source } } }, service_annotations { name } }`.
#[test]
fn binds_of_a_workers_tasks_go_along() {
    let place = Place::new();
    let idshift = Idshift::new();
    let bound = place.data(&place.beside("web"));
    place.data(&place.volume("vol").join("_data"));
    let worker = place.root.join("swarm/worker");
    fs::create_dir_all(&worker).unwrap();
    fs::write(place.root.join("swarm/docker-state.json"), "{}").unwrap();
    let mount = [field(2, bound.as_os_str().as_bytes()), field(3, b"/in")].concat();
    let container = field(1, &[field(1, b"web:1"), field(8, &mount)].concat());
    let task = [
        field(1, b"id"),
        field(3, &container),
        field(8, &field(1, b"web")),
    ]
    .concat();
    let mut database = Node::bucket();
    database.put(&["v1", "tasks", "id", "data"], task);
    fs::write(worker.join("tasks.db"), file(&database, 4096)).unwrap();

    let told = place.audit().exits(0).text();
    assert!(told.contains("(service web)"), "{told}");
    let told = place.run(&idshift, "migrate", &["--bind-mounts"]).exits(0);
    told.says(&format!(
        "Bind mount {} is shifted in place",
        bound.display()
    ))
    .says("`idshift prepare --subid dockremap PATH` shifts one");
    assert_eq!(owner(&bound.join("file")), 100_033);
    // The journal has it as well: without that, only the task.
    let journal = idshift.the_journal();
    let aside = place.beside("journal");
    fs::rename(&journal, &aside).unwrap();
    let told = place.run(&idshift, "revert", &[]).exits(0);
    told.says("`idshift prepare --subid dockremap --reverse PATH` shifts one back")
        .says(&format!(
            "idshift prepare --subid dockremap --reverse {}",
            bound.display()
        ));
    assert_eq!(owner(&bound.join("file")), 100_033, "not asked for");
    idshift.run(["rollback", "latest"]).exits(0);
    place.run(&idshift, "revert", &["--bind-mounts"]).exits(0);
    assert_eq!(owner(&bound.join("file")), 33);
}

#[test]
fn a_swarm_is_never_passed_over_in_silence() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    let swarm = host.data_root.join("swarm");
    fs::create_dir_all(swarm.join("worker")).unwrap();
    fs::write(swarm.join("docker-state.json"), "{}").unwrap();
    fs::write(swarm.join("worker/tasks.db"), "damaged").unwrap();
    for dry_run in [&["--dry-run"][..], &[]] {
        let told = migrate(&idshift, &host, &[&["--create-user"], dry_run].concat()).exits(0);
        told.says("This host is in a swarm: binds of services are seen only where a container of")
            .says("tasks.db: is not a bbolt file")
            .says("`docker service ls -q");
    }
    revert(&idshift, &host, &[])
        .exits(0)
        .says("This host is in a swarm");
}
