//! `check` and `prepare` of what services mount: parts of volumes, what is missing, and what a remapped daemon refuses.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::Run;
use crate::support::compose::{By, Project};
use crate::support::docker::same;
use crate::support::sh;
use crate::support::volume::{directory, snapshot};

fn uid(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

const BOTH: [By; 2] = [By::Docker, By::Idshift];

#[test]
fn a_part_of_a_volume_is_not_the_whole_of_it() {
    let project = Project::new();
    let data = directory(&project.at("data"), (0, 0), 0o755);
    for name in ["web", "db", "deep/a"] {
        directory(&data.join(name), (0, 0), 0o755);
    }
    let before = snapshot(&data);
    let device = data.display().to_string();
    let text = format!(
        "services:
  web: {{image: w, user: '33:33', volumes: [{{type: volume, source: data, target: /w, volume: {{subpath: ./web/}}}}]}}
  db: {{image: d, user: '999:999', volumes: [{{type: volume, source: made, target: /d, volume: {{subpath: deep/a}}}}]}}
volumes:
  data: {{driver_opts: {{type: none, o: bind, device: {device}}}}}
  made: {{external: true, name: made}}
"
    );
    project.write("compose.yaml", &text);
    let options = format!(r#"{{"MountType":"none","MountOpts":"bind","MountDevice":"{device}"}}"#);
    project.write("docker/volumes/made/opts.json", &options);
    let root = project.at("docker").display().to_string();
    let compose = ["--compose", "compose.yaml", "--data-root", &root];
    for by in BOTH {
        let found = project.checked(by, &compose);
        let of =
            |who: &str, path: &str, target: &str| format!("{who} {device}/{path} {target} false");
        let wanted = [
            of("db 999:999", "deep/a", "/d"),
            of("web 33:33", "web", "/w"),
        ];
        assert_eq!(found, wanted, "{by:?}");
        project
            .run(by, &[&["prepare"], &compose[..]].concat())
            .exits(0);
        for (path, owner) in [
            ("web", 100_033),
            ("db", 0),
            ("deep", 0),
            ("deep/a", 100_999),
            ("", 0),
        ] {
            assert_eq!(uid(&data.join(path)), owner, "{by:?} {path}");
        }
        project.idshift.run(["rollback", "latest"]).exits(0);
        same(&before, &snapshot(&data), "after a rollback");
    }
    for (key, subpath) in [("volume-subpath", "web"), ("subpath", "deep/a")] {
        let line =
            format!("docker run -u 1:1 --mount type=volume,src=made,dst=/x,{key}={subpath} i");
        let found = project.checked(By::Idshift, &["--run", &line, "--data-root", &root]);
        assert_eq!(found, [format!("run 1:1 {device}/{subpath} /x false")]);
    }
}

/// Docker refuses these, too.
#[test]
fn a_part_outside_of_its_volume_is_refused() {
    let project = Project::new();
    let data = directory(&project.at("data"), (0, 0), 0o755);
    let elsewhere = directory(&project.at("elsewhere/dir"), (0, 0), 0o755);
    symlink(elsewhere.parent().unwrap(), data.join("link")).unwrap();
    // A file that says it is refused; what a symlink does is a fault of one row.
    for (subpath, words, code) in [
        ("../elsewhere", "stay in the volume", 4),
        ("link/dir", "out of its volume", 3),
    ] {
        let text = format!(
            "services: {{web: {{image: w, user: '33:33', volumes: [{{type: volume, source: data, target: /w, volume: {{subpath: {subpath}}}}}]}}}}
volumes: {{data: {{driver_opts: {{type: none, o: bind, device: {}}}}}}}
",
            data.display()
        );
        project.write("compose.yaml", &text);
        for by in BOTH {
            let refused = project
                .run(by, &["prepare", "--compose", "compose.yaml"])
                .exits(4);
            assert!(refused.stderr.contains(words), "{by:?}: {refused}");
            let check = ["check", "--compose", "compose.yaml"];
            let checked = project.run(by, &check).exits(code);
            assert!(
                (checked.text() + &checked.stderr).contains(words),
                "{checked}"
            );
        }
    }
    assert_eq!(uid(&elsewhere), 0);
}

/// A `docker compose` that prints this.
fn stand_in(project: &Project, version: &str, config: &str) {
    let json = project.write("config.json", config);
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *version*) echo {version};; *) cat {};; esac\n",
        json.display()
    );
    let path = project.write("bin/docker", &script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// From compose-go 2.10 on `create_host_path` is left out where it is true; before, where it is false.
#[test]
fn what_is_left_out_is_read_as_that_version_means_it() {
    let project = Project::new();
    let dir = project.place.path().display().to_string();
    project.write("compose.yaml", "{}");
    let config = |bind: &str| {
        format!(
            r#"{{"services":{{"web":{{"image":"w","user":"1:1","volumes":[{{"type":"bind","source":"{dir}/logs","target":"/l"{bind}}}]}}}}}}"#
        )
    };
    for (version, bind, is_made) in [
        ("5.0.0", r#","bind":{}"#, true),
        ("v5.1.2", r#","bind":{}"#, true),
        ("5.0.0", "", true),
        ("5.0.0", r#","bind":{"create_host_path":false}"#, false),
        ("2.26.1-4", r#","bind":{}"#, false),
        ("2.26.1-4", "", false),
        ("v2.40.0", "", true),
        ("2.40.0", r#","bind":{}"#, false),
        ("2.26.1-4", r#","bind":{"create_host_path":true}"#, true),
    ] {
        stand_in(&project, version, &config(bind));
        let run = project.run(
            By::Docker,
            &["prepare", "--create", "--compose", "compose.yaml"],
        );
        let code = if is_made { 0 } else { 4 };
        assert_eq!(run.code, Some(code), "{version} {bind}: {run}");
        if is_made {
            fs::remove_dir(project.at("logs")).unwrap();
        }
    }
}

/// The long syntax without `create_host_path`, as the specification has it.
#[test]
fn the_long_syntax_makes_its_source_by_default() {
    let project = Project::new();
    for bind in ["", ", bind: {propagation: rslave}"] {
        let text = format!(
            "services: {{web: {{image: w, user: '1:1', volumes: [{{type: bind, source: ./logs, target: /l{bind}}}]}}}}"
        );
        project.write("compose.yaml", &text);
        let prepare = ["prepare", "--create", "--compose", "compose.yaml"];
        project.run(By::Idshift, &prepare).exits(0);
        fs::remove_dir(project.at("logs")).unwrap();
    }
}

#[test]
fn what_a_remapped_daemon_does_not_start_is_refused() {
    let project = Project::new();
    directory(&project.at("d"), (100_001, 100_001), 0o755);
    let check = ["check", "--compose", "compose.yaml"];
    for (more, flags, words) in [
        ("privileged: true", "--privileged", "is privileged"),
        ("network_mode: host", "--network=host", "the host's network"),
        (
            "network_mode: host",
            "--net name=host",
            "the host's network",
        ),
        ("pid: host", "--pid host", "the host's processes"),
        ("ipc: host", "--ipc=host", "the host's IPC"),
        (
            "devices: ['/dev/null:/dev/zero2:r']",
            "--device /dev/null:/dev/zero2",
            "under another path",
        ),
    ] {
        let service = format!(
            "services: {{web: {{image: w, user: '1:1', volumes: ['./d:/d'], {more}}}, db: {{image: d, user: '1:1', volumes: ['./d:/d']}}}}"
        );
        project.write("compose.yaml", &service);
        for by in BOTH {
            for command in ["check", "prepare"] {
                let refused = project
                    .run(by, &[command, "--compose", "compose.yaml"])
                    .exits(4);
                for words in [words, "userns_mode: host", "alone: --service db"] {
                    assert!(refused.stderr.contains(words), "{by:?} {words}: {refused}");
                }
            }
            project
                .run(by, &[&check[..], &["--service", "db"]].concat())
                .exits(0);
            // Rootless Docker starts it.
            let rootless = ["--map", "b:0:1000:1", "--map", "b:1:100000:65536"];
            let args = [&check[..], &rootless].concat();
            Run::of(&mut project.command(by, &args)).exits(3);
        }
        let line = format!("docker run {flags} -v ./d:/d -u 1:1 w");
        let refused = project
            .run(By::Idshift, &["check", "--run", &line])
            .exits(4);
        assert!(refused.stderr.contains(words), "{refused}");
        assert!(refused.stderr.contains("--userns=host"), "{refused}");
    }
    // All of them are named at once.
    let several = "services:
  one: {image: w, user: '1:1', volumes: ['./d:/d'], privileged: true}
  two: {image: w, user: '1:1', volumes: ['./d:/d'], userns_mode: host}
  three: {image: w, user: '1:1', volumes: ['./d:/d']}
  four: {image: w, user: '1:1', volumes: ['./d:/d']}
";
    project.write("compose.yaml", several);
    for by in BOTH {
        let refused = project.run(by, &check).exits(4);
        for words in [
            "service one: it is privileged",
            "service two: it has the host's",
        ] {
            assert!(refused.stderr.contains(words), "{by:?} {words}: {refused}");
        }
        let told = refused
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let others = [
            "--service three --service four",
            "--service four --service three",
        ];
        assert!(others.iter().any(|words| told.contains(words)), "{refused}");
    }
    // Who shares a namespace with such a one does not start either; who has no binds does not matter.
    let joined = "services:
  one: {image: w, network_mode: host, privileged: true}
  two: {image: w, user: '1:1', volumes: ['./d:/d'], network_mode: 'service:one'}
";
    project.write("compose.yaml", joined);
    for by in BOTH {
        let refused = project.run(by, &check).exits(4);
        assert!(
            refused.stderr.contains("shares a namespace with one"),
            "{refused}"
        );
    }
    project.write("compose.yaml", &joined.replace("'service:one'", "bridge"));
    for by in BOTH {
        project.run(by, &check).exits(0);
    }
    for flags in [
        "--privileged=false",
        "--network=own --pid=container:x --ipc=private --device /dev/null:r",
    ] {
        let line = format!("docker run {flags} -v ./d:/d -u 1:1 w");
        project
            .run(By::Idshift, &["check", "--run", &line])
            .exits(0);
    }
}

#[test]
fn what_docker_does_not_make_a_check_does_not_advise_to_make() {
    let project = Project::new();
    let device = project.at("volume").display().to_string();
    for (mounts, words) in [
        ("secrets: [s]", "has to be a file"),
        ("volumes: ['vol:/v']", "create it first, `mkdir -p "),
        (
            "volumes: [{type: bind, source: ./bind, target: /b, bind: {create_host_path: false}}]",
            "create it first, `mkdir -p ",
        ),
    ] {
        let text = format!(
            "services: {{w: {{image: w, user: '33:33', {mounts}}}}}
secrets: {{s: {{file: ./password}}}}
volumes: {{vol: {{driver_opts: {{type: none, o: bind, device: {device}}}}}}}
"
        );
        project.write("compose.yaml", &text);
        for by in BOTH {
            let checked = project
                .run(by, &["check", "--compose", "compose.yaml"])
                .exits(3);
            assert!(checked.text().contains(words), "{by:?}: {checked}");
            for wrong in ["Docker would make it", "idshift prepare"] {
                assert!(!checked.text().contains(wrong), "{by:?} {wrong}: {checked}");
            }
        }
    }
}

#[test]
fn a_missing_directory_is_not_shared_by_an_option_that_share_refuses() {
    let project = Project::new();
    let up = directory(&project.at("up"), (1000, 1000), 0o755);
    let text = "services: {w: {image: w, user: '33:33', volumes: ['./up:/up', './up/inner:/in', './logs:/logs']}}";
    project.write("compose.yaml", text);
    let share = ["prepare", "--share", "--compose", "compose.yaml"];
    directory(&up.join("inner"), (1000, 1000), 0o755);
    let refused = project.run(By::Idshift, &share).exits(4);
    assert!(refused.stderr.contains("install -d -o USER"), "{refused}");
    assert!(!refused.stderr.contains("--create"), "{refused}");
    directory(&project.at("logs"), (1000, 1000), 0o755);
    let inner = up.join("inner");
    sh("mount", ["-t", "tmpfs", "none", inner.to_str().unwrap()]);
    let refused = project.run(By::Idshift, &share).exits(4);
    sh("umount", [&inner]);
    assert!(refused.stderr.contains("in a run of its own"), "{refused}");
    assert!(!refused.stderr.contains("--cross-mounts"), "{refused}");
    project.run(By::Idshift, &share).exits(0);
}

/// The image is looked up there by `prepare` as well.
#[test]
fn what_a_check_advises_looks_where_the_check_did() {
    let project = Project::new();
    directory(&project.at("d"), (0, 0), 0o755);
    let text = "services: {w: {image: w, user: '33:33', volumes: ['./d:/d']}}";
    project.write("compose.yaml", text);
    let root = project.at("docker").display().to_string();
    let json = project.write("daemon.json", &format!(r#"{{"data-root": "{root}"}}"#));
    let advice = format!("--compose compose.yaml --data-root {root}");
    for option in [
        ["--data-root", &root],
        ["--daemon-json", json.to_str().unwrap()],
    ] {
        let args = [&["check", "--compose", "compose.yaml"], &option[..]].concat();
        let checked = project.run(By::Idshift, &args).exits(3);
        assert!(checked.text().contains(&advice), "{checked}");
    }
    let plain = project
        .run(By::Idshift, &["check", "--compose", "compose.yaml"])
        .exits(3);
    assert!(!plain.text().contains("--data-root"), "{plain}");
}
