//! What stands in the way of a migration.

use std::path::Path;

use super::remapped_roots::remapped_roots;
use crate::docker::conversion::plan::Conversion;
use crate::docker::create_user::NewUser;
use crate::docker::daemon_json::DaemonJson;
use crate::docker::daemon_start::image_options::ImageOptions;
use crate::docker::data_root::{DockerRoot, count, is_remapped_name, names};
pub use crate::docker::findings::{command_line, idmapped};
use crate::docker::findings::{driver, in_use_root, parents, ranges};
use crate::docker::idmapped::IdmappedRoot;
use crate::docker::image_store::{self, UnusedStore};
use crate::docker::remap::Remap;
use crate::docker::steps::why_not_renamed;
use crate::docker::{DockerError, Reason, guidance, swarm};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::{PinnedFile, Stat};
use crate::host::{Finding, kernel, runtime, subids};
use crate::preflight;
use crate::preflight::in_use::{self, TreeInUse};
use crate::preflight::in_use::{remedy_of_service, users};

/// The host, its ranges and its daemon's settings. `new_user` is what would be made where there are
/// no ranges.
pub fn host(
    remap: &Result<Remap, DockerError>,
    new_user: Option<&NewUser>,
    (daemon_json, told): (&DaemonJson, &ImageOptions),
) -> Vec<Finding> {
    let mut findings = match new_user {
        Some(new) => {
            let found = format!("not there yet: {}", new.missing().join(", "));
            vec![Finding::warning("id ranges", found).remedy(guidance::MIGRATE_CREATES_USER)]
        }
        None => vec![ranges(remap)],
    };
    if let Ok(remap) = remap {
        // The lines themselves are told already.
        let of_user = subids::findings(&remap.user);
        findings.extend(of_user.into_iter().filter(|it| it.remedy.is_some()));
    }
    findings.push(kernel::user_namespaces());
    findings.extend(runtime::dockerd().map(|docker| Finding::ok("Docker", docker.version)));
    findings.extend(store_switched_on(daemon_json, told));
    findings
}

fn store_switched_on(daemon_json: &DaemonJson, told: &ImageOptions) -> Option<Finding> {
    if let Some(told) = &told.feature {
        let why = Reason::StoreSwitchedOnThere(told.text.clone());
        let found = DockerError::in_the_way(&told.place, why);
        return Some(Finding::error("image store", found.to_string()));
    }
    daemon_json.store_feature().map(|feature| {
        Finding::warning("image store", format!("daemon.json {feature}"))
            .remedy(guidance::MIGRATE_WRITES_DAEMON_JSON)
    })
}

/// Images and container files that are in containerd.
pub fn image_store(
    root: &DockerRoot,
    checked: Result<Option<Conversion>, DockerError>,
) -> Option<Finding> {
    const WHAT: &str = "containerd store";
    match checked {
        Err(DockerError::InContainerd { path, what, remedy }) => {
            let found = format!(
                "{}: {what} in the containerd image store, and cannot be migrated",
                escaped(&path)
            );
            Some(Finding::error(WHAT, found).remedy(remedy))
        }
        Err(error) => Some(Finding::error(WHAT, error.to_string())),
        Ok(Some(it)) => {
            let found = format!(
                "{} and {} in {} become overlay2 layers; images get other ids",
                count(it.images.len(), "image"),
                count(it.containers.len(), "container"),
                escaped(&it.containerd.path),
            );
            Some(Finding::warning(WHAT, found))
        }
        Ok(None) => match image_store::no_more_used(root) {
            Err(error) => Some(Finding::error(WHAT, error.to_string())),
            Ok(store) => store.map(|store| match store {
                UnusedStore::Converted(found, help) => Finding::ok(WHAT, found).remedy(help),
                UnusedStore::HasImages(found, help) => Finding::warning(WHAT, found).remedy(help),
            }),
        },
    }
}

/// The data-root itself.
///
/// # Errors
/// It cannot be read.
pub fn data_root(root: &DockerRoot, remap: Option<&Remap>) -> Result<Vec<Finding>, DockerError> {
    let mut findings = vec![
        driver(&in_use_root(&root.path, remap)),
        parents(&root.path, remap.map(|remap| remap.root)),
    ];
    if let Some(remap) = remap {
        findings.extend(remapped_roots(&root.path, remap)?);
    }
    findings.extend(in_swarm(root));
    findings.extend(plugins(root)?);
    findings.extend(filesystems(root)?);
    findings.extend(quotas(&root.path));
    Ok(findings)
}

/// Who has the data-root open: the daemon, mostly, and its containers. `containerd`: its directory, where that is
/// carried. `mounted`: what a daemon has mounted there. With containers that run, it goes without saying.
pub fn daemon(
    top: &Path,
    containerd: Option<&Path>,
    running: &[String],
    mounted: Option<Finding>,
) -> Vec<Finding> {
    const WHAT: &str = "daemon";
    let tree = |path: &Path| {
        let stat: Stat = PinnedFile::path(path).and_then(|pin| pin.stat()).ok()?;
        Some(TreeInUse {
            path: path.to_path_buf(),
            dev: stat.dev,
            ino: stat.identity.ino,
        })
    };
    let Some(of_daemon) = tree(top) else {
        return mounted.into_iter().collect();
    };
    let trees: Vec<TreeInUse> = [of_daemon]
        .into_iter()
        .chain(containerd.and_then(tree))
        .collect();
    let uses = match in_use::users_of(&trees) {
        Ok(uses) => uses,
        Err(error) => {
            let unknown = Finding::warning(
                WHAT,
                format!("cannot tell who uses the data-root: /proc: {error}"),
            );
            return mounted.into_iter().chain([unknown]).collect();
        }
    };
    if uses.is_empty() {
        return mounted
            .into_iter()
            .chain([Finding::ok(WHAT, "is stopped")])
            .collect();
    }
    let daemon = uses.iter().find(|one| one.command == "dockerd");
    let found = match daemon {
        Some(daemon) => format!(
            "is running: process {} ({}) uses the data-root",
            daemon.pid, daemon.command
        ),
        None => format!("is stopped, and {}", users(top, &uses[..1])),
    };
    let help = format!("{}, before migrate", remedy_of_service(top, &uses));
    let mounted = mounted.filter(|_| daemon.is_none() || running.is_empty());
    let mut findings: Vec<Finding> = mounted.into_iter().collect();
    findings.push(Finding::warning(WHAT, found).remedy(help));
    if !running.is_empty() {
        let found = format!("{} running: {}", running.len(), running.join(", "));
        let names: Vec<String> = (running.iter())
            .map(|name| shell_word(Path::new(name)))
            .collect();
        findings.push(Finding::warning("containers", found).remedy(format!(
            "`docker stop {}` first. With live-restore, containers keep running without the daemon",
            names.join(" ")
        )));
    }
    findings
}

fn in_swarm(root: &DockerRoot) -> Option<Finding> {
    swarm::is_member(root).then(|| {
        Finding::warning("swarm", "this host is in a swarm; its state moves as it is")
            .remedy("drain the node first: docker node update --availability drain self")
    })
}

fn plugins(root: &DockerRoot) -> Result<Option<Finding>, DockerError> {
    let plugins = names(&root.path.join("plugins"))?;
    // A plugin's directory is named by its whole id.
    let installed = plugins.iter().filter(|name| name.len() == 64).count();
    Ok((installed > 0).then(|| {
        let found = format!("{installed} installed; they run as the host's root");
        Finding::warning("plugins", found).remedy("disable them, and try each after the migration")
    }))
}

/// Entries that cannot be renamed.
fn filesystems(root: &DockerRoot) -> Result<Vec<Finding>, DockerError> {
    let mut findings = Vec::new();
    for name in names(&root.path)? {
        let path = root.path.join(&name);
        let Ok(stat) = PinnedFile::path(&path).and_then(|pin| pin.stat()) else {
            continue;
        };
        // The mount of a root that is remapped by one is no part of another filesystem.
        let is_idmapped =
            is_remapped_name(&name) && IdmappedRoot::find(&root.path, &name)?.is_some();
        if let Some(why) = why_not_renamed(&path, &stat).filter(|_| !is_idmapped) {
            let found = format!("{} {why}", escaped(&path));
            let help = "move it into the data-root's filesystem; /usr/share/doc/idshift/docs/docker.md has another way";
            findings.push(Finding::error("filesystems", found).remedy(help));
        }
    }
    Ok(findings)
}

/// Limits of layers and volumes are kept by project id, which shifting leaves alone.
fn quotas(top: &Path) -> Option<Finding> {
    preflight::has_project_quotas(top).then(|| {
        Finding::warning(
            "project quotas",
            "are on: limits of sizes stay, and usage is counted for the shifted ids",
        )
        .remedy("user and group quotas, where you have them, must be set for the range's ids")
    })
}
