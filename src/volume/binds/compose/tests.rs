use std::collections::HashMap;

use super::*;
use proptest::prelude::*;

/// Resolves files of this project in `/p`.
fn project(files: &[(&str, &str)], all: usize, wanted: &Selection) -> Result<Vec<Service>, String> {
    let known: HashMap<PathBuf, &str> = files
        .iter()
        .map(|(name, text)| (Path::new("/p").join(name), *text))
        .collect();
    let paths: Vec<PathBuf> = files[..all]
        .iter()
        .map(|(name, _)| Path::new("/p").join(name))
        .collect();
    let read = |path: &Path| {
        let text = known.get(path);
        text.map(|text| text.to_string())
            .ok_or_else(|| BindsError::new(&shown(path), "is not there"))
    };
    let lookup = |name: &str| (name == "DATA").then(|| Ok("/srv".to_string()));
    let input = Input {
        files: &paths,
        read: &read,
        lookup: &lookup,
        home: Some(Path::new("/root")),
        dir: Path::new("/p"),
        defaults: HostPathDefaults::SPECIFICATION,
    };
    resolve(&input, wanted).map_err(|error| error.to_string())
}

/// `service user source target ro create` a line.
fn lines(services: &[Service]) -> Vec<String> {
    let all = services.iter().flat_map(|service| {
        service.binds.iter().map(|bind| {
            let user = service.user.as_deref().unwrap_or("-");
            let ro = if bind.read_only { " ro" } else { "" };
            let create = if bind.creates_source { " create" } else { "" };
            let (source, target) = (bind.source.display(), &bind.target);
            format!("{} {user} {source} {target}{ro}{create}", service.name)
        })
    });
    all.collect()
}

fn one(text: &str) -> Result<Vec<String>, String> {
    project(&[("compose.yaml", text)], 1, &Selection::default()).map(|all| lines(&all))
}

#[test]
fn both_syntaxes_of_volumes() {
    let text = "
services:
  web:
    image: nginx
    user: 33:33
    volumes:
      - ./html:/www:ro
      - ${DATA}/up/:/up/
      - ~/x:/x
      - named:/n
      - bound:/b
      - /anonymous
      - {type: bind, source: rel, target: /rel, read_only: true}
      - {type: bind, source: /long, target: /long, bind: {create_host_path: true}}
      - {type: tmpfs, target: /t}
    secrets: [key, {source: key, target: other}]
volumes:
  named:
  bound: {driver_opts: {type: none, o: bind, device: /dev1/./x}}
secrets:
  key: {file: ./key.txt}
";
    assert_eq!(
        one(text).unwrap(),
        [
            "web 33:33 /p/html /www ro create",
            "web 33:33 /srv/up /up create",
            "web 33:33 /root/x /x create",
            "web 33:33 /dev1/x /b",
            "web 33:33 /p/rel /rel ro create",
            "web 33:33 /long /long create",
            "web 33:33 /p/key.txt /run/secrets/key ro",
            "web 33:33 /p/key.txt /run/secrets/other ro",
        ]
    );
    let all = project(&[("compose.yaml", text)], 1, &Selection::default()).unwrap();
    let others: Vec<String> = all[0]
        .other_mounts
        .iter()
        .map(|other| format!("{} {}", other.what, other.target))
        .collect();
    assert_eq!(
        others,
        ["volume named /n", "anonymous volume /anonymous", "tmpfs /t"]
    );
}

#[test]
fn later_files_and_extended_services() {
    let base = "services: {app: {user: '1', volumes: ['./a:/a', './b:/b']}, db: {image: d}}";
    let over = "services: {app: {user: '2', volumes: ['./c:/a:ro']}, db: {extends: {service: base, file: sub/x.yaml}}}";
    let sub = "services: {base: {user: '7', extends: deep, volumes: ['./d:/d']}, deep: {image: z, volumes: ['../e:/e']}}";
    let files = [("a.yaml", base), ("b.yaml", over), ("sub/x.yaml", sub)];
    let all = project(&files, 2, &Selection::default()).unwrap();
    assert_eq!(
        lines(&all),
        [
            "app 2 /p/c /a ro create",
            "app 2 /p/b /b create",
            "db 7 /p/e /e create",
            "db 7 /p/sub/d /d create",
        ]
    );
    assert_eq!(all[1].image.as_deref(), Some("z"));
}

#[test]
fn profiles_and_named_services() {
    let text = "services: {a: {volumes: ['/a:/a']}, b: {profiles: [p], volumes: ['/b:/b']}, c: {profiles: [q], volumes: ['/c:/c']}}";
    let names = |profiles: &[&str], services: &[&str]| {
        let owned = |all: &[&str]| all.iter().map(|it| it.to_string()).collect();
        let wanted = Selection {
            profiles: owned(profiles),
            services: owned(services),
        };
        let all = project(&[("f", text)], 1, &wanted)?;
        Ok(all
            .into_iter()
            .map(|it| it.name)
            .collect::<Vec<_>>()
            .join(" "))
    };
    assert_eq!(names(&[], &[]).as_deref(), Ok("a"));
    assert_eq!(names(&["p"], &[]).as_deref(), Ok("a b"));
    assert_eq!(names(&["*"], &[]).as_deref(), Ok("a b c"));
    assert_eq!(names(&[], &["c"]).as_deref(), Ok("c"));
    let said: Result<String, String> = names(&[], &["d"]);
    assert!(said.unwrap_err().contains("\"d\"; there are: \"a, b, c\""));
}

#[test]
fn what_cannot_be_resolved_is_named_with_its_line() {
    for (text, line, wanted) in [
        (
            "services:\n a:\n  volumes:\n  - ${NO}/x:/x",
            4,
            "variable NO is not set",
        ),
        ("services:\n a:\n  user: 010", 3, "quotes"),
        (
            "services:\n a:\n  extends: b",
            3,
            "\"b\", which is not in this file",
        ),
        ("services:\n a:\n  extends: a", 3, "extends itself"),
        (
            "services:\n a:\n  extends: {service: b, file: no.yaml}",
            3,
            "/p/no.yaml: is not there",
        ),
        ("services:\n a:\n  volumes: !reset []", 3, "!reset"),
        ("services:\n a:\n  user: !reset null", 3, "!reset"),
        ("services:\n a:\n  volumes: !reset", 3, "!reset"),
        ("services:\n a: !reset null", 2, "!reset"),
        (
            "volumes:\n a: !override {driver_opts: {o: bind}}",
            2,
            "!override",
        ),
        (
            "volumes:\n a:\n  driver_opts: !override {o: bind}",
            3,
            "!override",
        ),
        (
            "services:\n a:\n  volumes:\n  - {type: blind, source: /a, target: /x}",
            4,
            "\"blind\" of a volume is not known",
        ),
        ("services:\n a:\n  volumes: ['/a:/b:idmap']", 3, "idmap"),
        ("services:\n a:\n  volumes_from: [b]", 3, "volumes_from"),
        (
            "volumes:\n v: {driver_opts: {type: none, o: bind, device: ./x}}\nservices: {a: {volumes: ['v:/v']}}",
            2,
            "absolute",
        ),
        ("include: [x.yaml]", 1, "docker compose"),
        ("services:\n a:\n  volumes: [a:b]", 3, "SOURCE:TARGET"),
        (
            "services:\n a:\n  volumes:\n  - {type: bind, target: /x}",
            4,
            "no source",
        ),
        ("services: [a]", 1, "not a mapping"),
        (
            "services: {a: {volumes: ['~joe/x:/x']}}",
            1,
            "write the home directory itself",
        ),
    ] {
        let said = one(text).unwrap_err();
        let place = format!("/p/compose.yaml: line {line}: ");
        assert!(
            said.starts_with(&place) && said.contains(wanted),
            "{text}: {said}"
        );
    }
    for (text, wanted) in [
        (
            "services: {a: {volumes: ['n:/n']}}",
            "the volume \"n\" is not declared",
        ),
        ("services: {a: {userns_mode: other}}", "userns_mode"),
    ] {
        let said = one(text).unwrap_err();
        assert!(said.contains(wanted), "{text}: {said}");
    }
}

#[test]
fn options_of_a_volume_are_merged_one_by_one() {
    let base = "
services: {web: {volumes: ['data:/d']}}
volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: /srv/a}}}
";
    for (over, wanted) in [
        ("{driver_opts: {device: /srv/b}}", vec!["web - /srv/b /d"]),
        ("{driver_opts: {o: ro}}", vec![]),
        ("{driver: other}", vec![]),
        ("{}", vec!["web - /srv/a /d"]),
    ] {
        let over = format!("volumes: {{data: {over}}}");
        let files = [("compose.yaml", base), ("over.yaml", &over)];
        let found = project(&files, 2, &Selection::default()).unwrap();
        assert_eq!(lines(&found), wanted, "{over}");
    }
}

#[test]
fn a_part_of_a_volume_is_a_part_of_its_device() {
    let text = "
services: {a: {volumes: [{type: volume, source: v, target: /v, volume: {subpath: ./x/}}, {type: volume, source: w, target: /w, volume: {subpath: y}}]}}
volumes: {v: {driver_opts: {o: bind, device: /dev1}}, w: {}}
";
    let all = project(&[("f", text)], 1, &Selection::default()).unwrap();
    assert_eq!(lines(&all), ["a - /dev1/x /v"]);
    assert_eq!(all[0].binds[0].within.as_deref(), Some(Path::new("/dev1")));
    let named = all[0].other_mounts[0].volume.clone().unwrap();
    assert_eq!(named.subpath.as_deref(), Some(Path::new("y")));
}

#[test]
fn what_is_left_out_depends_on_the_version() {
    let of = |text: &str| {
        let found = HostPathDefaults::of_version(text);
        (found.with_bind, found.without_bind)
    };
    for text in ["5.0.0", "v5.1.3\n", "10.0.0-rc.1"] {
        assert_eq!(of(text), (true, true), "{text}");
    }
    for text in ["2.36.0", "v2.40.3-desktop.1"] {
        assert_eq!(of(text), (false, true), "{text}");
    }
    for text in ["2.26.1-4", "v2.35.9", "", "dev"] {
        assert_eq!(of(text), (false, false), "{text}");
    }
}

#[test]
fn later_files_say_what_is_shared_with_the_host() {
    let base = "services: {a: {privileged: true, network_mode: host, devices: ['/dev/a', '/dev/b:/dev/c']}}";
    let over = "services: {a: {privileged: false, pid: 'service:b', devices: [{source: /dev/x, target: /dev/x}]}, b: {ipc: host}}";
    let files = [("f", base), ("g", over)];
    let all = project(&files, 2, &Selection::default()).unwrap();
    let shared = &all[0].namespaces;
    assert!(!shared.privileged);
    assert_eq!(shared.network, "host");
    assert_eq!(shared.pid, "container:b");
    assert_eq!(shared.renamed_device.as_deref(), Some("/dev/c"));
    assert_eq!(all[1].namespaces.ipc, "host");
}

#[test]
fn the_socket_of_the_daemon_is_a_bind() {
    let socket = "/var/run/docker.sock";
    let found = one("services: {a: {use_api_socket: true}, b: {use_api_socket: false}}").unwrap();
    assert_eq!(found, [format!("a - {socket} {socket}")]);
}

#[test]
fn variables_that_do_not_matter_need_no_value() {
    let text = "services: {a: {environment: {X: $NO}, ports: ['${NO}:80'], volumes: ['/a:/a']}}";
    assert_eq!(one(text).unwrap(), ["a - /a /a create"]);
}

proptest! {
    #[test]
    fn any_file_is_resolved_or_refused(
        text in "(services|volumes|extends|user|file|type|bind|source|target|[:\\[\\]{},'$-]|\n {0,4}|[a/.~])*"
    ) {
        if let Err(said) = one(&text) {
            prop_assert!(said.starts_with('/'), "{}", said);
        }
    }
}
