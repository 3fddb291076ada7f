//! Whether this host can run remapped containers: the host, and its daemon's settings.

use std::path::{Path, PathBuf};

use super::daemon_json::DaemonJson;
use super::daemon_start::DaemonStart;
use super::data_root::{self, names};
use super::findings::{command_line, driver, idmapped, in_use_root, parents, ranges};
use super::idmapped::{IdmappedRoot, health};
use super::remap::{Remap, user_of};
use super::{DockerError, guidance};
use crate::fs::PinnedFile;
use crate::fs::escape::escaped;
use crate::host::{Finding, filesystem, idmapped_trial, kernel, runtime, security, subids};
use crate::idmap::{Direction, IdMap, MapSpec, MountMap};
use crate::volume::probe::try_namespace;

/// Which daemon, as far as the operator says.
pub struct Daemon<'a> {
    /// Its data-root.
    pub data_root: Option<&'a Path>,
    /// Whom it remaps to.
    pub userns_remap: Option<&'a str>,
    /// How it is started.
    pub start: &'a DaemonStart,
    /// Directories that containers are to use.
    pub volumes: &'a [PathBuf],
    /// What its command line and its configuration file say.
    pub daemon_json: Result<DaemonJson, DockerError>,
}

/// Looks at everything; changes nothing.
pub fn doctor(daemon: &Daemon<'_>) -> Vec<Finding> {
    let nothing = DaemonJson::default();
    let settings = daemon.daemon_json.as_ref().unwrap_or(&nothing);
    let remap_to = settings.remap_to(daemon.userns_remap);
    let top = data_root::find(daemon.data_root, settings);
    let remap = Remap::resolve_for(&remap_to, &top, Direction::Into);

    let mut findings = kernel::findings();
    findings.extend(runtime::findings());
    findings.extend(remap.iter().map(user));
    findings.push(ranges(&remap));
    findings.extend(remap.iter().map(|remap| namespace(&remap.map)));
    let of_user = match &remap {
        Ok(remap) => remap.user.as_str(),
        Err(_) => user_of(&remap_to),
    };
    findings.extend(subids::findings(of_user));
    findings.push(configuration(daemon));
    findings.extend(command_line(daemon.start));
    findings.push(match top.is_dir() {
        true => driver(&in_use_root(&top, remap.as_ref().ok())),
        false => Finding::warning(
            "data-root",
            format!(
                "{} is not there yet; {}",
                escaped(&top),
                guidance::OTHER_DATA_ROOT
            ),
        ),
    });
    findings.extend(idmapped(&top));
    findings.extend(idmapped_roots(&top, daemon.start));
    let of_root = remap.as_ref().ok().map(|remap| remap.root);
    findings.push(parents(&top, of_root));
    let places = match top.is_dir() {
        true => filesystems(&top),
        // Where it will be made.
        false => top
            .ancestors()
            .find(|dir| dir.is_dir())
            .into_iter()
            .map(Path::to_path_buf)
            .collect(),
    };
    let mount_map = mount_map(remap.as_ref().ok());
    let mut knows_overlay = false;
    for place in places {
        findings.extend(filesystem::findings(&place));
        let Some(map) = &mount_map else { continue };
        findings.push(idmapped_trial::of_directory(&place, map));
        if !knows_overlay {
            findings.extend(idmapped_trial::of_overlay(&place, map));
            knows_overlay = true;
        }
    }
    for volume in daemon.volumes {
        findings.extend(of_volume(volume, mount_map.as_ref()));
    }
    findings.extend(security::findings());
    findings
}

/// Why a daemon does not start on a root that is remapped by a mount.
fn idmapped_roots(top: &Path, start: &DaemonStart) -> Vec<Finding> {
    let is_service = start.is_service_on(top);
    let of_root = |root: &IdmappedRoot| health::faults(root, is_service);
    // Only root may read a data-root.
    let all = match names(top) {
        Ok(_) => IdmappedRoot::all(top),
        Err(_) => Ok(Vec::new()),
    };
    let faults = all.and_then(|roots| roots.iter().map(of_root).collect::<Result<Vec<_>, _>>());
    match faults {
        Ok(faults) => faults.concat(),
        Err(error) => vec![Finding::error("idmapped root", error.to_string())],
    }
}

/// A directory that a container is to use.
fn of_volume(path: &Path, map: Option<&MountMap>) -> Vec<Finding> {
    match std::fs::canonicalize(path) {
        Err(error) => vec![Finding::error(
            "volume",
            format!("{}: {error}", escaped(path)),
        )],
        Ok(real) => {
            let mut findings = match real.is_dir() {
                true => filesystem::findings(&real),
                false => Vec::new(),
            };
            findings.extend(map.map(|map| idmapped_trial::of_directory(&real, map)));
            findings
        }
    }
}

/// The map of a mount for this user's containers; where there is no user yet, that which it would mostly get.
fn mount_map(remap: Option<&Remap>) -> Option<MountMap> {
    let usual = || {
        let spec: MapSpec = "b:0:100000:65536".parse().ok()?;
        IdMap::from_specs(&[spec]).ok()
    };
    let map = remap.map(|remap| remap.map.clone()).or_else(usual);
    map.map(|map| MountMap::exchange(&map))
}

/// Whether a user namespace with this map can be made: tried, where that can be.
fn namespace(map: &IdMap) -> Finding {
    const WHAT: &str = "user namespace";
    if !nix::unistd::geteuid().is_root() {
        return Finding::warning(WHAT, "was not tested: that needs root");
    }
    match try_namespace(map) {
        Ok(()) => Finding::ok(WHAT, "created one with these ids"),
        Err(error) => Finding::error(
            WHAT,
            format!("could not create one with these ids: {error}"),
        ),
    }
}

/// The data-root, and what of it is mounted from another filesystem.
fn filesystems(top: &Path) -> Vec<PathBuf> {
    let look = |path: &Path| PinnedFile::path(path).and_then(|pin| pin.stat());
    let mut places = vec![top.to_path_buf()];
    let mut known: Vec<u64> = look(top).iter().map(|stat| stat.dev).collect();
    for name in names(top).unwrap_or_default() {
        let path = top.join(name);
        // A daemon mounts its own root on itself.
        let is_new = look(&path)
            .is_ok_and(|stat| stat.mount_root && stat.is_dir() && !known.contains(&stat.dev));
        if is_new {
            known.extend(look(&path).iter().map(|stat| stat.dev));
            places.push(path);
        }
    }
    places
}

/// Whom the daemon remaps to. That there is nobody, [`ranges`] tells.
fn user(remap: &Remap) -> Finding {
    let account = nix::unistd::User::from_name(&remap.user).ok().flatten();
    let ids = account.map_or(String::new(), |user| {
        format!(" ({}:{})", user.uid, user.gid)
    });
    Finding::ok("remap user", format!("{}{ids}", remap.user))
}

fn configuration(daemon: &Daemon<'_>) -> Finding {
    const WHAT: &str = "daemon.json";
    let path = escaped(&daemon.start.config);
    match &daemon.daemon_json {
        Err(error) => Finding::error(WHAT, error.to_string()),
        Ok(_) if !daemon.start.config.exists() => Finding::ok(
            WHAT,
            format!(
                "{path} is not there; userns-remap is off, unless dockerd has it on \
            its command line"
            ),
        ),
        Ok(settings) => match (settings.store_feature(), settings.userns_remap.as_deref()) {
            (Some(feature), _) => Finding::error(WHAT, format!("{path} {feature}"))
                .remedy(guidance::MIGRATE_WRITES_DAEMON_JSON),
            (None, Some(value)) if !value.is_empty() => {
                Finding::ok(WHAT, format!("{path} says userns-remap: {value}"))
            }
            _ => Finding::ok(WHAT, format!("{path} does not set userns-remap")),
        },
    }
}
