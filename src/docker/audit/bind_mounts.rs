//! Host directories and files that containers bind, and what a remapped container could do there.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::docker::DockerError;
use crate::docker::container::{Bind, Container};
use crate::docker::data_root::{ContainerFiles, DockerRoot};
use crate::docker::remap::{DEFAULT_USER, Remap};
use crate::docker::run_as;
use crate::fs::shown::shell_word;
use crate::fs::tries::Try;
use crate::fs::{Pin, Root, Stat, places};
use crate::idmap::{Direction, Mapped};
use crate::ownership::FileType;
use crate::volume::parents::closed_above;
use crate::volume::probe::{Answer, Question, What, ask};
use crate::volume::user::{ContainerUser, seen_inside};

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
    /// Its owner as a remapped container sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_inside: Option<String>,
    /// Whom the container runs as; `None` where that cannot be looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<ContainerUser>,
    /// Whether that user, remapped, can read it as it is; `None` where it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// Whether it can write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
    /// Directories above that the container's root may not search; only runc before 1.1 minds.
    pub closed_parents: Vec<PathBuf>,
    /// What is to be done about it, for people.
    pub advice: String,
}

/// The bind mounts of one container.
///
/// # Errors
/// Its metadata is not what dockerd writes.
pub fn of(
    root: &DockerRoot,
    container: &Container,
    files: &ContainerFiles,
    remap: Option<&Remap>,
) -> Result<Vec<BindMount>, DockerError> {
    let binds = files.bind_mounts(root)?;
    if binds.is_empty() {
        return Ok(Vec::new());
    }
    let user = run_as::user_of(root, files).ok();
    let is_host = container.userns_mode == "host";
    let look = |bind| bind_mount(container, bind, user.clone(), remap.filter(|_| !is_host));
    Ok(binds.into_iter().map(look).collect())
}

/// `remap` is none where the container is not remapped, or nobody knows how.
fn bind_mount(
    container: &Container,
    bind: Bind,
    user: Option<ContainerUser>,
    remap: Option<&Remap>,
) -> BindMount {
    let pin = Pin::path(&bind.source).ok();
    let stat = pin.as_ref().and_then(|pin| pin.stat().ok());
    let tried = match (&pin, &user, remap) {
        (Some(pin), Some(user), Some(remap)) => try_it(pin, user, remap),
        _ => None,
    };
    let closed = match (stat, remap) {
        (Some(_), Some(remap)) => closed_parents(&bind.source, remap),
        _ => Vec::new(),
    };
    let advice = match container.userns_mode == "host" {
        true => "nothing: the container is not remapped".into(),
        false => advice(&bind, stat, tried, remap),
    };
    BindMount {
        container: container.name.clone(),
        owner: stat.map(|stat| format!("{}:{} {}", stat.uid, stat.gid, stat.mode)),
        owner_inside: stat.zip(remap).map(|(stat, remap)| {
            let uid = seen_inside(&remap.map.uids, stat.uid);
            let gid = seen_inside(&remap.map.gids, stat.gid);
            format!("{uid}:{gid}")
        }),
        source: bind.source,
        destination: bind.destination,
        read_only: !bind.writable,
        user,
        readable: tried.map(|tried| tried.reads),
        writable: tried.map(|tried| tried.writes),
        closed_parents: closed,
        advice,
    }
}

fn closed_parents(source: &Path, remap: &Remap) -> Vec<PathBuf> {
    let root = std::fs::canonicalize(source)
        .ok()
        .and_then(|real| Root::open(&real).ok());
    let closed = root.and_then(|root| closed_above(&root, &remap.map).ok());
    let closed = closed.unwrap_or_default().into_iter();
    closed.map(|parent| parent.path).collect()
}

#[derive(Clone, Copy)]
struct Can {
    reads: bool,
    writes: bool,
}

/// Tries without making anything; `None` where it cannot be tried, as without root.
fn try_it(pin: &Pin, user: &ContainerUser, remap: &Remap) -> Option<Can> {
    let question = Question {
        user: user.clone(),
        what: What::Look,
    };
    let (mut reads, mut writes) = (true, true);
    ask(pin, &question, &remap.map, |answer| {
        if let Answer::Tried(tried) = answer {
            match tried.what {
                Try::Write => writes &= tried.works(),
                Try::Connect => {
                    reads &= tried.works();
                    writes &= tried.works();
                }
                _ => reads &= tried.works(),
            }
        }
    })
    .ok()?;
    Some(Can { reads, writes })
}

fn advice(bind: &Bind, stat: Option<Stat>, tried: Option<Can>, remap: Option<&Remap>) -> String {
    let Some(stat) = stat else {
        return "is not there".into();
    };
    let is_socket = stat.file_type == FileType::Socket;
    if is_socket || bind.source.extension().is_some_and(|end| end == "sock") {
        return "never shift a socket: run the container with --userns=host, or let it talk through a group".into();
    }
    if is_system(&bind.source) {
        return "never shift a part of the system: the container sees it as nobody's, and reads what all may read".into();
    }
    let side = remap.map(|remap| remap.map.uids.map(stat.uid, Direction::Into));
    if side == Some(Mapped::Already) {
        return "nothing: it is in the range already".into();
    }
    match tried {
        Some(can) if can.reads && (can.writes || !bind.writable) => {
            "nothing: it can be used as it is".into()
        }
        _ => {
            let user = remap.map(|remap| remap.user.as_str());
            let user = user.filter(|user| *user != DEFAULT_USER);
            let subid = user.map_or(String::new(), |user| format!(" --subid {user}"));
            format!("idshift prepare{subid} {}", shell_word(&bind.source))
        }
    }
}

/// What belongs to the operating system, or holds it; also single files of it.
fn is_system(source: &Path) -> bool {
    const BELOW: [&str; 8] = [
        "/etc", "/dev", "/proc", "/sys", "/usr", "/boot", "/lib", "/bin",
    ];
    places::check_system_path(source).is_err() || BELOW.iter().any(|top| source.starts_with(top))
}
