//! Whom a container or an image runs as, from the data-root alone: the daemon is not asked.
//!
//! Names are looked up as the daemon does it, in `/etc/passwd` and `/etc/group` of the container's
//! layers (moby `daemon/oci_linux.go`, `getUser`; moby/sys/user `GetExecUser`). What is in a layer
//! may be anybody's work: nothing in it is followed.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use thiserror::Error;

use super::DockerError;
use super::conversion::lookup;
use super::data_root::{ContainerFiles, DockerRoot, names, not_json, read_text};
use super::image_store;
use crate::volume::user::ContainerUser;

/// A container found by its name or id.
#[derive(Clone, Debug)]
pub struct FoundUser {
    /// Its user.
    pub user: ContainerUser,
    /// It runs with `--userns=host`.
    pub is_host: bool,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "User", default)]
    user: String,
}

/// The user that a container runs as; by name, id or the beginning of one. The first of the roots
/// that has it tells.
///
/// # Errors
/// There is no such container, or its user cannot be looked up.
pub fn of_container(roots: &[DockerRoot], wanted: &str) -> Result<FoundUser, DockerError> {
    let mut known = Vec::new();
    let mut by_id = None;
    for root in roots {
        for files in root.container_files()? {
            let container = files.parse(root)?;
            let found = (root, container.userns_mode == "host", files);
            if container.name == wanted {
                return FoundUser::of(found);
            }
            if wanted.len() >= 4 && container.id.starts_with(wanted) {
                by_id.get_or_insert(found);
            }
            known.push(container.name);
        }
    }
    match by_id {
        Some(found) => FoundUser::of(found),
        None => Err(not_there("container", "containers", roots, wanted, known)),
    }
}

impl FoundUser {
    fn of(
        (root, is_host, files): (&DockerRoot, bool, ContainerFiles),
    ) -> Result<FoundUser, DockerError> {
        let user = user_of(root, &files)?;
        Ok(FoundUser { user, is_host })
    }
}

fn not_there(
    kind: &str,
    dir: &str,
    roots: &[DockerRoot],
    wanted: &str,
    mut known: Vec<String>,
) -> DockerError {
    known.sort();
    known.dedup();
    let there = match &known[..] {
        [] => "there is none. Is it the right --data-root?".to_string(),
        names => format!("there are: {}", names.join(", ")),
    };
    let path = roots.first().map(|root| root.path.join(dir));
    let path = path.unwrap_or_default();
    DockerError::in_the_way(path, format!("there is no {kind} {wanted}; {there}"))
}

/// The user that this container runs as.
///
/// # Errors
/// Its metadata is not what dockerd writes, or a name is in none of its layers.
pub fn user_of(root: &DockerRoot, files: &ContainerFiles) -> Result<ContainerUser, DockerError> {
    #[derive(Deserialize)]
    struct Container {
        #[serde(rename = "Config")]
        config: Config,
        #[serde(rename = "Driver", default)]
        driver: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Host {
        #[serde(rename = "GroupAdd")]
        group_add: Option<Vec<String>>,
    }
    let dir = root.path.join("containers").join(&files.id);
    let container: Container = serde_json::from_str(&files.config)
        .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?;
    let host: Host = serde_json::from_str(files.hostconfig.as_deref().unwrap_or("{}"))
        .map_err(|error| not_json(&dir.join("hostconfig.json"), &error))?;
    let driver = &container.driver;
    let mount_id = root.path.join(format!(
        "image/{driver}/layerdb/mounts/{}/mount-id",
        files.id
    ));
    let layers = match read_text(&mount_id)? {
        Some(layer) => layers(&root.path, driver, layer.trim()),
        None => store_layers(root, &files.id)?,
    };
    let accounts = Accounts::of(&layers);
    accounts
        .resolve(&container.config.user, &host.group_add.unwrap_or_default())
        .map_err(|error| DockerError::in_the_way(dir, error.to_string()))
}

/// The directories of a container whose files are in containerd, topmost first.
fn store_layers(root: &DockerRoot, id: &str) -> Result<Vec<PathBuf>, DockerError> {
    let (stores, namespace) = image_store::stores_of(root);
    for store in &stores {
        let layers = lookup::container_layers(store, &namespace, id)?;
        if !layers.is_empty() {
            return Ok(layers);
        }
    }
    Ok(Vec::new())
}

/// The user of an image that is in containerd.
fn image_in_store(
    root: &DockerRoot,
    wanted: &str,
    known: &mut Vec<String>,
) -> Result<Option<ContainerUser>, DockerError> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(default)]
        config: Option<Config>,
    }
    let (stores, namespace) = image_store::stores_of(root);
    for store in &stores {
        let tagged = familiar(wanted);
        let Some(found) = lookup::image(store, &namespace, (&tagged, wanted), known)? else {
            continue;
        };
        let image: Image =
            serde_json::from_slice(&found.config).map_err(|error| not_json(&found.path, &error))?;
        let user = image.config.map(|config| config.user).unwrap_or_default();
        let accounts = Accounts::of(&found.layers);
        let user = accounts.resolve(&user, &[]);
        return user
            .map(Some)
            .map_err(|error| DockerError::in_the_way(found.path, error.to_string()));
    }
    Ok(None)
}

/// The user that an image runs as; by name and tag, by id or the beginning of one. The first of the
/// roots that has it tells.
///
/// # Errors
/// There is no such image, or its user cannot be looked up.
pub fn of_image(roots: &[DockerRoot], wanted: &str) -> Result<ContainerUser, DockerError> {
    let mut known = Vec::new();
    for root in roots {
        if let Some(user) = image_in(root, wanted, &mut known)? {
            return Ok(user);
        }
        if let Some(user) = image_in_store(root, wanted, &mut known)? {
            return Ok(user);
        }
    }
    Err(not_there("image", "image", roots, wanted, known))
}

/// As the daemon writes it into `repositories.json`: without the default registry and with a tag
/// (distribution `reference.FamiliarString`, `TagNameOnly`).
fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = match name.strip_prefix("library/") {
        Some(rest) if !rest.contains('/') => rest,
        _ => name,
    };
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    match last.contains([':', '@']) {
        true => name.to_string(),
        false => format!("{name}:latest"),
    }
}

fn image_in(
    root: &DockerRoot,
    wanted: &str,
    known: &mut Vec<String>,
) -> Result<Option<ContainerUser>, DockerError> {
    #[derive(Deserialize)]
    struct Repositories {
        #[serde(rename = "Repositories", default)]
        all: HashMap<String, HashMap<String, String>>,
    }
    #[derive(Deserialize)]
    struct Image {
        #[serde(default)]
        config: Option<Config>,
        rootfs: RootFs,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    let tagged = familiar(wanted);
    for driver in root.drivers()? {
        let image_dir = root.path.join("image").join(&driver);
        let path = image_dir.join("repositories.json");
        let repositories: Repositories = match read_text(&path)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| not_json(&path, &error))?,
            None => continue,
        };
        let mut refs = repositories.all.into_values().flatten();
        let by_name = refs.find_map(|(name, id)| {
            let is_it = name == tagged;
            known.push(name);
            is_it.then_some(id)
        });
        let content = image_dir.join("imagedb/content/sha256");
        let id = match by_name {
            Some(id) => id.trim_start_matches("sha256:").to_string(),
            None => {
                let prefix = wanted.trim_start_matches("sha256:");
                let ids = names(&content)?;
                match ids
                    .into_iter()
                    .find(|id| prefix.len() >= 4 && id.starts_with(prefix))
                {
                    Some(id) => id,
                    None => continue,
                }
            }
        };
        let path = content.join(id);
        let text = read_text(&path)?.unwrap_or_default();
        let image: Image = serde_json::from_str(&text).map_err(|error| not_json(&path, &error))?;
        let layer = top_layer(&image_dir, &image.rootfs.diff_ids)?;
        let accounts = Accounts::of(&layers(&root.path, &driver, &layer));
        let user = image.config.map(|config| config.user).unwrap_or_default();
        return accounts
            .resolve(&user, &[])
            .map(Some)
            .map_err(|error| DockerError::in_the_way(path, error.to_string()));
    }
    Ok(None)
}

/// The driver's name of the layer on top of a chain, found from the bottom up: each layer's
/// directory says what it is (`diff`), what it stands on (`parent`), and what the driver calls it
/// (`cache-id`).
fn top_layer(image_dir: &Path, diff_ids: &[String]) -> Result<String, DockerError> {
    let layers = image_dir.join("layerdb/sha256");
    let read = |chain: &str, file: &str| -> Result<Option<String>, DockerError> {
        let text = read_text(&layers.join(chain).join(file))?;
        Ok(text.map(|text| text.trim().to_string()))
    };
    let chains = names(&layers)?;
    let mut below: Option<String> = None;
    for diff_id in diff_ids {
        let mut found = None;
        for chain in &chains {
            let stands_on = below.as_ref().map(|chain| format!("sha256:{chain}"));
            if read(chain, "diff")?.as_deref() == Some(diff_id)
                && read(chain, "parent")? == stands_on
            {
                found = Some(chain.clone());
                break;
            }
        }
        below = Some(found.ok_or_else(|| {
            DockerError::in_the_way(&layers, format!("the layer {diff_id} is not there"))
        })?);
    }
    match below {
        Some(chain) => Ok(read(&chain, "cache-id")?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// The directories that a layer of a driver is made of, topmost first.
fn layers(root: &Path, driver: &str, id: &str) -> Vec<PathBuf> {
    // Ids are hexadecimal: nothing else is a path of ours.
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    match driver {
        "vfs" => vec![root.join("vfs/dir").join(id)],
        "btrfs" => vec![root.join("btrfs/subvolumes").join(id)],
        _ => {
            let home = root.join(driver);
            let mut dirs = vec![home.join(id).join("diff")];
            let lower = read_text(&home.join(id).join("lower")).ok().flatten();
            for link in lower.unwrap_or_default().trim().split(':') {
                // `l/ABC`, a symlink to `../ID/diff` that dockerd made.
                dirs.extend(std::fs::canonicalize(home.join(link)));
            }
            dirs
        }
    }
}

/// Users and groups of a container.
#[derive(Default)]
struct Accounts {
    /// Name, uid, gid.
    users: Vec<(String, u32, u32)>,
    /// Name, gid, members.
    groups: Vec<(String, u32, Vec<String>)>,
}

/// A name that an image's accounts do not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum UnknownAccount {
    #[error("its user {0} is not in /etc/passwd of its layers")]
    User(String),
    #[error("its group {0} is not in /etc/group of its layers")]
    Group(String),
}

impl Accounts {
    fn of(layers: &[PathBuf]) -> Accounts {
        let read = |name: &str| {
            layers
                .iter()
                .find_map(|layer| read_etc(layer, name))
                .flatten()
        };
        Accounts::parse(
            &read("passwd").unwrap_or_default(),
            &read("group").unwrap_or_default(),
        )
    }

    fn parse(passwd: &str, group: &str) -> Accounts {
        let user = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else {
                return None;
            };
            Some((name.to_string(), uid.parse().ok()?, gid.parse().ok()?))
        };
        let group_of = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else {
                return None;
            };
            let members = members.split(',').map(str::to_string).collect();
            Some((name.to_string(), gid.parse().ok()?, members))
        };
        Accounts {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }

    /// `USER`, `USER:GROUP`, names or numbers; nothing means root.
    fn resolve(&self, spec: &str, group_add: &[String]) -> Result<ContainerUser, UnknownAccount> {
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let user = if user.is_empty() { "0" } else { user };
        let number: Option<u32> = user.parse().ok();
        let entry = self
            .users
            .iter()
            .find(|(name, uid, _)| name == user || Some(*uid) == number);
        let mut found = match (entry, number) {
            (Some(&(_, uid, gid)), _) => ContainerUser {
                uid,
                gid,
                groups: Vec::new(),
            },
            (None, Some(uid)) => ContainerUser {
                uid,
                gid: 0,
                groups: Vec::new(),
            },
            (None, None) => {
                return Err(UnknownAccount::User(user.to_string()));
            }
        };
        match group {
            "" => {
                let is_member =
                    |members: &[String]| entry.is_some_and(|(name, ..)| members.contains(name));
                let member_of = self
                    .groups
                    .iter()
                    .filter(|(_, _, members)| is_member(members));
                found.groups.extend(member_of.map(|&(_, gid, _)| gid));
            }
            group => found.gid = self.gid(group)?,
        }
        for group in group_add {
            let gid = self.gid(group)?;
            found.groups.push(gid);
        }
        Ok(found)
    }

    fn gid(&self, group: &str) -> Result<u32, UnknownAccount> {
        let number: Option<u32> = group.parse().ok();
        let entry = self
            .groups
            .iter()
            .find(|(name, gid, _)| name == group || Some(*gid) == number);
        let gid = entry.map(|&(_, gid, _)| gid).or(number);
        gid.ok_or_else(|| UnknownAccount::Group(group.to_string()))
    }
}

/// A file of a layer's `/etc`: `None` where the layer does not have it, `Some(None)` where it, or
/// all of `/etc`, was deleted.
fn read_etc(layer: &Path, name: &str) -> Option<Option<String>> {
    // More than any of them is.
    const MOST: u64 = 1 << 20;
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = |dir: Option<&OwnedFd>, name: &Path, more: OFlags| match dir {
        None => rustix::fs::open(name, flags | more, Mode::empty()),
        Some(dir) => rustix::fs::openat(dir, name, flags | more, Mode::empty()),
    };
    let top = open(None, layer, OFlags::DIRECTORY).ok()?;
    let etc = match open(Some(&top), Path::new("etc"), OFlags::DIRECTORY) {
        Ok(etc) => etc,
        Err(rustix::io::Errno::NOENT) => return None,
        // A whiteout, or nothing that we would follow.
        Err(_) => return Some(None),
    };
    match open(Some(&etc), Path::new(name), OFlags::RDONLY) {
        Ok(file) => {
            let file = std::fs::File::from(file);
            let is_file = file.metadata().is_ok_and(|found| found.is_file());
            let mut text = String::new();
            let read = is_file.then(|| file.take(MOST).read_to_string(&mut text));
            Some(read.and_then(Result::ok).map(|_| text))
        }
        Err(rustix::io::Errno::NOENT) => None,
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_familiar_name() {
        for (name, familiar_name) in [
            ("rabbitmq", "rabbitmq:latest"),
            ("rabbitmq:3", "rabbitmq:3"),
            ("docker.io/library/rabbitmq", "rabbitmq:latest"),
            ("library/rabbitmq:3", "rabbitmq:3"),
            ("docker.io/bitnami/rabbitmq:3", "bitnami/rabbitmq:3"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("app@sha256:0123", "app@sha256:0123"),
        ] {
            assert_eq!(familiar(name), familiar_name);
        }
    }

    #[test]
    fn users_are_looked_up_as_the_daemon_does() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\nrabbitmq:x:999:998::/var/lib/rabbitmq:/bin/sh\nbad line\n",
            "root:x:0:\nrabbitmq:x:998:\nssl:x:101:rabbitmq,other\nadm:x:4:root\n",
        );
        let user = |spec: &str, add: &[&str]| {
            let add: Vec<String> = add.iter().map(std::string::ToString::to_string).collect();
            let found = accounts.resolve(spec, &add)?;
            Ok::<_, UnknownAccount>((found.uid, found.gid, found.groups))
        };
        assert_eq!(user("", &[]), Ok((0, 0, vec![4])));
        assert_eq!(user("rabbitmq", &[]), Ok((999, 998, vec![101])));
        assert_eq!(
            user("999", &["adm", "55"]),
            Ok((999, 998, vec![101, 4, 55]))
        );
        assert_eq!(user("rabbitmq:ssl", &[]), Ok((999, 101, vec![])));
        assert_eq!(user("1234", &[]), Ok((1234, 0, vec![])));
        assert_eq!(user("1234:55", &[]), Ok((1234, 55, vec![])));
        assert!(user("nobody-there", &[]).is_err());
        assert!(user("999:nothing", &[]).is_err());
    }
}
