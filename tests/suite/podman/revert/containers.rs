//! Containers of a user's Podman run with root's as those that root's Podman made by the same commands.

use std::collections::BTreeSet;

use serde_json::Value;

use super::REVERT;
use crate::support::engine_host::Release;
use crate::support::need_root;
use crate::support::podman_host::{PodmanHost, STORE};

/// Containers: a name, and how they are made. Root makes them again with the same arguments.
const MADE: [(&str, &str); 6] = [
    ("plain", "tiny:1 sleep 100000"),
    (
        "full",
        "-v vol:/vol -v anon:/anon:ro -p 8080:80 --env A=b --label c=d --restart always --user 7:8 --health-cmd true \
         --health-interval 60s --init --tmpfs /t:size=1m --secret word --secret word,type=env,target=W --hostname hh --dns 1.2.3.4 \
         --add-host foo:1.2.3.4 --stop-timeout 1 --ulimit nofile=100:200 tiny:1 sleep 100000",
    ),
    (
        "bare",
        "--cap-drop all --read-only --security-opt no-new-privileges --network none --tz local --expose 99 \
         --log-driver k8s-file tiny:1 sh -c 'exec sleep 100000'",
    ),
    (
        "bridged",
        "--network bridge --restart on-failure:3 --group-add 5 --dns-search a.b --shm-size 1m --stop-signal INT tiny:1 sleep 100000",
    ),
    (
        "slirp",
        "--network slirp4netns:allow_host_loopback=true -t -i --log-driver none --oom-score-adj 100 -w /bin tiny:1 sleep 100000",
    ),
    (
        "gone",
        "--rm --memory 64m --pids-limit 55 tiny:1 sleep 100000",
    ),
];

const SLIRP: &str = "--network slirp4netns:allow_host_loopback=true ";

/// By the user: a container that wrote.
const WRITE: &str = "podman volume create vol; podman run --name one --network none --log-driver k8s-file -v vol:/vol tiny:1 sh -c \
     'test -e /x && { cat /x /vol/y; exec sleep 100000; }; echo x > /x; chown 7:8 /x; cp /bin/busybox /tool; busybox chmod 6755 /tool; \
      echo y > /vol/y; chown 9:9 /vol/y; rm /bin/ls; echo said; exit 3' || true";

fn create(host: &PodmanHost, as_root: bool, (name, more): (&str, &str)) {
    // Root's Podman has no network of that kind by itself: what comes along is in the default one.
    let more = match as_root {
        true => more.replace(SLIRP, ""),
        false => more.to_string(),
    };
    let command = format!("podman create --name {name} {more}");
    match as_root {
        true => host.root(&command),
        false => host.user(&command),
    };
}

/// Members that belong to one container, and not to how it was made.
const OF_ONE: [&str; 20] = [
    "/Id",
    "/Created",
    "/Name",
    "/ResolvConfPath",
    "/HostnamePath",
    "/HostsPath",
    "/StaticDir",
    "/OCIConfigPath",
    "/PidFile",
    "/ConmonPidFile",
    "/lockNumber",
    "/State",
    "/GraphDriver",
    "/HostConfig/ContainerIDFile",
    "/HostConfig/LogConfig/Path",
    "/Config/CreateCommand",
    "/NetworkSettings",
    "/Config/Hostname",
    "/HostConfig/CgroupParent",
    "/LogPath",
];

fn inspected(host: &PodmanHost, name: &str) -> Value {
    let text = host.root(&format!("podman inspect --type container {name}"));
    let mut all: Value = serde_json::from_str(&text).unwrap();
    let mut one = all[0].take();
    for member in OF_ONE {
        if let Some(value) = one.pointer_mut(member) {
            *value = Value::Null;
        }
    }
    in_order(&mut one);
    one
}

/// Podman takes the order of environment, mounts and volumes from maps: it is another each time.
fn in_order(value: &mut Value) {
    match value {
        Value::Array(all) => {
            all.iter_mut().for_each(in_order);
            all.sort_by_key(Value::to_string);
        }
        Value::Object(members) => members.values_mut().for_each(in_order),
        _ => {}
    }
}

/// What crun gets, with the id and the addresses of one container in place of its own.
fn spec(host: &PodmanHost, name: &str) -> Value {
    let id = host.root(&format!("podman inspect -f '{{{{.Id}}}}' {name}"));
    let id = id.trim();
    let text = host.root(&format!(
        "cat {STORE}/overlay-containers/{id}/userdata/config.json"
    ));
    let layer = host.root(&format!(
        "podman inspect -f '{{{{.GraphDriver.Data.MergedDir}}}}' {name}"
    ));
    let text = text
        .replace(layer.trim(), "MERGED")
        .replace(id, "ID")
        .replace(&id[..12], "SHORT");
    let mut spec: Value = serde_json::from_str(&text).unwrap();
    for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace.as_object_mut().unwrap().remove("path");
        }
    }
    in_order(&mut spec);
    spec
}

/// What is used of each: a command of root's, and what it says.
const USE: [(&str, &str); 11] = [
    (
        "podman ps -a --format '{{.Names}}' | grep -v again | sort | xargs",
        "bare bridged full gone one plain slirp",
    ),
    (
        "podman inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}' one",
        "exited 3 no",
    ),
    ("podman logs one", "said"),
    (
        "podman commit -q one written:1 >/dev/null; podman run --rm --network none written:1 stat -c '%n %u:%g %a' /x /tool",
        "/x 7:8 644\n/tool 0:0 6755",
    ),
    (
        "podman start one >/dev/null; podman exec one cat /x /vol/y; podman exec one stat -c %u:%g /vol/y",
        "x\ny\n9:9",
    ),
    (
        "podman start plain full bare bridged slirp | xargs",
        "plain full bare bridged slirp",
    ),
    (
        "podman exec full sh -c 'stat -c %U:%G /t >/dev/null; cat /run/secrets/word; echo $W $A; touch /vol/z 2>&1; cat /proc/1/comm'",
        "wordword b\ntouch: /vol/z: Permission denied\npodman-init",
    ),
    (
        "podman healthcheck run full; podman port full",
        "80/tcp -> 0.0.0.0:8080",
    ),
    (
        "podman inspect -f '{{.HostConfig.NetworkMode}}' plain full bridged slirp bare | xargs",
        "bridge bridge bridge bridge none",
    ),
    ("podman exec plain cat /sys/class/net/eth0/operstate", "up"),
    (
        "podman exec bare sh -c 'cat /proc/self/status' | grep -E '^(CapBnd|NoNewPrivs|Seccomp):' | xargs",
        "CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2",
    ),
];

#[test]
fn containers_of_a_user_run_as_roots() {
    need_root();
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    host.root("podman rm -a; podman volume rm vol");
    host.idshift(&["podman", "migrate", "--to-user", "ann", "--yes"])
        .exits(0);
    host.user(WRITE);
    for made in MADE {
        create(&host, false, made);
    }
    let differences = host.user("podman diff one | sort");
    host.user("podman start plain >/dev/null; podman stop -t 0 plain >/dev/null");
    host.log_out();
    host.root("rm -f /run/libpod/alive /dev/shm/libpod_lock");

    let there = host.state();
    host.idshift(&[&REVERT[..], &["--dry-run"]].concat())
        .exits(0)
        .says("7 containers");
    host.idshift(&REVERT)
        .exits(0)
        .says("if podman-restart.service is enabled: full.");
    host.idshift(&["verify", "latest"]).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    crate::support::docker::same(&there, &host.state(), "after a rollback");
    host.idshift(&REVERT).exits(0);

    assert_eq!(host.root("podman diff one | sort").trim(), differences);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: String, expected: &str| {
        if found != expected {
            wrong.push(format!(
                "{what}\n  expected: {expected}\n  found:    {found}"
            ));
        }
    };
    for (name, more) in MADE {
        let again = format!("{name}-again");
        create(&host, true, (&again, more));
        let [found, expected] = [name, &again].map(|name| inspected(&host, name));
        expect(name, differing(&found, &expected), "");
    }
    for (command, expected) in USE {
        let run = host.host.run(&["bash", "-uo", "pipefail", "-c", command]);
        expect(
            command,
            (run.text() + &run.stderr).trim().to_string(),
            expected,
        );
    }
    // One of both at a time has the port.
    let names = ["plain", "full", "bare", "bridged", "slirp"];
    let ours: Vec<Value> = names.iter().map(|name| spec(&host, name)).collect();
    host.root("podman stop -a -t 0");
    for (name, ours) in names.iter().zip(ours) {
        host.root(&format!("podman start {name}-again"));
        let expected = spec(&host, &format!("{name}-again"));
        expect(name, differing(&ours, &expected), "");
    }
    host.root("podman stop -a -t 0; podman rm -a");
    assert_eq!(
        host.root(&format!("ls {STORE}/overlay-containers")).trim(),
        "containers.json\ncontainers.lock\nvolatile-containers.json"
    );
    expect("podman system check", host.root("podman system check"), "");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Members with different values: the first lines of both.
fn differing(one: &Value, other: &Value) -> String {
    if one == other {
        return String::new();
    }
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let of = |all: &serde_json::Map<String, Value>, name: &str| {
                all.get(name).cloned().unwrap_or_default()
            };
            let found = names
                .into_iter()
                .map(|name| (name, differing(&of(one, name), &of(other, name))));
            let found = found.filter(|(_, text)| !text.is_empty());
            found
                .map(|(name, text)| format!("{name}: {text}; "))
                .collect()
        }
        _ => format!("{one} is not {other}"),
    }
}
