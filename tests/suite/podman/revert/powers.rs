//! What a user wrote of a container gives nobody more of the host when root's Podman runs it: planted settings and files, each
//! refused, with the container's name, and with nothing changed.

use std::fs;

use serde_json::{Value, json};

use super::REVERT;
use super::stage::Stage;
use crate::podman::copy::unread;
use crate::support::docker::same;
use crate::support::podman_host::USER_STORE;

/// Settings, a line each: what it is, the member of the row, its value, and what the refusal names.
const SETTINGS: &str = include_str!("planted_settings.txt");

/// The row of the container, changed.
fn plant_in_row(stage: &Stage, table: &str, change: impl Fn(&str) -> String) {
    let file = stage.host.path(USER_STORE).join("db.sql");
    let database = rusqlite::Connection::open(file).unwrap();
    let sql = format!(
        "SELECT CAST(JSON AS TEXT) FROM {table} WHERE ID = (SELECT ID FROM ContainerConfig WHERE Name = 'one')"
    );
    let text: String = database.query_row(&sql, [], |row| row.get(0)).unwrap();
    let sql = format!(
        "UPDATE {table} SET JSON = ?1 WHERE ID = (SELECT ID FROM ContainerConfig WHERE Name = 'one')"
    );
    assert_eq!(
        database.execute(&sql, [change(&text).as_bytes()]).unwrap(),
        1
    );
}

/// Sets what a pointer leads to. What is above it is made.
fn set(text: &str, pointer: &str, value: &Value) -> String {
    let mut row: Value = serde_json::from_str(text).unwrap();
    let mut at = &mut row;
    for name in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(all) => &mut all[name.parse::<usize>().unwrap()],
            other => {
                if other.is_null() {
                    *other = json!({});
                }
                other
                    .as_object_mut()
                    .unwrap()
                    .entry(name)
                    .or_insert(Value::Null)
            }
        };
    }
    *at = value.clone();
    row.to_string()
}

/// Texts of a row that two readers take for different things: the beginning, and what the refusal says.
const TWICE: [(&str, &str); 2] = [
    (r#"{"privileged":true,"#, "twice"),
    (r#"{"spec":{"hooks":{}},"#, "twice"),
];

/// Files: a script in the user's store, and what the refusal says.
const FILES: [(&str, &str, &str); 12] = [
    (
        "a log that is a symlink",
        "cd overlay-containers/*/userdata; ln -s /etc/passwd ctr.log",
        "ctr.log: is not what Podman makes",
    ),
    (
        "a directory that is a symlink",
        "cd overlay-containers/*/; mv userdata /home/ann/u; ln -s /etc userdata",
        "userdata: is not what Podman makes",
    ),
    (
        "shared memory that is a symlink",
        "cd overlay-containers/*/userdata; rmdir shm; ln -s /etc shm",
        "shm: is not what Podman makes",
    ),
    (
        "a secret that is a symlink",
        "cd overlay-containers/*/userdata/secrets; rm -f word; ln -s /etc/shadow word",
        "secrets: is not what Podman makes",
    ),
    (
        "a log that a container writes to",
        "touch volumes/vol/_data/log; cd overlay-containers/*/userdata; ln /home/ann/.local/share/containers/storage/volumes/vol/_data/log ctr.log",
        "ctr.log: is not what Podman makes",
    ),
    (
        "what Podman does not make",
        "cd overlay-containers/*/userdata; mkdir overlay",
        "overlay: is not what Podman makes",
    ),
    (
        "a directory that everybody enters",
        "chmod 711 overlay-containers/*/userdata",
        "has mode 0711",
    ),
    (
        "a container that Podman does not know",
        "mkdir overlay-containers/0123",
        "belongs to no container",
    ),
    (
        "a layer that is a path",
        "sed -i 's/\"layer\":\"[^\"]*\"/\"layer\":\"..\\/..\\/etc\"/' overlay-containers/containers.json",
        "has \"layer\" of",
    ),
    (
        "a label in the list",
        "sed -i 's/\"MountLabel\":\"\"/\"MountLabel\":\"x\"/' overlay-containers/containers.json",
        "has \"flags\" of",
    ),
    (
        "a container of another program",
        "sed -i 's/\"names\":\\[\"one\"/\"names\":[\"two\"/' overlay-containers/containers.json",
        "`podman rm two`",
    ),
    (
        "a list that is a symlink",
        "mv overlay-containers/containers.json /home/ann/c; ln -s /home/ann/c overlay-containers/containers.json",
        "containers.json",
    ),
];

/// States of a container: JSON, and what the refusal says.
const STATES: [(&str, &str); 3] = [
    (r#"{"state":3,"pid":1}"#, "`podman stop` did not end it"),
    (r#"{"state":6,"State":3}"#, "twice"),
    ("{}", "`podman stop` did not end it"),
];

impl Stage {
    /// The run and the dry run say so, and nothing is changed. What is otherwise.
    fn refuses(&self, what: &str, said: &str) -> Option<String> {
        let there = self.state();
        let mut wrong = None;
        for more in [&["--dry-run"][..], &[]] {
            let run = self.idshift.run([&REVERT[..], more].concat());
            if run.code != Some(4) || !run.stderr.contains(said) {
                wrong = Some(format!("{what}: not refused because of {said}: {run}"));
            }
        }
        match wrong {
            None => same(&there, &self.state(), what),
            Some(_) => self.restore(),
        }
        wrong
    }

    fn keep(&self) {
        let run = self.host.sh("cp -a /home/ann /var/kept");
        assert_eq!(run.code, Some(0), "{run}");
    }

    /// The database as it was.
    fn restore_rows(&self) {
        let kept = USER_STORE.replace("/home/ann", "/var/kept");
        let [from, to] =
            [kept.as_str(), USER_STORE].map(|store| self.host.path(store).join("db.sql"));
        fs::copy(from, to).unwrap();
    }

    fn restore(&self) {
        let script = "rm -rf /home/ann; cp -a /var/kept /home/ann; find /var/lib/containers -mindepth 1 -delete; mkdir -p /var/lib/containers/storage";
        let run = self.host.sh(script);
        assert_eq!(run.code, Some(0), "{run}");
    }
}

fn none_is_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_setting_of_a_users_container_reaches_the_host() {
    let stage = Stage::new("podman rm two");
    stage.keep();
    stage.restore();
    let mut wrong = Vec::new();
    for line in SETTINGS.lines() {
        let [what, pointer, value, said] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let value: Value = serde_json::from_str(value).unwrap();
        plant_in_row(&stage, "ContainerConfig", |text| set(text, pointer, &value));
        wrong.extend(stage.refuses(what, said));
        stage.restore_rows();
    }
    for (begin, said) in TWICE {
        plant_in_row(&stage, "ContainerConfig", |text| {
            text.replacen('{', begin, 1)
        });
        wrong.extend(stage.refuses(begin, said));
        stage.restore_rows();
    }
    for (state, said) in STATES {
        plant_in_row(&stage, "ContainerState", |_| state.to_string());
        wrong.extend(stage.refuses(state, said));
        stage.restore_rows();
    }
    none_is_wrong(&wrong);
}

#[test]
fn no_file_of_a_users_container_leads_elsewhere() {
    let stage = Stage::new("podman rm two");
    stage.keep();
    stage.restore();
    let mut wrong = Vec::new();
    for (what, script, said) in FILES {
        stage.plant_as_user(script);
        wrong.extend(stage.refuses(what, said));
        stage.restore();
    }
    none_is_wrong(&wrong);
    stage.plant_as_user("echo '{}' > $(echo overlay-containers/*/userdata)/buildah.json");
    let there = stage.state();
    stage.idshift.run(REVERT).exits(0);
    let found = stage
        .host
        .sh("find /var/lib/containers /home/ann -name '*buildah.json'")
        .text();
    assert!(
        found.starts_with(&format!("{USER_STORE}/idshift-aside-containers/")),
        "{found}"
    );
    stage.idshift.run(["rollback", "latest"]).exits(0);
    same(&unread(&there), &unread(&stage.state()), "a rollback");
}
