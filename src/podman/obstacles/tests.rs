use super::*;

#[test]
fn the_program_of_init_is_no_directory_of_an_operator() {
    let mounts = r#"{"spec":{"mounts":[{"type":"bind","source":"/usr/libexec/podman/catatonit","destination":"/run/podman-init"},
        {"type":"bind","source":"/srv/data","destination":"/data"},{"type":"tmpfs","source":"tmpfs","destination":"/t"}]}}"#;
    let config = Config::parse(mounts).unwrap();
    let binds: Vec<PathBuf> = config.binds().collect();
    assert_eq!(binds, [PathBuf::from("/srv/data")]);
}

#[test]
fn what_a_rootless_podman_cannot_give_is_named() {
    const ALL: &str = r#"[{"type":"pid"},{"type":"network"},{"type":"ipc"}]"#;
    let linux = |namespaces: &str, more: &str| format!(r#"{{"namespaces":{namespaces}{more}}}"#);
    let spec = |linux: &str, more: &str| format!(r#"{{"spec":{{"linux":{linux}}}{more}}}"#);
    let plain = linux(ALL, "");
    for (text, expected) in [
        ("{}".to_string(), &[][..]),
        (spec(&plain, r#","newPortMappings":null"#), &[]),
        (
            spec(
                &plain,
                r#","newPortMappings":[{"host_port":80,"range":2},{"host_port":8080}]"#,
            ),
            &["publishes port 80, port 81"],
        ),
        (
            spec(
                &linux(r#"[{"type":"pid"},{"type":"ipc"}]"#, ""),
                r#","netNsCtr":"x""#,
            ),
            &[],
        ),
        (
            spec(&linux("[]", ""), r#","privileged":true"#),
            &[
                "is privileged and uses the host's network (--network=host)",
                "uses the host's processes (--pid=host)",
                "uses the host's IPC (--ipc=host)",
            ],
        ),
        (
            spec(
                &linux(
                    ALL,
                    r#","resources":{"memory":{"limit":5},"pids":{"limit":2048}}"#,
                ),
                "",
            ),
            &["limits memory"],
        ),
        (
            spec(&linux(ALL, r#","devices":[{"path":"/dev/fuse"}]"#), ""),
            &["has devices of the host: /dev/fuse"],
        ),
        (
            r#"{"spec":{"process":{"user":{"uid":70000,"gid":0}}}}"#.to_string(),
            &["runs as 70000:0, which is more than the ids that the user has"],
        ),
        (
            r#"{"user":"70000"}"#.to_string(),
            &["runs as 70000:0, which is more than the ids that the user has"],
        ),
        (r#"{"user":"web:1"}"#.to_string(), &[]),
    ] {
        let found = Config::parse(&text)
            .unwrap()
            .obstacles(1024, &|uid, gid| uid.max(gid) <= 65_536);
        let found: Vec<String> = found.into_iter().map(|it| it.what).collect();
        assert_eq!(found, expected, "{text}");
    }
}
