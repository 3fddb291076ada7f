//! A Compose project, resolved by Docker Compose and by the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::engine_host::Release;
use super::volume::{directory, place};
use super::{Idshift, MAP, Run};

/// The plugin of the newest host, which runs without the host.
pub fn docker_compose() -> Command {
    let host = Release::Trixie.system();
    let mut command = Command::new(host.join("lib64/ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(host.join("usr/lib/x86_64-linux-gnu"))
        .arg(host.join("usr/libexec/docker/cli-plugins/docker-compose"));
    command
}

/// A directory for PATH with a `docker` that has `compose`, and no daemon.
pub fn docker_with_compose(dir: &Path) -> PathBuf {
    let bin = directory(&dir.join("bin"), (0, 0), 0o755);
    let words = docker_compose();
    let all: Vec<String> = std::iter::once(words.get_program())
        .chain(words.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!("#!/bin/sh\nshift\nexec {} \"$@\"\n", all.join(" "));
    fs::write(bin.join("docker"), script).unwrap();
    fs::set_permissions(bin.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

/// Who resolves the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Docker,
    Idshift,
}

/// A project, and programs to look at it.
pub struct Project {
    pub place: tempfile::TempDir,
    pub idshift: Idshift,
    pub bin: PathBuf,
}

impl Project {
    pub fn new() -> Project {
        let place = place();
        let bin = docker_with_compose(place.path());
        Project {
            idshift: Idshift::new(),
            bin,
            place,
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// With the usual map.
    pub fn run(&self, by: By, args: &[&str]) -> Run {
        Run::of(self.command(by, args).args(["--map", MAP]))
    }

    pub fn command(&self, by: By, args: &[&str]) -> Command {
        let mut command = Command::new(Idshift::program());
        let none = self.at("none");
        let path = match by {
            By::Docker => &self.bin,
            By::Idshift => &none,
        };
        command
            .args(args)
            .current_dir(self.place.path())
            .env(
                "PATH",
                format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", path.display()),
            )
            .env("HOME", self.place.path())
            .env("FROM_ENV", "env");
        if by == By::Idshift {
            command.env("PATH", &none);
        }
        if args[0] == "prepare" {
            command.arg("--journal-dir").arg(self.idshift.journals());
        }
        command
    }

    /// `service user source target ro` of each bind, sorted, as `check` says it.
    pub fn checked(&self, by: By, args: &[&str]) -> Vec<String> {
        let run = self.run(by, &[&["check", "--json"], args].concat());
        assert!(matches!(run.code, Some(0 | 3)), "{by:?}: {run}");
        let told = run.json();
        let mut lines = Vec::new();
        for service in told["services"].as_array().unwrap() {
            let (uid, gid) = (&service["as"]["uid"], &service["as"]["gid"]);
            for bind in service["binds"].as_array().unwrap() {
                let word = |key: &str| bind[key].as_str().unwrap().to_string();
                let ro = bind["read_only"].as_bool().unwrap();
                let name = service["service"].as_str().unwrap();
                let (source, target) = (word("source"), word("target"));
                lines.push(format!("{name} {uid}:{gid} {source} {target} {ro}"));
            }
        }
        lines.sort();
        lines
    }

    /// The same, from what Docker Compose itself prints.
    pub fn real(&self, args: &[&str]) -> Vec<String> {
        let args = args.join(" ").replace("--compose", "-f");
        let mut command = docker_compose();
        command
            .args(args.split(' '))
            .args(["config", "--format", "json"])
            .current_dir(self.place.path())
            .env("HOME", self.place.path())
            .env("FROM_ENV", "env");
        let run = Run::of(&mut command).exits(0);
        let project = run.json();
        let mut lines = Vec::new();
        for (name, service) in project["services"].as_object().unwrap() {
            let user = service["user"].as_str().unwrap_or_default();
            let mut add = |source: &Value, target: &str, ro: bool| {
                let source = source.as_str().unwrap().replace("$$", "$");
                lines.push(format!("{name} {user} {source} {target} {ro}"));
            };
            for volume in service["volumes"].as_array().into_iter().flatten() {
                let target = volume["target"].as_str().unwrap();
                let ro = volume["read_only"] == true;
                if volume["type"] == "bind" {
                    add(&volume["source"], target, ro);
                }
                let named = &project["volumes"][volume["source"].as_str().unwrap_or_default()];
                if volume["type"] == "volume" && named["driver_opts"]["o"] == "bind" {
                    add(&named["driver_opts"]["device"], target, ro);
                }
            }
            for secret in service["secrets"].as_array().into_iter().flatten() {
                let source = secret["source"].as_str().unwrap();
                let target = secret["target"].as_str().unwrap_or(source);
                let target = Path::new("/run/secrets").join(target);
                let file = &project["secrets"][source]["file"];
                add(file, target.to_str().unwrap(), true);
            }
        }
        lines.sort();
        lines
    }
}

/// A project of every kind of bind.
pub const BASE: &str = r#"
name: some-Project
x-common: &common
  user: "33:33"
services:
  web:
    <<: *common
    image: nginx
    volumes:
      - ./html:/www:ro
      - ../up/./x/:/up/
      - ~/x:/x
      - named:/n
      - bound:/b
      - /anonymous
      - {type: bind, source: rel, target: /rel, read_only: true}
      - {type: bind, source: /long, target: /long, bind: {create_host_path: true}}
      - {type: tmpfs, target: /t}
      - "/pay$$load:/p"
      - ${DATA:-/d/${FROM_ENV}}/z:/z
      - ${FROM_FILE}/w:/w:ro,z
      - $QUOTED/v:/v
    environment: {NOT_OURS: "$NOT_SET"}
    secrets: [key, {source: key, target: other}]
  ext:
    extends: {service: base, file: sub/x.yaml}
    user: "${NOBODY-5}:6"
    volumes: ["./own:/e", "./own2:/own2", "./own3:/own2/"]
    profiles: [p]
  three:
    image: z
    user: "3:3"
    profiles: [q]
    volumes: ["/q:/q"]
volumes:
  named:
  bound: {driver_opts: {type: none, o: bind, device: /dev1/x}}
secrets:
  key: {file: ./key.txt}
"#;

pub const EXTENDED: &str = "
services:
  base: {user: '7:7', extends: deep, volumes: ['./d:/d']}
  deep: {image: z, volumes: ['../e:/e', '../f:/f:ro']}
";

pub const OVER: &str = "
services:
  web: {volumes: ['./over:/www', './rel2:/added']}
  more: {extends: {service: deep, file: ./sub/x.yaml}, user: '9:9', volumes: ['./f:/f']}
";
