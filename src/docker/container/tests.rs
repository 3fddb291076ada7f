//! Metadata of containers, as daemons wrote it.

use super::*;

const FROM: &str = "/var/lib/docker";
const TO: &str = "/var/lib/docker/100000.100000";

fn path(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.strip_prefix(from)?;
    rest.starts_with('/').then(|| format!("{to}{rest}"))
}

fn into(text: &str) -> Option<String> {
    path(text, FROM, TO)
}

fn out_of(text: &str) -> Option<String> {
    path(text, TO, FROM)
}

#[test]
fn known_paths_move_and_every_other_byte_stays() {
    let text = r#"{ "Future":{"LogPath":"/var/lib/docker/x"} ,"LogPath":"/var/lib/docker/containers/c/c-json.log","n":1.50,
        "HostsPath":"/var/lib/docker/containers/c/hosts","HostnamePath":"","ResolvConfPath":"/etc/resolv.conf",
        "MountPoints":{"/v":{"Source":"/var/lib/docker/volumes/v/_data","Weird":"\u003c/var/lib/docker/x"},
                       "/b":{"Source":"/srv/var/lib/docker/x","Spec":{"Source":"/var/lib/docker/b","Type":"bind"}},
                       "/c":{"Source":"/var/lib/dockerfiles/x"}}}"#;
    let expected = text
        .replace(
            "\"LogPath\":\"/var/lib/docker/containers",
            "\"LogPath\":\"/var/lib/docker/100000.100000/containers",
        )
        .replace(
            "HostsPath\":\"/var/lib/docker/",
            "HostsPath\":\"/var/lib/docker/100000.100000/",
        )
        .replace(
            "Source\":\"/var/lib/docker/",
            "Source\":\"/var/lib/docker/100000.100000/",
        );
    assert_eq!(rewrite_config(text, &into).unwrap(), expected);
    assert_eq!(rewrite_config(&expected, &out_of).unwrap(), text);
}

#[test]
fn binds_below_the_data_root_move() {
    let text = r#"{"Binds":["/var/lib/docker/volumes/v/_data:/x:ro","/srv/a:/b"],"Mounts":[{"Source":"/var/lib/docker/a"}],"UsernsMode":""}"#;
    let expected = r#"{"Binds":["/var/lib/docker/100000.100000/volumes/v/_data:/x:ro","/srv/a:/b"],"Mounts":[{"Source":"/var/lib/docker/100000.100000/a"}],"UsernsMode":""}"#;
    assert_eq!(rewrite_hostconfig(text, &into).unwrap(), expected);
    assert_eq!(
        rewrite_hostconfig(r#"{"Binds":null}"#, &into).unwrap(),
        r#"{"Binds":null}"#
    );
}

#[test]
fn binds_are_told_from_volumes() {
    let text = r#"{"MountPoints":{"/b":{"Type":"bind","Source":"/srv/a","Destination":"/b","RW":false},
        "/v":{"Type":"volume","Name":"v","Source":"/var/lib/docker/volumes/v/_data","RW":true}}}"#;
    let bind = Bind {
        source: "/srv/a".into(),
        destination: "/b".into(),
        writable: false,
    };
    assert_eq!(bind_mounts(text).unwrap(), [bind]);
    assert_eq!(bind_mounts(r#"{"MountPoints":null}"#).unwrap(), []);
}

#[test]
fn what_does_not_parse_is_refused() {
    assert!(rewrite_config("{", &into).is_err());
    assert!(rewrite_hostconfig("[]x", &into).is_err());
}

#[test]
fn userns_host_is_set_in_place() {
    let set = |text| set_userns_host(text).unwrap();
    assert_eq!(set(r#"{"UsernsMode":"host"}"#), None);
    assert_eq!(
        set(r#"{"a":1,"UsernsMode":"","b":2}"#).unwrap(),
        r#"{"a":1,"UsernsMode":"host","b":2}"#
    );
    assert_eq!(set(r#"{"a":1}"#).unwrap(), r#"{"UsernsMode":"host","a":1}"#);
    assert_eq!(set("{}").unwrap(), r#"{"UsernsMode":"host"}"#);
}

#[test]
fn who_joins_an_unremapped_container_fails_too() {
    let parse = |id: &str, host: &str| {
        let config = format!("{{\"Name\":\"/{id}-name\"}}");
        Container::parse(id, &config, host).unwrap()
    };
    let all = [
        parse("aa", r#"{"NetworkMode":"container:bb"}"#),
        parse("bb", r#"{"PidMode":"container:cc-name"}"#),
        parse("cc", r#"{"NetworkMode":"host"}"#),
        parse("dd", r#"{"NetworkMode":"container:ee"}"#),
        parse("ee", "{}"),
        parse("ff", r#"{"IpcMode":"container:gg"}"#),
        parse("gg", r#"{"Privileged":true,"UsernsMode":"host"}"#),
        parse(
            "hh",
            r#"{"NetworkMode":"container:cc","UsernsMode":"host"}"#,
        ),
        parse("ii", r#"{"NetworkMode":"container:ii"}"#),
    ];
    let why: Vec<_> = obstacles(&all)
        .into_iter()
        .map(std::option::Option::unwrap_or_default)
        .collect();
    let through = |name: &str| format!("shares a namespace with {name}, which is not remapped");
    assert_eq!(why[0], through("bb-name"));
    assert_eq!(why[1], through("cc-name"));
    assert!(why[2].contains("host's network"));
    assert_eq!(why[5], through("gg-name"));
    for free in [3, 4, 6, 7, 8] {
        assert_eq!(why[free], "", "{free}");
    }
}

/// One after the other, looked for among all of them.
fn obstacles_one_by_one(all: &[Container]) -> Vec<Option<String>> {
    let own = |container: &Container| container.obstacle().map(String::from);
    let mut reasons: Vec<Option<String>> = all.iter().map(own).collect();
    let is_called = |it: &Container, name: &str| {
        it.name == name || (!name.is_empty() && it.id.starts_with(name))
    };
    loop {
        let is_host = |n: usize| all[n].userns_mode == "host" || reasons[n].is_some();
        let through = (0..all.len()).find_map(|n| {
            let joined = |name| (0..all.len()).find(|&m| m != n && is_called(&all[m], name));
            let mut joins = all[n].joins().filter_map(joined);
            let other = joins.find(|&other| !is_host(n) && is_host(other))?;
            Some((n, &all[other].name))
        });
        let Some((n, name)) = through else {
            return reasons;
        };
        reasons[n] = Some(format!(
            "shares a namespace with {name}, which is not remapped"
        ));
    }
}

#[test]
fn many_containers_that_join_each_other() {
    let mut state = 7u64;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 33) % limit
    };
    for _ in 0..200 {
        let count = 1 + below(12);
        let mut one = |n: u64| {
            let mut join = || match below(3) {
                0 => format!("container:{:x}", below(count * 3)),
                1 => format!("container:name{}", below(count)),
                _ => String::new(),
            };
            let (network_mode, ipc_mode) = (join(), join());
            Container {
                id: format!("{n:x}{:x}", below(16)),
                name: format!("name{}", below(count)),
                network_mode,
                ipc_mode,
                privileged: below(6) == 0,
                userns_mode: ["", "", "host"][below(3) as usize].into(),
                ..Container::default()
            }
        };
        let all: Vec<Container> = (0..count).map(&mut one).collect();
        assert_eq!(obstacles(&all), obstacles_one_by_one(&all), "{all:?}");
    }
}

#[test]
fn a_long_chain_of_containers_takes_no_time() {
    let one = |n: u32| Container {
        id: format!("{n:064x}"),
        privileged: n == 0,
        network_mode: match n {
            0 => String::new(),
            n => format!("container:{:064x}", n - 1),
        },
        ..Container::default()
    };
    let all: Vec<Container> = (0..20_000).map(one).collect();
    assert!(obstacles(&all).iter().all(Option::is_some));
}

#[test]
fn what_cannot_run_remapped_is_known() {
    let parse = |host: &str| Container::parse("id", r#"{"Name":"/web"}"#, host).unwrap();
    assert_eq!(
        parse(r#"{"Privileged":true}"#).obstacle(),
        Some("is privileged")
    );
    assert_eq!(
        parse(r#"{"Privileged":true,"UsernsMode":"host"}"#).obstacle(),
        None
    );
    assert!(parse(r#"{"PidMode":"host"}"#).obstacle().is_some());
    assert!(parse(r#"{"NetworkMode":"host"}"#).obstacle().is_some());
    assert!(parse(r#"{"IpcMode":"host"}"#).obstacle().is_some());
    let device = |inside: &str| {
        let path = format!(r#""PathOnHost":"/dev/fuse","PathInContainer":"{inside}""#);
        parse(&format!("{{\"Devices\":[{{{path}}}]}}")).obstacle()
    };
    assert_eq!(device("/dev/fuse"), None);
    assert!(device("/dev/x").is_some());
    assert_eq!(parse(r#"{"NetworkMode":"bridge"}"#).obstacle(), None);
    assert_eq!(parse("{}").name, "web");
}
