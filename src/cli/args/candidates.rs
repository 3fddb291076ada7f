//! What this host has that can be named on a command line. What cannot be read gives no candidates: a shell that
//! completes has no place for errors.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter};

use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root::{self, DockerRoot, is_remapped_name, names};
use crate::idmap::subid::SubidFile;
use crate::journal::Store;
use crate::journal::id::{DEFAULT_PLACE, id_of};
use crate::mounts;
use crate::volume::binds::compose::Selection;
use crate::volume::binds::files::read_project;

/// Journals, newest first, and `latest`.
pub fn journals(current: &OsStr) -> Vec<CompletionCandidate> {
    let files = Store::at(DEFAULT_PLACE).files().unwrap_or_default();
    let ids = files.iter().rev().filter_map(|file| id_of(file));
    let all = ["latest"].into_iter().chain(ids);
    starting_with(current, all.map(String::from))
}

/// Journals, and files and directories.
pub fn journals_and_paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = journals(current);
    all.extend(paths(current));
    all
}

/// Files and directories whose names are the same to a shell as they are.
pub fn paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut paths = PathCompleter::any().complete(current);
    paths.retain(|path| path.get_value().to_str().is_some_and(is_plain));
    paths
}

/// Users with a range in `/etc/subuid`.
pub fn subid_users(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = std::fs::read("/etc/subuid").unwrap_or_default();
    let lines = SubidFile::parse(&text, "subuid").map(|file| file.lines().to_vec());
    let owners = lines
        .into_iter()
        .flatten()
        .map(|line| line.owner)
        .collect::<BTreeSet<_>>();
    starting_with(current, owners)
}

/// Whom a daemon can be told to remap to.
pub fn remap_users(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = starting_with(current, ["default".to_string()]);
    all.extend(subid_users(current));
    all
}

/// Containers of the daemon that this host starts, also of its remapped roots.
pub fn containers(current: &OsStr) -> Vec<CompletionCandidate> {
    let container_names = |root: &DockerRoot| -> Vec<String> {
        let files = root.container_files().unwrap_or_default();
        let parsed = files.iter().filter_map(|files| files.parse(root).ok());
        parsed.map(|container| container.name).collect()
    };
    let roots = roots();
    let found = roots.iter().flat_map(container_names);
    starting_with(current, found.collect::<BTreeSet<_>>())
}

/// Directories of the volumes of the daemon that this host starts, also of its remapped roots, and other paths.
pub fn volumes_and_paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let directories = |root: &DockerRoot| -> Vec<String> {
        let volumes = root.volumes().unwrap_or_default().into_iter();
        let top = root.path.display();
        let directory = |name: String| format!("{top}/volumes/{name}/_data");
        volumes.map(directory).collect()
    };
    let roots = roots();
    let found = roots.iter().flat_map(directories);
    let mut all = starting_with(current, found.collect::<BTreeSet<_>>());
    all.extend(paths(current));
    all
}

/// Mount points of `idshift mount`, also those that a unit makes.
pub fn mount_points(current: &OsStr) -> Vec<CompletionCandidate> {
    let made = mounts::record::all().unwrap_or_default();
    let made = made.into_iter().map(|it| it.target.as_path().to_path_buf());
    let targets: BTreeSet<PathBuf> = made.chain(mounts::unit::targets()).collect();
    let names = targets.iter().filter_map(|path| path.to_str());
    starting_with(current, names.map(String::from))
}

/// Services of the Compose file in the working directory.
pub fn compose_services(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = [
        "compose.yaml",
        "compose.yml",
        "docker-compose.yaml",
        "docker-compose.yml",
    ];
    let file = names.iter().map(PathBuf::from).find(|name| name.exists());
    let services = file.and_then(|file| {
        let wanted = Selection {
            profiles: vec!["*".into()],
            ..Selection::default()
        };
        read_project(&[file], &wanted).ok()
    });
    let all = services.unwrap_or_default();
    starting_with(current, all.into_iter().map(|service| service.name))
}

/// Tags of the images of the daemon that this host starts, also of its remapped roots.
pub fn images(current: &OsStr) -> Vec<CompletionCandidate> {
    let tags = |root: &DockerRoot| -> Vec<String> {
        let drivers = root.drivers().unwrap_or_default();
        let files = drivers
            .iter()
            .map(|driver| root.path.join(format!("image/{driver}/repositories.json")));
        files.flat_map(|file| tags_in(&file)).collect()
    };
    let roots = roots();
    let found = roots.iter().flat_map(tags);
    starting_with(current, found.collect::<BTreeSet<_>>())
}

fn tags_in(file: &Path) -> Vec<String> {
    let text = std::fs::read(file).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let repositories = json["Repositories"].as_object();
    let tags = repositories
        .into_iter()
        .flat_map(|all| all.values())
        .filter_map(serde_json::Value::as_object);
    tags.flat_map(|tags| tags.keys().cloned()).collect()
}

fn roots() -> Vec<DockerRoot> {
    let Ok(settings) = DaemonStart::of_host(None).settings() else {
        return Vec::new();
    };
    let top = data_root::find(None, &settings);
    let below = names(&top).unwrap_or_default().into_iter();
    let remapped = below.filter(|name| is_remapped_name(name));
    let inner = remapped.map(|name| top.join(name)).collect::<Vec<_>>();
    inner.into_iter().chain([top]).map(DockerRoot::at).collect()
}

fn starting_with(
    current: &OsStr,
    all: impl IntoIterator<Item = String>,
) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy().into_owned();
    let fitting = all.into_iter().filter(|name| name.starts_with(&typed));
    fitting
        .filter(|name| is_plain(name))
        .enumerate()
        .map(|(n, name)| CompletionCandidate::new(name).display_order(Some(n)))
        .collect()
}

/// Names are made by others, and Bash inserts them as they are: `$(…)` would be run, and `--force` would be an option.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/:@+,=%".contains(c);
    !name.starts_with('-') && name.chars().all(is_plain)
}
