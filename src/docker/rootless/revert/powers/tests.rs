use super::*;
use crate::store_move::untrusted::json::{Strict, object};

fn map(json: &str) -> Map<String, Value> {
    object(json).unwrap()
}

/// As Docker 20.10 writes it for `docker create -v named:/m -p 8080:80 --memory 64m`.
const PLAIN: &str = r#"{"Binds":["named:/m"],"ContainerIDFile":"","LogConfig":{"Type":"json-file","Config":{}},
    "NetworkMode":"default","PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},
    "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,
    "CapAdd":null,"CapDrop":null,"CgroupnsMode":"host","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,
    "GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":[],"OomScoreAdj":0,"PidMode":"","Privileged":false,
    "PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"",
    "ShmSize":67108864,"Runtime":"runc","ConsoleSize":[0,0],"Isolation":"","CpuShares":0,"Memory":67108864,
    "NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,
    "MaskedPaths":["/proc/asound","/proc/acpi","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list",
    "/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware"],
    "ReadonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}"#;

fn is_peer(name: &str) -> bool {
    name == "peer"
}

#[test]
fn a_plain_container_asks_for_nothing() {
    assert_eq!(host_powers(&map(PLAIN), &is_peer), Vec::<String>::new());
    assert_eq!(host_powers(&map("{}"), &is_peer), Vec::<String>::new());
    let peer =
        r#"{"NetworkMode":"container:peer","PidMode":"container:peer","IpcMode":"shareable"}"#;
    assert_eq!(host_powers(&map(peer), &is_peer), Vec::<String>::new());
}

#[test]
fn what_reaches_the_host_is_named() {
    for (name, value) in [
        ("Privileged", "true"),
        ("CapAdd", r#"["SYS_ADMIN"]"#),
        ("Binds", r#"["named:/m","/:/host"]"#),
        ("Binds", r#"["/host"]"#),
        ("Mounts", r#"[{"Type":"bind","Source":"/","Target":"/h"}]"#),
        (
            "Mounts",
            r#"[{"Type":"volume","Source":"v","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind","device":"/"}}}}]"#,
        ),
        ("NetworkMode", r#""host""#),
        ("NetworkMode", r#""container:later""#),
        ("PidMode", r#""container:later""#),
        ("PidMode", r#""host""#),
        ("IpcMode", r#""host""#),
        ("UTSMode", r#""host""#),
        ("UsernsMode", r#""host""#),
        ("SecurityOpt", r#"["seccomp=unconfined"]"#),
        ("MaskedPaths", "[]"),
        ("ReadonlyPaths", "[]"),
        ("Devices", r#"[{"PathOnHost":"/dev/sda"}]"#),
        ("DeviceCgroupRules", r#"["a *:* rwm"]"#),
        ("Runtime", r#""mine""#),
        ("LogConfig", r#"{"Type":"splunk"}"#),
        ("CgroupParent", r#""/""#),
        ("Sysctls", r#"{"kernel.core_pattern":"|/x"}"#),
        ("OfALaterDocker", "1"),
    ] {
        let mut config = map(PLAIN);
        let Strict(value) = serde_json::from_str(value).unwrap();
        config.insert(name.to_lowercase(), value.clone());
        assert_eq!(
            host_powers(&config, &is_peer),
            [name.to_lowercase()],
            "{value}"
        );
    }
}

const ID: &str = "0123abcd";

fn config(more: &str) -> Vec<String> {
    let own = r#""ID":"0123abcd","Driver":"overlay2","Config":{"Cmd":["true"]},"AppArmorProfile":"docker-default",
        "LogPath":"/d/containers/0123abcd/0123abcd-json.log","ShmPath":"/d/containers/0123abcd/mounts/shm",
        "State":{"Running":false,"Pid":0,"ExitCode":1},"SeccompProfile":"","SecretReferences":null,
        "MountPoints":{"/m":{"Source":"/d/volumes/v/_data","Name":"v","Driver":"local","Type":"volume"}}"#;
    let mut all = map(&format!("{{{own}}}"));
    all.extend(map(more));
    config_powers(&all, Path::new("/d"), ID)
}

#[test]
fn paths_and_volumes_are_those_of_the_container() {
    assert_eq!(config("{}"), Vec::<String>::new());
    for (name, value) in [
        ("LogPath", r#""/etc/cron.d/x""#),
        ("LogPath", r#""/home/u/docker/containers/0123abcd/log""#),
        (
            "MountPoints",
            r#"{"/h":{"Source":"/d/volumes/v/_data","Name":"v","Driver":"local","Type":"volume","Spec":{"Type":"bind"}}}"#,
        ),
        (
            "HostsPath",
            r#""/d/containers/0123abcd/../../../etc/hosts""#,
        ),
        ("HostnamePath", r#""/d/containers/other/hostname""#),
        ("ResolvConfPath", r#""/d/containers/0123abcd""#),
        ("MountPoints", r#"{"/h":{"Source":"/","Type":"bind"}}"#),
        (
            "MountPoints",
            r#"{"/h":{"Source":"/d/volumes/../../etc/_data","Name":"../../etc","Driver":"local","Type":"volume"}}"#,
        ),
        ("State", r#"{"Running":true,"Pid":1}"#),
        ("AppArmorProfile", r#""unconfined""#),
        ("SeccompProfile", r#""unconfined""#),
        ("ProcessLabel", r#""u:r:t:s0""#),
        ("OfALaterDocker", "{\"a\":1}"),
    ] {
        let found = config(&format!("{{\"{name}\":{value}}}"));
        assert_eq!(found, [name.to_lowercase()], "{value}");
    }
}
