//! What an operator should know before a data-root is migrated. Reads only; also on a live host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DockerError;
use super::container::Bind;
use super::data_root::{DockerRoot, Holds, is_remapped_name, names};
use super::migrate::{MigrateRequest, Migration};
use super::remap::Remap;
use crate::engine::{Monitor, Stop};
use crate::fs::in_use::{self, Tree};
use crate::fs::{Pin, Stat};
use crate::idmap::Direction;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Warning,
    /// It stands in the way.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A container that will not work as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Troubled {
    /// Its name.
    pub container: String,
    /// What is the matter.
    pub why: String,
    /// What helps.
    pub remedy: String,
}

/// A host directory or file that a container binds.
#[derive(Clone, Debug, Serialize)]
pub struct BindMount {
    /// The container.
    pub container: String,
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// The container may not write to it.
    pub read_only: bool,
    /// Its owner and mode on the host; `None` where it is not there.
    pub owner: Option<String>,
    /// What is to be done about it, for people.
    pub advice: String,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The data-root.
    pub data_root: PathBuf,
    /// The user the ranges belong to, and the map; `None` where there is none yet.
    pub remap: Option<String>,
    /// Storage drivers with images.
    pub drivers: Vec<String>,
    /// Counts.
    #[serde(flatten)]
    pub holds: Counts,
    /// What a migration would have to do; `None` where it could not be worked out.
    pub work: Option<Work>,
    /// Readiness.
    pub findings: Vec<Finding>,
    /// Containers that will not start, or not work, remapped.
    pub containers: Vec<Troubled>,
    /// Host bind mounts.
    pub bind_mounts: Vec<BindMount>,
    /// Volumes whose content is elsewhere: not shifted.
    pub mounted_volumes: Vec<String>,
}

/// What a migration would have to do.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// Inodes looked at.
    pub inodes: u64,
    /// Inodes that would get another owner.
    pub to_shift: u64,
    /// Renames and rewrites of files.
    pub steps: u64,
    /// Estimate of the journal's size.
    pub journal_bytes: u64,
    /// Estimate of the time it takes, seconds.
    pub seconds: f64,
    /// Layers and volumes with ids outside the range, or with other trouble, and how many inodes of
    /// each; of the first thousand.
    pub troubles: Vec<(String, u64)>,
}

/// How much is there.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Counts {
    /// Images.
    pub images: usize,
    /// Layers.
    pub layers: usize,
    /// Containers.
    pub containers_total: usize,
    /// Volumes.
    pub volumes: usize,
}

impl From<Holds> for Counts {
    fn from(holds: Holds) -> Counts {
        Counts {
            images: holds.images,
            layers: holds.layers,
            containers_total: holds.containers,
            volumes: holds.volumes,
        }
    }
}

impl Audit {
    /// The worst finding.
    pub fn verdict(&self) -> Level {
        let worst = self.findings.iter().map(|finding| finding.level).max();
        let people = !self.containers.is_empty() || !self.bind_mounts.is_empty();
        let least = if people { Level::Warning } else { Level::Ok };
        worst.unwrap_or(Level::Ok).max(least)
    }
}

/// Looks at a data-root that is to be remapped.
///
/// # Errors
/// The data-root cannot be read at all.
pub fn audit(
    data_root: &Path,
    remap_to: &str,
    jobs: usize,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Audit, DockerError> {
    let top = std::fs::canonicalize(data_root).map_err(DockerError::io(data_root))?;
    let root = DockerRoot::at(&top);
    let remap = Remap::resolve(remap_to);
    let mut findings = vec![remapping(&remap), user_namespaces()];
    findings.push(driver(&root));
    findings.extend(users(&top));
    findings.push(parents(&top));
    if let Ok(remap) = &remap {
        findings.extend(remapped_root(&top, remap)?);
    }
    findings.extend(other_parts(&root)?);

    let mut containers = Vec::new();
    let mut bind_mounts = Vec::new();
    for files in root.container_files()? {
        let container = match files.parse(&root) {
            Ok(container) => container,
            Err(error) => {
                findings.push(Finding {
                    level: Level::Error,
                    what: "container metadata",
                    found: error.to_string(),
                    remedy: None,
                });
                continue;
            }
        };
        if let Some(why) = container.obstacle() {
            containers.push(Troubled {
                container: container.name.clone(),
                why: format!("{why}: a remapped daemon does not start it"),
                remedy: "migrate with --set-userns-host, or make it anew with --userns=host".into(),
            });
        } else if container.userns_mode == "host" {
            containers.push(Troubled {
                container: container.name.clone(),
                why: "runs with --userns=host: it will see its files owned by the range, so sudo and setuid programs misbehave".into(),
                remedy: "make it anew without --userns=host where that is possible".into(),
            });
        }
        let is_host = container.userns_mode == "host";
        for mount in files.bind_mounts(&root)? {
            bind_mounts.push(bind_mount(
                &container.name,
                mount,
                is_host,
                remap.as_ref().ok(),
            ));
        }
    }
    let mut work = None;
    if let Ok(remap) = &remap {
        match look_through(&top, remap, jobs, monitor, stop) {
            Ok(found) => {
                findings.extend(outside(&found));
                work = Some(found);
            }
            // What stands in the way of a plan stands in the way of a migration.
            Err(reason) if findings.iter().all(|f| f.level < Level::Error) => {
                findings.push(finding(Level::Error, "plan", reason));
            }
            Err(_) => {}
        }
    }
    let volumes = root.volumes()?;
    let mounted = volumes.into_iter().filter(|volume| volume.mounts.is_some());
    Ok(Audit {
        data_root: top,
        remap: remap
            .ok()
            .map(|remap| format!("{}, {}", remap.user, remap.map)),
        drivers: root.drivers()?,
        holds: root.holds()?.into(),
        work,
        findings,
        containers,
        bind_mounts,
        mounted_volumes: mounted.map(|volume| volume.name).collect(),
    })
}

/// Works the migration out, as a dry run does.
fn look_through(
    top: &Path,
    remap: &Remap,
    jobs: usize,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Work, String> {
    let request = MigrateRequest {
        data_root: top.to_path_buf(),
        direction: Direction::Into,
        copy: None,
        jobs,
        keep_going: true,
        set_userns_host: false,
        bind_mounts: false,
        daemon_json: None,
    };
    let migration = Migration::prepare(&request, remap).map_err(|error| error.to_string())?;
    let report = migration.plan().dry_run(None, monitor, stop);
    let report = report.map_err(|refusal| refusal.to_string())?;
    let mut troubles: BTreeMap<String, u64> = BTreeMap::new();
    for problem in &report.tally.problems {
        let below = problem.path.strip_prefix(top).unwrap_or(&problem.path);
        // `overlay2/LAYER`, `volumes/NAME`
        let area: PathBuf = below.components().take(2).collect();
        *troubles.entry(area.display().to_string()).or_default() += 1;
    }
    Ok(Work {
        inodes: report.tally.seen,
        to_shift: report.tally.changed,
        steps: report.tally.steps,
        journal_bytes: 4096 + JOURNAL_BYTES * report.tally.changed,
        seconds: report.elapsed.as_secs_f64() * TIMES_A_DRY_RUN,
        troubles: troubles.into_iter().collect(),
    })
}

/// Bytes of journal an inode, measured on a Debian root filesystem's layers.
const JOURNAL_BYTES: u64 = 8;

/// How much longer than a dry run a migration takes, measured likewise.
const TIMES_A_DRY_RUN: f64 = 4.0;

fn outside(work: &Work) -> Option<Finding> {
    if work.troubles.is_empty() {
        return None;
    }
    let areas: Vec<String> = work
        .troubles
        .iter()
        .map(|(area, count)| format!("{area} ({count})"))
        .collect();
    Some(with(
        finding(
            Level::Error,
            "inodes that cannot be shifted",
            areas.join(", "),
        ),
        "idshift docker migrate --dry-run -v says why of each; a larger range in /etc/subuid and /etc/subgid takes in more ids",
    ))
}

fn finding(level: Level, what: &'static str, found: impl Into<String>) -> Finding {
    Finding {
        level,
        what,
        found: found.into(),
        remedy: None,
    }
}

fn with(mut finding: Finding, remedy: impl Into<String>) -> Finding {
    finding.remedy = Some(remedy.into());
    finding
}

fn remapping(remap: &Result<Remap, DockerError>) -> Finding {
    match remap {
        Ok(remap) => finding(
            Level::Ok,
            "id ranges",
            format!("{}: {}", remap.user, remap.map),
        ),
        Err(error) => with(
            finding(Level::Error, "id ranges", error.to_string()),
            "idshift docker migrate --create-user",
        ),
    }
}

/// `user_namespaces(7)`: 0 makes every remapped container fail at its start.
fn user_namespaces() -> Finding {
    const PATH: &str = "/proc/sys/user/max_user_namespaces";
    let most = std::fs::read_to_string(PATH).unwrap_or_default();
    match most.trim().parse::<u64>() {
        Ok(0) => with(
            finding(
                Level::Error,
                "user.max_user_namespaces",
                "0: no container would start",
            ),
            "sysctl -w user.max_user_namespaces=28633, and a file in /etc/sysctl.d",
        ),
        Ok(most) => finding(Level::Ok, "user.max_user_namespaces", most.to_string()),
        Err(_) => with(
            finding(
                Level::Error,
                "user.max_user_namespaces",
                "the kernel has no user namespaces",
            ),
            "a kernel with CONFIG_USER_NS",
        ),
    }
}

fn driver(root: &DockerRoot) -> Finding {
    match root.check_drivers() {
        Err(error) => finding(Level::Error, "storage driver", error.to_string()),
        Ok(()) => match root.drivers() {
            Ok(drivers) if !drivers.is_empty() => {
                finding(Level::Ok, "storage driver", drivers.join(", "))
            }
            _ => with(
                finding(
                    Level::Warning,
                    "storage driver",
                    "no images of a storage driver are here; with the containerd image store (the default of new \
                     installations from Docker 29 on) they are in containerd, where userns-remap does not reach",
                ),
                "docker save, then docker load into the remapped daemon; volumes and containers are carried all the same",
            ),
        },
    }
}

/// Who has the data-root open: the daemon, mostly.
fn users(top: &Path) -> Option<Finding> {
    let stat: Stat = Pin::path(top).and_then(|pin| pin.stat()).ok()?;
    let tree = Tree {
        path: top.to_path_buf(),
        dev: stat.dev,
        ino: stat.identity.ino,
    };
    let uses = match in_use::users_of(&[tree]) {
        Ok(uses) => uses,
        Err(error) => return Some(finding(Level::Warning, "daemon", format!("/proc: {error}"))),
    };
    let Some(first) = uses.first() else {
        return Some(finding(Level::Ok, "daemon", "is stopped"));
    };
    Some(with(
        finding(
            Level::Warning,
            "daemon",
            format!(
                "is running: process {} ({}) uses the data-root",
                first.pid, first.command
            ),
        ),
        "systemctl stop docker.socket docker, before migrate",
    ))
}

/// A remapped dockerd does not start when others may not search a directory above its root (moby
/// `daemon/daemon_unix.go`, `setupDaemonRoot`).
fn parents(top: &Path) -> Finding {
    let closed = top.ancestors().skip(1).find(|dir| {
        let stat = Pin::path(dir).and_then(|pin| pin.stat());
        stat.is_ok_and(|stat| stat.mode.bits() & 0o001 == 0)
    });
    match closed {
        None => finding(Level::Ok, "directories above", "can be searched by all"),
        Some(dir) => with(
            finding(
                Level::Error,
                "directories above",
                format!(
                    "{} cannot be searched by others: a remapped daemon refuses to start",
                    dir.display()
                ),
            ),
            format!("chmod o+x {}", dir.display()),
        ),
    }
}

fn remapped_root(top: &Path, remap: &Remap) -> Result<Vec<Finding>, DockerError> {
    let mut findings = Vec::new();
    let inner = remap.dir_name();
    for name in names(top)?
        .into_iter()
        .filter(|name| is_remapped_name(name))
    {
        let path = top.join(&name);
        let holds = DockerRoot::at(&path).holds()?;
        findings.push(if holds.is_shell() {
            finding(
                Level::Ok,
                "remapped root",
                format!("{name} is there and unused; it is set aside"),
            )
        } else if name == inner {
            with(
                finding(
                    Level::Error,
                    "remapped root",
                    format!("{name} holds {holds}"),
                ),
                "save what you need of it with a remapped daemon, then move it away",
            )
        } else {
            finding(
                Level::Warning,
                "remapped root",
                format!("{name}, of another range, holds {holds}; it stays"),
            )
        });
    }
    Ok(findings)
}

/// What is carried along, and what to look at afterwards.
fn other_parts(root: &DockerRoot) -> Result<Vec<Finding>, DockerError> {
    let mut findings = Vec::new();
    let swarm = root.path.join("swarm");
    if swarm.join("docker-state.json").exists() || swarm.join("state.json").exists() {
        findings.push(with(
            finding(
                Level::Warning,
                "swarm",
                "this host is in a swarm; its state is carried along as it is",
            ),
            "drain the node first: docker node update --availability drain",
        ));
    }
    let plugins = names(&root.path.join("plugins"))?;
    let installed = plugins.iter().filter(|name| name.len() == 64).count();
    if installed > 0 {
        findings.push(with(
            finding(
                Level::Warning,
                "plugins",
                format!("{installed} installed; they run as the host's root"),
            ),
            "disable them, and try each after the migration",
        ));
    }
    for name in names(&root.path)? {
        let path = root.path.join(&name);
        if Pin::path(&path)
            .and_then(|pin| pin.stat())
            .is_ok_and(|stat| stat.mount_root)
        {
            findings.push(with(
                finding(
                    Level::Error,
                    "filesystems",
                    format!("{} is a mount point: it cannot be renamed", path.display()),
                ),
                "move it into the data-root's filesystem, or unmount it",
            ));
        }
    }
    Ok(findings)
}

/// Places that are never to be shifted for a container's sake.
const NEVER: [&str; 11] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/usr", "/var/run",
];

fn bind_mount(container: &str, bind: Bind, is_host: bool, remap: Option<&Remap>) -> BindMount {
    let stat = Pin::path(&bind.source).and_then(|pin| pin.stat()).ok();
    let owner = stat.map(|stat| format!("{}:{} {}", stat.uid, stat.gid, stat.mode));
    let text = bind.source.display().to_string();
    let system = NEVER.contains(&&text[..])
        || [
            "/etc/", "/dev/", "/proc/", "/sys/", "/usr/", "/boot/", "/lib/", "/bin/",
        ]
        .iter()
        .any(|top| text.starts_with(top));
    let is_socket = stat.is_some_and(|stat| stat.file_type == crate::ownership::FileType::Socket);
    let shifted = match (stat, remap) {
        (Some(stat), Some(remap)) => {
            let side = remap.map.uids.map(stat.uid, Direction::Into);
            side == crate::idmap::Mapped::Already
        }
        _ => false,
    };
    let advice = if is_host {
        "nothing: the container is not remapped".to_string()
    } else if is_socket || text.ends_with(".sock") {
        "never shift a socket: run the container with --userns=host, or let it talk through a group"
            .into()
    } else if system {
        "never shift a part of the system: the container sees it as nobody's, and reads what all may read".into()
    } else if stat.is_none() {
        "is not there".into()
    } else if shifted {
        "nothing: it is in the range already".into()
    } else {
        let user = remap.map(|remap| remap.user.as_str());
        match user.filter(|user| *user != super::remap::DEFAULT_USER) {
            Some(user) => format!("idshift shift --subid {user} {text}"),
            None => format!("idshift shift {text}"),
        }
    };
    BindMount {
        container: container.to_string(),
        source: bind.source,
        destination: bind.destination,
        read_only: !bind.writable,
        owner,
        advice,
    }
}
