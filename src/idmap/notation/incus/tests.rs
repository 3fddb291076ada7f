use super::*;

const CURRENT: &str = r#"[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000},{"Isuid":false,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]"#;

fn read(text: &str) -> Result<Described, NotationError> {
    super::super::describe(text.as_bytes(), "/c1.yaml")
}

fn map(text: &str) -> String {
    match read(text).unwrap().source {
        NotationSource::Map(map) => map.to_string(),
        NotationSource::RootRanges(ranges) => {
            let range = (1_000_000, 1_000_000_000);
            ranges.over(range, range).unwrap().to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_daemon_wrote_down_is_the_map() {
    let yaml = format!(
        "architecture: x86_64\nconfig:\n  image.os: Debian\n  volatile.idmap.current: '{CURRENT}'\n  volatile.idmap.next: '{CURRENT}'\n  volatile.last_state.idmap: '[]'\ndevices: {{}}\nephemeral: false\n"
    );
    assert_eq!(map(&yaml), "b:0:1000000:1000000000");
    let notes = read(&yaml).unwrap().notes;
    assert!(notes[0].contains("its files are not shifted"), "{notes:?}");
    // The same from `incus query`, which indents with tabs, and from `incus list --format json`.
    let json = serde_json::json!({"type": "container", "config": {}, "expanded_config": {"volatile.idmap.next": CURRENT}});
    let json = serde_json::to_string_pretty(&json)
        .unwrap()
        .replace("  ", "\t");
    assert_eq!(map(&json), "b:0:1000000:1000000000");
    assert_eq!(map(&format!("[{json}]")), "b:0:1000000:1000000000");
    assert_eq!(
        map(&format!("{{\"metadata\":{json}}}")),
        "b:0:1000000:1000000000"
    );
}

#[test]
fn an_entry_for_both_ids_may_be_there_twice() {
    let both = r#"[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000},{"Isuid":true,"Isgid":true,"Hostid":1000,"Nsid":1000,"Maprange":1},{"Isuid":false,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":1000},{"Isuid":true,"Isgid":true,"Hostid":1000,"Nsid":1000,"Maprange":1}]"#;
    assert_eq!(
        map(&format!("config:\n  volatile.idmap.current: '{both}'\n")),
        "b:0:1000000:1000 b:1000:1000:1"
    );
}

#[test]
fn raw_idmap_is_laid_over_the_range() {
    assert_eq!(
        map("config:\n  raw.idmap: |-\n    both 1000 1000\n    uid 50-60 500-510\n"),
        "b:1000:1000:1 b:1001:1001001:999998999 u:0:1000000:500 u:500:50:11 u:511:1000511:489 g:0:1000000:1000"
    );
    // Host ids that are in the range already have two container ids.
    let said = match read("config:\n  raw.idmap: both 1000005 7\n")
        .unwrap()
        .source
    {
        NotationSource::RootRanges(ranges) => ranges
            .over((1_000_000, 70_000), (1_000_000, 70_000))
            .unwrap_err()
            .to_string(),
        other => panic!("{other:?}"),
    };
    assert!(said.contains("share host ids"), "{said}");
}

#[test]
fn an_isolated_instance_has_a_range_of_its_own() {
    let yaml = "config:\n  security.idmap.isolated: \"true\"\n  security.idmap.base: \"300000\"\n";
    assert_eq!(map(yaml), "b:0:300000:65536");
    let sized = format!("{yaml}  security.idmap.size: 200000\n  raw.idmap: gid 100 100\n");
    assert_eq!(
        map(&sized),
        "u:0:300000:200000 g:0:300000:100 g:100:100:1 g:101:300101:199899"
    );
    let error = read("config:\n  security.idmap.isolated: true\n").unwrap_err();
    assert!(
        error.to_string().contains("the daemon chooses its range"),
        "{error}"
    );
}

#[test]
fn privileged_ones_have_the_hosts_ids() {
    for text in [
        "config:\n  security.privileged: \"true\"\n  volatile.idmap.current: '[]'\n",
        "config:\n  volatile.idmap.current: '[]'\n",
    ] {
        assert_eq!(
            read(text).unwrap().source,
            NotationSource::HostIds,
            "{text}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let said = |text: &str| read(text).unwrap_err().to_string();
    for (text, reason) in [
        (
            "config:\n  raw.idmap: both 1000\n",
            "/c1.yaml: line 2: raw.idmap: \"both 1000\" is not three words. A line is",
        ),
        (
            "config:\n  raw.idmap: |\n    both 5 5\n    both 7\n",
            "line 4: raw.idmap: \"both 7\" is not three words",
        ),
        (
            "config:\n  raw.idmap: uid 50-60 500-501\n",
            "different sizes",
        ),
        ("config:\n  raw.idmap: all 5 5\n", "does not begin with uid"),
        (
            "config:\n  raw.idmap: uid 60-50 1-2\n",
            "\"60-50\" is not an id",
        ),
        (
            "config:\n  a: b\n  volatile.idmap.current: '[{]'\n",
            "line 3: volatile.idmap.current: ",
        ),
        (
            "config:\n  volatile.idmap.current: '[{\"Isuid\":true,\"Isgid\":false,\"Hostid\":-1,\"Nsid\":0,\"Maprange\":1}]'\n",
            "line 2: volatile.idmap.current",
        ),
        (
            "config:\n  security.idmap.isolated: true\n  security.idmap.base: many\n",
            "line 3: security.idmap.base is \"many\"",
        ),
        ("config: [\n", "/c1.yaml: line "),
        (
            "type: virtual-machine\nconfig:\n  raw.idmap: both 1 1\n",
            "virtual machine",
        ),
        ("[{\"config\":{}},{\"config\":{}}]", "has 2 instances"),
        ("config: {}\n", "has no map that idshift can read"),
    ] {
        assert!(said(text).contains(reason), "{}", said(text));
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let keys: String = (0..2500)
        .map(|n| format!("{}k:\n", " ".repeat(n)))
        .collect();
    for text in [
        format!("config:\n{keys}"),
        format!("config: {}", "[".repeat(5000)),
        format!("config:\n{}a", "- ".repeat(3000)),
    ] {
        let error = describe(&text, "/file").unwrap_err().to_string();
        assert!(error.contains("nested deeper"), "{error}");
    }
}

/// Files of an instance that uses idmapped mounts are on disk as the container has them.
#[test]
fn files_have_the_map_of_the_last_state() {
    let of = |state: &str| {
        let current =
            r#"'[{"Isuid":true,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":65536}]'"#;
        let text = format!(
            "config:\n  volatile.idmap.current: {current}\n  volatile.last_state.idmap: {state}\n"
        );
        describe(&text, "/file").unwrap().on_disk
    };
    assert_eq!(of("'[]'"), Some(IdMap::identity()));
    let other = of(r#"'[{"Isuid":true,"Isgid":true,"Hostid":2000000,"Nsid":0,"Maprange":65536}]'"#);
    assert_eq!(other.unwrap().to_string(), "b:0:2000000:65536");
}

/// `security.privileged=true` was set, and it was not started since.
#[test]
fn files_of_one_that_was_made_privileged_are_where_they_were() {
    let of = |settings: &str| read(&format!("config:\n{settings}")).unwrap();
    let state = r#"  volatile.last_state.idmap: '[{"Isuid":true,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":65536}]'
"#;
    for privileged in [
        "  security.privileged: \"true\"\n",
        "  volatile.idmap.current: '[]'\n",
    ] {
        let described = of(&format!("{privileged}{state}"));
        assert_eq!(described.source, NotationSource::HostIds);
        let files = described.on_disk.unwrap();
        assert_eq!(files.to_string(), "b:0:1000000:65536");
        assert_eq!(
            described.notes,
            ["its files are in b:0:1000000:65536: volatile.last_state.idmap"]
        );
        let started = of(&format!("{privileged}  volatile.last_state.idmap: '[]'\n"));
        assert_eq!(started.on_disk, None);
        assert_eq!(started.notes, <[String; 0]>::default());
    }
}
