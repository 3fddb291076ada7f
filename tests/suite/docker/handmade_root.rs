//! A plain data-root made by hand, for `docker audit`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Idshift, Run, data_root, need_root};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data-root of a plain daemon.
pub(super) struct Root {
    pub(super) dir: TempDir,
    pub(super) containers: usize,
}

impl Root {
    pub(super) fn new() -> Root {
        need_root();
        // The range has to be there, as on a host that is about to use it.
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        data_root::empty(dir.path());
        Root { dir, containers: 0 }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(super) fn make(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(super) fn container(&mut self, name: &str, mut config: Value, hostconfig: Value) {
        self.containers += 1;
        let dir = self.make(&format!("containers/{:064x}", self.containers));
        config["Name"] = format!("/{name}").into();
        config["Driver"] = "overlay2".into();
        if config["Config"].is_null() {
            config["Config"] = json!({"User": "1000:1000"});
        }
        fs::write(dir.join("config.v2.json"), config.to_string()).unwrap();
        fs::write(dir.join("hostconfig.json"), hostconfig.to_string()).unwrap();
    }

    pub(super) fn audit(&self) -> (Option<i32>, Value) {
        let run = audit(&["--data-root", self.dir.path().to_str().unwrap(), "--json"]);
        let told = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run}"));
        (run.code, told)
    }
}

pub(super) fn audit(args: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    command.args(["docker", "audit", "--daemon-json", "/nonexistent"]);
    command.args(args);
    Run::of(&mut command)
}

pub(super) fn bind(source: &Path, rw: bool) -> Value {
    json!({"Type": "bind", "Source": source, "Destination": format!("/m{}", source.display()), "RW": rw})
}

pub(super) fn dir_of(above: &Path, name: &str) -> PathBuf {
    let path = above.join(name);
    fs::create_dir(&path).unwrap();
    path
}

pub(super) fn levels(told: &Value) -> Vec<String> {
    let findings = told["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|it| it["level"] != "ok");
    bad.map(|it| {
        format!(
            "{} {}: {}",
            it["level"].as_str().unwrap(),
            it["what"].as_str().unwrap(),
            it["found"].as_str().unwrap()
        )
    })
    .collect()
}
