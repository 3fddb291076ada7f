//! Pure: paths in a container's metadata, `config.v2.json` and `hostconfig.json`.
//!
//! Only the values of the known fields are exchanged in the text, byte by byte: whatever else is in
//! it, known to this program or not, stays as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, rename = "LogPath")]
    log_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "HostnamePath")]
    hostname_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "HostsPath")]
    hosts_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "ResolvConfPath")]
    resolv_conf_path: Option<&'a RawValue>,
    #[serde(borrow, rename = "ShmPath")]
    shm_path: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "MountPoints")]
    mount_points: Option<BTreeMap<String, MountPoint<'a>>>,
}

#[derive(Deserialize)]
struct MountPoint<'a> {
    #[serde(borrow, rename = "Source")]
    source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Spec")]
    spec: Option<Spec<'a>>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow, rename = "Source")]
    source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "VolumeOptions")]
    volume: Option<VolumeOptions<'a>>,
}

/// Of a volume that is made when the container is, `--mount type=volume,volume-opt=device=PATH`.
#[derive(Deserialize)]
struct VolumeOptions<'a> {
    #[serde(borrow, default, rename = "DriverConfig")]
    driver: Option<DriverConfig<'a>>,
}

#[derive(Deserialize)]
struct DriverConfig<'a> {
    #[serde(borrow, default, rename = "Options")]
    options: Option<BTreeMap<String, &'a RawValue>>,
}

impl<'a> Spec<'a> {
    /// The values that may be paths.
    fn paths(self) -> impl Iterator<Item = &'a RawValue> {
        let driver = self.volume.and_then(|volume| volume.driver);
        let mut options = driver.and_then(|driver| driver.options).unwrap_or_default();
        [self.source, options.remove("device")]
            .into_iter()
            .flatten()
    }
}

#[derive(Deserialize)]
struct HostConfig<'a> {
    #[serde(borrow, default, rename = "Binds")]
    binds: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default, rename = "Mounts")]
    mounts: Option<Vec<Spec<'a>>>,
}

/// What a path becomes; `None`: it stays.
pub type NewPath<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text of `config.v2.json` with its paths exchanged.
///
/// # Errors
/// It is not what dockerd writes.
pub fn rewrite_config(text: &str, new_path: NewPath<'_>) -> serde_json::Result<String> {
    let config: Config = serde_json::from_str(text)?;
    let mut values = vec![
        config.log_path,
        config.hostname_path,
        config.hosts_path,
        config.resolv_conf_path,
        config.shm_path,
    ];
    for mount in config.mount_points.unwrap_or_default().into_values() {
        values.push(mount.source);
        values.extend(mount.spec.into_iter().flat_map(Spec::paths).map(Some));
    }
    let edits = values.into_iter().flatten().map(|value| (value, new_path));
    Ok(edited(text, edits))
}

/// The text of a `config.v2.json` of the containerd image store as it is with a storage driver, for this image.
///
/// # Errors
/// It is not what dockerd writes.
pub fn with_graph_driver(text: &str, driver: &str, image: &str) -> serde_json::Result<String> {
    // Values as they are written: a number may be larger than any type holds.
    let mut config: IndexMap<String, Box<RawValue>> = serde_json::from_str(text)?;
    config.insert("Driver".into(), to_raw_value(driver)?);
    config.insert("Image".into(), to_raw_value(image)?);
    config.shift_remove("ImageManifest");
    serde_json::to_string(&config)
}

/// The text of `hostconfig.json` with the sources of its binds exchanged: somebody mounted a part of
/// the data-root by hand.
///
/// # Errors
/// It is not what dockerd writes.
pub fn rewrite_hostconfig(text: &str, new_path: NewPath<'_>) -> serde_json::Result<String> {
    let config: HostConfig = serde_json::from_str(text)?;
    let mounts = config.mounts.unwrap_or_default();
    let sources = mounts.into_iter().flat_map(Spec::paths);
    // `SOURCE:DESTINATION`, `SOURCE:DESTINATION:OPTIONS`; no source has a colon in it.
    let new_bind = |bind: &str| {
        let (source, rest) = bind.split_once(':')?;
        Some(format!("{}:{rest}", new_path(source)?))
    };
    let new_bind: NewPath<'_> = &new_bind;
    let binds = config.binds.unwrap_or_default().into_iter();
    let edits = binds
        .map(|bind| (bind, new_bind))
        .chain(sources.map(|source| (source, new_path)));
    Ok(edited(text, edits))
}

/// Exchanges strings that are given as pieces of `text`.
pub(super) fn edited<'a>(
    text: &'a str,
    values: impl Iterator<Item = (&'a RawValue, NewPath<'a>)>,
) -> String {
    let mut edits: Vec<(usize, usize, String)> = values
        .filter_map(|(value, new)| {
            let raw = value.get();
            let new = new(&serde_json::from_str::<String>(raw).ok()?)?;
            // A raw value is a slice of the text it was read from.
            let start = raw.as_ptr() as usize - text.as_ptr() as usize;
            Some((start, raw.len(), serde_json::to_string(&new).ok()?))
        })
        .collect();
    edits.sort();
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (start, len, new) in edits {
        out.push_str(&text[done..start]);
        out.push_str(&new);
        done = start + len;
    }
    out.push_str(&text[done..]);
    out
}

/// What of a container decides whether it can run remapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// It has all privileges.
    pub privileged: bool,
    /// `host`, `container:…` or nothing.
    pub pid_mode: String,
    /// `host`, `bridge`, the name of a network, …
    pub network_mode: String,
    /// `host`, `container:…` or nothing.
    pub ipc_mode: String,
    /// `host`: not remapped.
    pub userns_mode: String,
    /// A device that has another path in the container than on the host.
    pub renamed_device: Option<String>,
    /// The storage driver that keeps its files.
    pub driver: String,
    /// It runs, or did when its daemon was killed.
    pub running: bool,
}

impl Container {
    /// From the two files.
    ///
    /// # Errors
    /// One of them is not what dockerd writes.
    pub fn parse(id: &str, config: &str, hostconfig: &str) -> serde_json::Result<Container> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "Name", default)]
            name: String,
            #[serde(rename = "State", default)]
            state: State,
            #[serde(rename = "Driver", default)]
            driver: String,
        }
        #[derive(Deserialize, Default)]
        struct State {
            #[serde(rename = "Running", default)]
            running: bool,
        }
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "PascalCase")]
        struct Host {
            privileged: bool,
            pid_mode: String,
            network_mode: String,
            ipc_mode: String,
            userns_mode: String,
            devices: Option<Vec<Device>>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "PascalCase")]
        struct Device {
            path_on_host: String,
            path_in_container: String,
        }
        let named: Named = serde_json::from_str(config)?;
        let host: Host = serde_json::from_str(hostconfig)?;
        let renamed = |device: &Device| device.path_on_host != device.path_in_container;
        let devices = host.devices.unwrap_or_default();
        Ok(Container {
            id: id.to_string(),
            name: named.name.trim_start_matches('/').to_string(),
            privileged: host.privileged,
            pid_mode: host.pid_mode,
            network_mode: host.network_mode,
            ipc_mode: host.ipc_mode,
            renamed_device: devices
                .into_iter()
                .find(renamed)
                .map(|it| it.path_in_container),
            driver: named.driver,
            userns_mode: host.userns_mode,
            running: named.state.running,
        })
    }

    /// Why it does not start remapped; `None` when it does. The first three are refused by dockerd
    /// (moby `daemon/daemon_unix.go`, `verifyPlatformContainerSettings`), the others fail in runc (seen
    /// with 1.1.5): a user namespace may not mount the host's message queues, and a device is bound
    /// there by its path in the container.
    pub fn obstacle(&self) -> Option<&'static str> {
        if self.userns_mode == "host" {
            None
        } else if self.privileged {
            Some("is privileged")
        } else if self.pid_mode == "host" {
            Some("uses the host's processes (--pid=host)")
        } else if self.network_mode == "host" {
            Some("uses the host's network (--network=host)")
        } else if self.ipc_mode == "host" {
            Some("uses the host's IPC (--ipc=host)")
        } else if self.renamed_device.is_some() {
            Some("has a device under another path than the host's (--device A:B)")
        } else {
            None
        }
    }
}

impl Container {
    /// The containers whose network, processes or IPC it shares, as it names them.
    pub fn joins(&self) -> impl Iterator<Item = &str> {
        let modes = [&self.network_mode, &self.pid_mode, &self.ipc_mode];
        modes
            .into_iter()
            .filter_map(|mode| mode.strip_prefix("container:"))
    }
}

/// Why each of these does not start remapped, its own reasons and those of containers whose
/// namespaces it shares: a process cannot join one that belongs to a user namespace around its own.
pub fn obstacles<'a>(all: impl IntoIterator<Item = &'a Container>) -> Vec<Option<String>> {
    let all: Vec<&Container> = all.into_iter().collect();
    let own = |container: &&Container| container.obstacle().map(String::from);
    let mut reasons: Vec<Option<String>> = all.iter().map(own).collect();
    let named = Named::of(&all);
    let joined = |n: usize| -> Vec<usize> {
        let names = all[n].joins();
        names.filter_map(|name| named.find(name, n)).collect()
    };
    let joins: Vec<Vec<usize>> = (0..all.len()).map(joined).collect();
    let mut joined_by = vec![Vec::new(); all.len()];
    for (n, others) in joins.iter().enumerate() {
        for other in others {
            joined_by[*other].push(n);
        }
    }
    let is_host =
        |n: usize, reasons: &[Option<String>]| all[n].userns_mode == "host" || reasons[n].is_some();
    // Whoever joins one that is not remapped; the first of them first.
    let hosts = (0..all.len()).filter(|n| is_host(*n, &reasons));
    let mut held_up: BTreeSet<usize> = hosts.flat_map(|n| joined_by[n].clone()).collect();
    while let Some(n) = held_up.pop_first() {
        let other = joins[n].iter().find(|other| is_host(**other, &reasons));
        let Some(other) = other.filter(|_| !is_host(n, &reasons)) else {
            continue;
        };
        let name = &all[*other].name;
        reasons[n] = Some(format!(
            "shares a namespace with {name}, which is not remapped"
        ));
        held_up.extend(&joined_by[n]);
    }
    reasons
}

/// Containers by what they go by.
struct Named<'a> {
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Sorted.
    ids: Vec<(&'a str, usize)>,
}

impl<'a> Named<'a> {
    fn of(all: &[&'a Container]) -> Named<'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (n, container) in all.iter().enumerate() {
            by_name.entry(&container.name).or_default().push(n);
        }
        let ids = all.iter().enumerate().map(|(n, it)| (&it.id[..], n));
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        Named { by_name, ids }
    }

    /// The first container that is called this: by its name, its id or the beginning of that. Not number `but`.
    fn find(&self, name: &str, but: usize) -> Option<usize> {
        let same_name = self.by_name.get(name).into_iter().flatten().copied();
        let first = self.ids.partition_point(|(id, _)| *id < name);
        let same_id = self.ids[first..].iter();
        let same_id = same_id.take_while(|(id, _)| !name.is_empty() && id.starts_with(name));
        let same_id = same_id.map(|(_, n)| *n);
        same_name.chain(same_id).filter(|n| *n != but).min()
    }
}

/// A host directory or file that a container binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// The container may write to it.
    pub writable: bool,
}

/// The bind mounts in the text of `config.v2.json`; volumes are none.
///
/// # Errors
/// It is not what dockerd writes.
pub fn bind_mounts(config: &str) -> serde_json::Result<Vec<Bind>> {
    let all = mount_points(config)?.into_iter();
    Ok(all
        .filter(|mount| mount.r#type == "bind")
        .map(Bind::from)
        .collect())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    r#type: String,
    name: String,
    driver: String,
    source: PathBuf,
    destination: String,
    #[serde(rename = "RW")]
    rw: bool,
}

impl From<Mount> for Bind {
    fn from(mount: Mount) -> Bind {
        Bind {
            source: mount.source,
            destination: mount.destination,
            writable: mount.rw,
        }
    }
}

fn mount_points(config: &str) -> serde_json::Result<Vec<Mount>> {
    #[derive(Deserialize)]
    struct Mounts {
        #[serde(rename = "MountPoints", default)]
        all: Option<BTreeMap<String, Mount>>,
    }
    let mounts: Mounts = serde_json::from_str(config)?;
    Ok(mounts.all.unwrap_or_default().into_values().collect())
}

/// The volumes of the `local` driver in the text of `config.v2.json`: their names, and each as if it
/// were a bind mount of what Docker says its source is.
///
/// # Errors
/// It is not what dockerd writes.
pub fn local_volumes(config: &str) -> serde_json::Result<Vec<(String, Bind)>> {
    let all = mount_points(config)?;
    let local =
        |mount: &Mount| mount.r#type == "volume" && matches!(&mount.driver[..], "" | "local");
    let all = all.into_iter().filter(local);
    Ok(all
        .map(|mount| (mount.name.clone(), mount.into()))
        .collect())
}

/// The volumes in the text of `config.v2.json` that a driver other than `local` keeps: name and
/// driver.
///
/// # Errors
/// It is not what dockerd writes.
pub fn volume_drivers(config: &str) -> serde_json::Result<Vec<(String, String)>> {
    let foreign =
        |mount: &Mount| mount.r#type == "volume" && !matches!(&mount.driver[..], "" | "local");
    let all = mount_points(config)?.into_iter().filter(foreign);
    Ok(all.map(|mount| (mount.name, mount.driver)).collect())
}

/// The text of `hostconfig.json` with `UsernsMode` set to `host`; `None` where it says so already.
///
/// # Errors
/// It is not what dockerd writes.
pub fn set_userns_host(text: &str) -> serde_json::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Mode<'a> {
        #[serde(borrow, rename = "UsernsMode")]
        mode: Option<&'a RawValue>,
    }
    // An object, not an array of its values, which serde would take for one.
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)?;
    let found: Mode = serde_json::from_str(text)?;
    Ok(match found.mode {
        Some(mode) if mode.get() == "\"host\"" => None,
        Some(mode) => {
            let start = mode.get().as_ptr() as usize - text.as_ptr() as usize;
            let end = start + mode.get().len();
            Some([&text[..start], "\"host\"", &text[end..]].concat())
        }
        None => {
            let brace = text.find('{').map_or(0, |at| at + 1);
            let comma = match text[brace..].trim_start().starts_with('}') {
                true => "",
                false => ",",
            };
            Some(
                [
                    &text[..brace],
                    "\"UsernsMode\":\"host\"",
                    comma,
                    &text[brace..],
                ]
                .concat(),
            )
        }
    })
}

#[cfg(test)]
mod tests {
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
    fn many_containers_that_join_each_other_are_held_up_as_if_looked_at_one_by_one() {
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
}
