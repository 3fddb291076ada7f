//! What stands in the way of a migration.

use std::path::Path;

use crate::docker::conversion::leftover;
use crate::docker::conversion::leftover::staging_name;
use crate::docker::conversion::plan::Conversion;
use crate::docker::create_user::NewUser;
use crate::docker::daemon_json::DaemonJson;
use crate::docker::daemon_start::image_options::ImageOptions;
use crate::docker::data_root::{
    ASIDE, CONVERTED, COPY, DockerRoot, count, is_remapped_name, names,
};
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
use crate::store_move::copy::earlier;

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
        Ok(None) => image_store::no_more_used(root).map(|store| match store {
            UnusedStore::Converted(found, help) => Finding::ok(WHAT, found).remedy(help),
            UnusedStore::HasImages(found, help) => Finding::warning(WHAT, found).remedy(help),
        }),
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

fn left_over(top: &Path, name: &str) -> Finding {
    let path = top.join(name);
    if name.starts_with(COPY) && !earlier::is_unused(&path) {
        let found = format!(
            "{name} is the copy of an earlier migration that was undone; what was written to it since may be nowhere else"
        );
        let help = format!(
            "look at it; mv {} /root/ keeps it out of the data-root",
            shell_word(&path)
        );
        return Finding::ok(REMAPPED_ROOT, found).remedy(help);
    }
    let found = format!("{name} is left over from an earlier migration; it stays");
    let help = format!(
        "rm -rf {}, when you do not need it any more",
        shell_word(&path)
    );
    Finding::ok(REMAPPED_ROOT, found).remedy(help)
}

/// What is said of roots of remapped daemons.
pub const REMAPPED_ROOT: &str = "remapped root";

fn remapped_roots(top: &Path, remap: &Remap) -> Result<Vec<Finding>, DockerError> {
    let mut findings = Vec::new();
    let range_dir = remap.dir_name();
    for name in names(top)? {
        if name.starts_with(ASIDE) || name.starts_with(COPY) {
            findings.push(left_over(top, &name));
        }
        findings.extend(unfinished_conversion(top, &name, &range_dir));
        if !is_remapped_name(&name) {
            continue;
        }
        let plain = image_store::content_of(&DockerRoot::at(top))?;
        // Of one that is remapped by a mount, more is told elsewhere.
        if IdmappedRoot::find(top, &name)?.is_some() {
            findings.extend(plain.map(|plain| beside_it(&name, &plain)));
            continue;
        }
        let content = image_store::content_of(&DockerRoot::at(top.join(&name)))?;
        let is_own = name == range_dir;
        findings.push(remapped_root(
            &name,
            is_own,
            content.as_deref(),
            plain.as_deref(),
        ));
    }
    Ok(findings)
}

/// A remapped root, with its content and that of the plain one; `is_own`: it is of the daemon's range.
fn remapped_root(name: &str, is_own: bool, content: Option<&str>, plain: Option<&str>) -> Finding {
    match (content, is_own, plain) {
        (None, true, _) => Finding::ok(
            REMAPPED_ROOT,
            format!("{name} is there and unused; it is renamed and kept"),
        ),
        (None, false, _) => Finding::ok(
            REMAPPED_ROOT,
            format!("{name}, of another range, is there and unused; it stays"),
        ),
        (Some(holds), true, None) => {
            let found = format!(
                "{name} holds {holds}, and the plain root nothing: this host is remapped already"
            );
            Finding::error(REMAPPED_ROOT, found)
                .remedy("there is nothing to migrate; idshift docker revert goes back")
        }
        (Some(holds), true, Some(plain)) => {
            let found = format!("{name} holds {holds}; the plain root holds {plain}");
            Finding::error(REMAPPED_ROOT, found).remedy(format!(
                "two roots cannot be merged: decide which one stays. If {name} does, start Docker with userns-remap, \
                and there is nothing to migrate. If the plain root does, save what you need of {name} with a \
                remapped daemon, then move {name} away"
            ))
        }
        (Some(holds), false, _) => {
            let found = format!("{name}, of another range, holds {holds}; it stays");
            Finding::warning(REMAPPED_ROOT, found)
        }
    }
}

/// What a conversion had made that was cut short before it changed anything.
fn unfinished_conversion(top: &Path, name: &str, range_dir: &str) -> Option<Finding> {
    let dir = top.join(name);
    if !name.starts_with(CONVERTED) || !leftover::is_unfinished(&dir) {
        return None;
    }
    let found = format!("{name} is of a conversion that was cut short before it changed anything");
    let help = match name == staging_name(range_dir) {
        true => "the next migration removes it".to_string(),
        false => format!("rm -rf {}", shell_word(&dir)),
    };
    Some(Finding::ok("earlier conversion", found).remedy(help))
}

/// A daemon that was started without userns-remap has made something where the remapped one does not look.
fn beside_it(name: &str, plain: &str) -> Finding {
    let found =
        format!("beside {name}, the plain root holds {plain}, which no remapped daemon shows");
    Finding::warning("plain root", found).remedy(
        "save what you need of it with a daemon without userns-remap, and remove it there; idshift docker revert \
        refuses until then",
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_removes_the_leftovers_only() {
        let told = left_over(Path::new("/srv/docker data"), "idshift-aside-1.1");
        let help = told.remedy.unwrap();
        assert!(
            help.starts_with("rm -rf '/srv/docker data/idshift-aside-1.1'"),
            "{help}"
        );
    }
}
