//! `check` and `prepare` of Compose files and `docker run` command lines.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::support::compose::{BASE, By, EXTENDED, OVER, Project};
use crate::support::docker::same;
use crate::support::need_root;
use crate::support::volume::{directory, snapshot};

#[test]
fn binds_and_users_are_those_of_docker_compose() {
    let project = Project::new();
    project.write("a.yaml", BASE);
    project.write("b.yaml", OVER);
    project.write("sub/x.yaml", EXTENDED);
    project.write(
        ".env",
        "# c\nFROM_FILE=/file # c\nFROM_ENV=other\nexport QUOTED=\"/q${FROM_FILE}\"\n",
    );
    for args in [
        &["--compose", "a.yaml"][..],
        &["--compose", "a.yaml", "--compose", "b.yaml"],
        &["--compose", "a.yaml", "--profile", "p"],
        &[
            "--compose",
            "a.yaml",
            "--compose",
            "b.yaml",
            "--profile",
            "p",
            "--profile",
            "q",
        ],
    ] {
        let real = project.real(args);
        assert!(real.len() > 10, "{real:?}");
        assert_eq!(project.checked(By::Docker, args), real, "{args:?}");
        assert_eq!(project.checked(By::Idshift, args), real, "{args:?}");
    }
    let three = ["--compose", "a.yaml", "--service", "three"];
    for by in [By::Docker, By::Idshift] {
        assert_eq!(project.checked(by, &three), ["three 3:3 /q /q false"]);
    }
}

#[test]
fn what_is_not_known_is_refused_and_named() {
    let project = Project::new();
    let service = |volumes: &str, more: &str| {
        format!("services:\n  web:\n    image: none:1\n{more}    volumes: [\"{volumes}\"]\n")
    };
    let cases = [
        (
            "${NOT_SET}/app:/app",
            "    user: '1:1'\n",
            "variable NOT_SET is not set",
        ),
        ("./a:/a", "    user: '1'\n", "service web: "),
        ("./a:/a", "", "there is no image none:1"),
        (
            "./a:/a",
            "    user: '1:1'\n    userns_mode: host\n",
            "does not remap it",
        ),
    ];
    for (volumes, more, wanted) in cases {
        project.write("c.yaml", &service(volumes, more));
        for by in [By::Docker, By::Idshift] {
            for command in ["check", "prepare"] {
                let root = project.place.path().to_str().unwrap();
                let args = [command, "--compose", "c.yaml", "--data-root", root];
                let run = project.run(by, &args).exits(4);
                assert!(run.stderr.contains(wanted), "{by:?}: {run}");
            }
        }
    }
    project.write("c.yaml", "services: {web: {volumes: [3");
    for by in [By::Docker, By::Idshift] {
        let run = project.run(by, &["check", "--compose", "c.yaml"]).exits(4);
        assert!(run.stderr.contains("c.yaml"), "{run}");
    }
    for args in [
        &["check", "/srv", "--compose", "c.yaml"][..],
        &["check", "--compose", "c.yaml", "--as", "1:1"],
        &["check", "--compose", "c.yaml", "--run", "docker run x"],
        &["prepare", "--compose", "c.yaml", "--owner", "1:1"],
        &["prepare", "/srv", "--run", "docker run x"],
        &["prepare", "--service", "web", "/srv"],
        &["check", "--run", "docker run x", "--profile", "p"],
    ] {
        project.run(By::Idshift, args).exits(2);
    }
}

#[test]
fn all_binds_are_checked_and_prepared_in_one_run() {
    let project = Project::new();
    let data = directory(&project.at("data"), (0, 0), 0o755);
    directory(&data.join("db"), (0, 0), 0o700);
    fs::write(data.join("db/table"), "x").unwrap();
    directory(&data.join("web/sub"), (1000, 1000), 0o750);
    directory(&data.join("fine"), (100_033, 100_033), 0o700);
    project.write(
        "compose.yaml",
        "services:
  db: {image: d, user: '999:998', volumes: ['./data/db:/var/lib/db', './data/new/dir:/new']}
  web:
    image: w
    user: '33:33'
    volumes: ['./data/web:/www', './data/web/sub:/sub:ro', './data/fine:/fine', 'named:/n', '/etc/passwd:/etc/passwd:ro', './data/socket:/socket']
volumes: {named: }
",
    );
    let _listening = UnixListener::bind(data.join("socket")).unwrap();
    let before = snapshot(&data);
    let compose = ["--compose", "compose.yaml"];
    let checked = project
        .run(By::Idshift, &["check", "--compose", "compose.yaml"])
        .exits(3);
    let text = checked.text();
    for wanted in [
        "db       ",
        "cannot use it: search: Permission denied",
        "can use it",
        "is not there",
        "web  /n is not a host path: volume named",
        "--compose compose.yaml --create",
    ] {
        assert!(text.contains(wanted), "{wanted}: {checked}");
    }
    same(&before, &snapshot(&data), "after a check");

    let refused = project
        .run(By::Idshift, &["prepare", "--compose", "compose.yaml"])
        .exits(4);
    assert!(refused.stderr.contains("--create creates it"), "{refused}");
    let prepare = ["prepare", "--create"];
    let manifest = project.at("manifest");
    let dry = ["--dry-run", "--manifest", manifest.to_str().unwrap()];
    project
        .run(By::Idshift, &[&prepare[..], &compose, &dry].concat())
        .exits(0);
    same(&before, &snapshot(&data), "after a dry run");
    let run = project
        .run(By::Docker, &[&prepare[..], &compose, &["--json"]].concat())
        .exits(0);
    let told = run.json();
    assert_eq!(told["binds"].as_array().unwrap().len(), 7, "{told}");
    assert!(run.stderr.contains("left as it is: is a socket"), "{run}");
    assert_eq!(project.idshift.journal_files().len(), 1);
    let owner = |name: &str| {
        let found = fs::symlink_metadata(data.join(name)).unwrap();
        (found.uid(), found.gid())
    };
    for name in ["db", "db/table", "new/dir"] {
        assert_eq!(owner(name), (100_999, 100_998), "{name}");
    }
    for name in ["web", "web/sub", "fine"] {
        assert_eq!(owner(name), (100_033, 100_033), "{name}");
    }
    assert_eq!(owner("new"), (0, 0));
    assert_eq!(owner("socket"), (0, 0));
    let services = ["--service", "db"];
    project
        .run(By::Docker, &[&["check"], &compose[..], &services].concat())
        .exits(0);
    project.idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(&data), "after a rollback");
}

#[test]
fn one_path_of_two_users_is_refused_before_anything() {
    let project = Project::new();
    let data = directory(&project.at("data"), (0, 0), 0o755);
    directory(&data.join("shared/inner"), (0, 0), 0o755);
    std::os::unix::fs::symlink("shared", data.join("link")).unwrap();
    let before = snapshot(&data);
    let services = |one: &str, other: &str| {
        let text = format!(
            "services:\n  one: {{image: a, user: '1:1', volumes: ['{one}:/x']}}\n  two: {{image: b, user: '2:2', volumes: ['{other}:/x']}}\n"
        );
        project.write("compose.yaml", &text);
    };
    for (one, other) in [
        ("./data/shared", "./data/shared"),
        ("./data/shared", "./data/shared/inner"),
        ("./data/shared/inner", "./data/shared"),
        ("./data/shared", "./data/link/inner"),
        ("./data/shared", "./data/shared/new"),
    ] {
        services(one, other);
        let args = ["prepare", "--create", "--compose", "compose.yaml"];
        let run = project.run(By::Idshift, &args).exits(4);
        for wanted in [
            "service one (as 1:1)",
            "service two (as 2:2)",
            "--service",
            "idshift mount",
        ] {
            assert!(run.stderr.contains(wanted), "{one} {other}: {run}");
        }
    }
    services("./data/shared", "./data/link");
    let args = ["prepare", "--compose", "compose.yaml"];
    let run = project.run(By::Idshift, &args).exits(4);
    assert!(run.stderr.contains("is a symlink to"), "{run}");
    same(&before, &snapshot(&data), "after refusals");
    let one = ["prepare", "--compose", "compose.yaml", "--service", "one"];
    project.run(By::Idshift, &one).exits(0);
    assert_eq!(
        fs::metadata(data.join("shared/inner")).unwrap().uid(),
        100_001
    );
}

#[test]
fn a_file_linked_into_the_trees_of_two_users_is_refused() {
    let project = Project::new();
    let data = directory(&project.at("data"), (0, 0), 0o755);
    for name in ["one", "two", "two/deep"] {
        directory(&data.join(name), (0, 0), 0o755);
    }
    fs::write(data.join("one/file"), "x").unwrap();
    fs::hard_link(data.join("one/file"), data.join("two/deep/file")).unwrap();
    let text = |two: u32| {
        format!(
            "services:\n  one: {{image: a, user: '1:1', volumes: ['./data/one:/x']}}\n  two: {{image: b, user: '{two}:{two}', volumes: ['./data/two:/x']}}\n"
        )
    };
    project.write("compose.yaml", &text(2));
    let before = snapshot(&data);
    let args = ["prepare", "--compose", "compose.yaml"];
    let run = project.run(By::Idshift, &args).exits(1);
    assert!(run.stderr.contains("different owners"), "{run}");
    same(&before, &snapshot(&data), "after a refusal");
    let allowed = [&args[..], &["--allow-outside-links"]].concat();
    project.run(By::Idshift, &allowed).exits(2);
    project.write("compose.yaml", &text(1));
    project.run(By::Idshift, &args).exits(0);
    assert_eq!(fs::metadata(data.join("one/file")).unwrap().uid(), 100_001);
}

#[test]
fn a_pasted_docker_run_is_checked_and_prepared() {
    let project = Project::new();
    let app = directory(&project.at("app"), (0, 0), 0o700);
    fs::write(app.join("file"), "x").unwrap();
    chown(app.join("file"), Some(5), Some(5)).unwrap();
    let command =
        "docker run --rm -it -v ./app:/app -v data:/d -u 33:34 image:1 sh -c 'x -v /no:/no'";
    let checked = project
        .run(By::Idshift, &["check", "--run", command])
        .exits(3);
    assert!(checked.text().contains("cannot use it"), "{checked}");
    let run = project
        .run(By::Idshift, &["prepare", "--run", command])
        .exits(0);
    assert!(run.stderr.contains("for 33:34"), "{run}");
    for path in [app.clone(), app.join("file")] {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (100_033, 100_034));
    }
    project
        .run(By::Idshift, &["check", "--run", command])
        .exits(0);
    let host = "docker run --userns=host -v ./app:/app -u 1:1 image:1";
    for args in [["check", "--run", host], ["prepare", "--run", host]] {
        let run = project.run(By::Idshift, &args).exits(4);
        assert!(run.stderr.contains("does not remap it"), "{run}");
    }
}

#[test]
fn an_override_that_docker_would_take_is_told() {
    let project = Project::new();
    let text = "services: {a: {image: i, user: '1:1'}}";
    let is_told = |name: &str| {
        let file = project.write(name, text);
        let args = ["check", "--compose", file.to_str().unwrap()];
        let run = project.run(By::Idshift, &args).exits(0);
        run.stderr.contains("compose.override.yml is there too")
    };
    assert!(!is_told("compose.yaml"));
    project.write("compose.override.yml", "{}");
    assert!(is_told("compose.yaml"));
    // Compose puts it over files with one of its own names only.
    assert!(!is_told("other.yaml"));
}

/// Such a volume was made before, by `docker volume create --opt o=bind`.
#[test]
fn a_volume_that_is_there_and_binds_a_host_path_is_checked() {
    let project = Project::new();
    let files = project.at("files").display().to_string();
    let root = project.at("docker").display().to_string();
    for (name, options) in [
        (
            "named",
            format!(r#"{{"MountType":"none","MountOpts":"bind","MountDevice":"{files}"}}"#),
        ),
        (
            "some_mine",
            format!(r#"{{"MountType":"","MountOpts":"ro,rbind","MountDevice":"{files}"}}"#),
        ),
        (
            "nfs",
            r#"{"MountType":"nfs","MountOpts":"addr=10.0.0.1","MountDevice":":/a"}"#.into(),
        ),
        ("small", r#"{"Quota":{"Size":1024}}"#.into()),
    ] {
        project.write(&format!("docker/volumes/{name}/opts.json"), &options);
    }
    let text = "
name: some
services:
  a: {image: i, user: '1:1', volumes: ['data:/d:ro', 'mine:/m', 'net:/n', 'sml:/s', 'absent:/x']}
volumes: {data: {external: true, name: named}, mine: {}, net: {name: nfs}, sml: {name: small}, absent: {}}
";
    let file = project.write("compose.yaml", text);
    let file = file.to_str().unwrap();
    for by in [By::Docker, By::Idshift] {
        let found = project.checked(by, &["--compose", file, "--data-root", &root]);
        let at = |target: &str, ro: bool| format!("a 1:1 {files} {target} {ro}");
        assert_eq!(found, [at("/d", true), at("/m", false)], "{by:?}");
    }
    let run = "docker run -u 1:1 -v named:/a -v nfs:/n --mount src=named,dst=/b i";
    let found = project.checked(By::Idshift, &["--run", run, "--data-root", &root]);
    let at = |target: &str| format!("run 1:1 {files} {target} false");
    assert_eq!(found, [at("/a"), at("/b")]);
}

/// A path of one service lies in that of another one with another user: `prepare` refuses, and `check` says why.
#[test]
fn check_does_not_advise_what_prepare_refuses() {
    let project = Project::new();
    fs::create_dir_all(project.at("a")).unwrap();
    fs::write(project.at("a/f"), "").unwrap();
    fs::set_permissions(project.at("a"), fs::Permissions::from_mode(0o700)).unwrap();
    let text = "services:
  one: {image: i, user: '999:999', volumes: ['./a:/a']}
  two: {image: i, user: '33:33', volumes: ['./a/f:/f:ro']}
";
    let file = project.write("compose.yaml", text);
    let args = |what| [what, "--compose", file.to_str().unwrap()];
    let why = "it can belong to only one of them";
    project
        .run(By::Idshift, &args("prepare"))
        .exits(4)
        .says(why);
    let checked = project.run(By::Idshift, &args("check")).exits(3);
    assert!(checked.text().contains(why), "{checked}");
    assert!(
        !checked.text().contains("idshift prepare --map"),
        "{checked}"
    );
}

/// A directory in the place of a socket would keep the daemon from listening, and one in the place of a file is no secret.
#[test]
fn what_only_the_host_makes_is_not_made() {
    need_root();
    let project = Project::new();
    directory(&project.at("data"), (0, 0), 0o755);
    let missing = project.at("data/docker.sock");
    let service = |mounts: &str| {
        let text = format!(
            "services: {{w: {{image: w, user: '33:33', {mounts}}}}}\nsecrets: {{s: {{file: ./b/password}}}}\n"
        );
        project.write("compose.yaml", &text);
    };
    service("volumes: ['./data:/data', './data/docker.sock:/s', '/run/none/at/all:/r']");
    let run = |what: &[&str]| {
        let compose = ["--compose", "compose.yaml"];
        project.run(By::Idshift, &[what, &compose].concat())
    };
    let checked = run(&["check"]).exits(3);
    assert!(!checked.text().contains("--create"), "{checked}");
    for more in [
        &["prepare"][..],
        &["prepare", "--create", "--dry-run"],
        &["prepare", "--create"],
    ] {
        let run = run(more).exits(0);
        let told = run.text() + &run.stderr;
        assert!(told.contains("has the name of a socket"), "{run}");
        assert!(told.contains("is a part of the system (holds"), "{run}");
        assert!(!told.contains("--allow-system-path"), "{run}");
    }
    assert!(!missing.exists() && !Path::new("/run/none").exists());
    // Not by this option either.
    service("volumes: ['./data/docker.sock:/s']");
    run(&["prepare", "--create", "--allow-system-path"]);
    assert!(!missing.exists());
    service("secrets: [s]");
    let refused = run(&["prepare"]).exits(4);
    assert!(refused.stderr.contains("has to be a file"), "{refused}");
    assert!(!refused.stderr.contains("mkdir"), "{refused}");
}
