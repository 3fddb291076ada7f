//! Whether a container's user can use a host directory or file: tried, and put together.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Serialize;

use super::VolumeError;
use super::parents::{ClosedParent, closed_above};
use super::probe::{Answer, Question, What, ask};
use super::remedy::{Seen, remedy};
use super::user::{ContainerUser, seen_inside};
use crate::fs::shown::shown;
use crate::fs::tries::{Tried, Try};
use crate::fs::{Pin, Root, Stat};
use crate::host::runtime::{Program, runc};
use crate::idmap::IdMap;

/// What is asked.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The directory or file on the host.
    pub path: PathBuf,
    /// Whom the container runs as.
    pub user: ContainerUser,
    /// The map of its user namespace.
    pub map: IdMap,
    /// It is mounted read-only: nothing is written.
    pub read_only: bool,
    /// Every entry counts, not only the top.
    pub recursive: bool,
    /// The runtime is one that minds closed directories above, whatever is installed.
    pub old_runtime: bool,
    /// How the map was chosen, for commands that help: ` --subid app`; mostly nothing.
    pub map_words: String,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    pub step: Try,
    /// Why not; `None` when it worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Owner of an inode, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// On the host.
    pub outside: String,
    /// As the container sees it; 65534 for what is not in the map.
    pub inside: String,
    /// Mode.
    pub mode: String,
}

impl Owner {
    fn of(stat: &Stat, map: &IdMap) -> Owner {
        let uid = seen_inside(&map.uids, stat.uid);
        let gid = seen_inside(&map.gids, stat.gid);
        Owner {
            outside: format!("{}:{}", stat.uid, stat.gid),
            inside: format!("{uid}:{gid}"),
            mode: stat.mode.to_string(),
        }
    }
}

/// An entry that the user cannot use.
#[derive(Clone, Debug, Serialize)]
pub struct Unusable {
    /// Which.
    pub path: PathBuf,
    /// What is missing of `r`, `w` and `x`.
    pub lacks: String,
    /// Whose it is; `None` when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The directory or file, without symlinks.
    pub path: PathBuf,
    /// Whom the container runs as.
    #[serde(rename = "as")]
    pub user: ContainerUser,
    /// Its ids on the host.
    pub host_ids: (u32, u32),
    /// Whose the path is.
    pub owner: Owner,
    /// What was tried, in order.
    pub steps: Vec<Step>,
    /// Entries looked at below.
    pub looked_at: u64,
    /// Entries that the user cannot use: the first thousand.
    pub unusable: Vec<Unusable>,
    /// How many there are.
    pub unusable_total: u64,
    /// Whether they count.
    pub recursive: bool,
    /// Directories above that the container's root may not search.
    pub closed_parents: Vec<ClosedParent>,
    /// Whether those stop the runtime.
    pub parents_matter: bool,
    /// The installed runtime.
    pub runtime: Option<Program>,
    /// The commands that help.
    pub remedies: Vec<String>,
}

impl Checked {
    /// Everything that was asked for works.
    pub fn works(&self) -> bool {
        self.steps_work() && !(self.recursive && self.unusable_total > 0) && !self.is_cut_off()
    }

    /// What was tried with the path itself worked.
    pub fn steps_work(&self) -> bool {
        self.steps.iter().all(|step| step.error.is_none())
    }

    /// The runtime does not get to the path.
    pub fn is_cut_off(&self) -> bool {
        self.parents_matter && !self.closed_parents.is_empty()
    }
}

/// More than anybody reads.
const KEPT: usize = 1000;

/// Tries it.
///
/// # Errors
/// The path cannot be opened, the user is none of the map's, or the child that tries could not.
pub fn check(request: &CheckRequest) -> Result<Checked, VolumeError> {
    let host_ids = request.user.on_host(&request.map)?;
    // Without a root no container starts.
    ContainerUser::ROOT.on_host(&request.map)?;
    let root = Root::open(&request.path).map_err(|error| {
        VolumeError::path(&request.path, strip(&request.path, &error.to_string()))
    })?;
    let question = Question {
        user: request.user.clone(),
        what: What::Use {
            write: !request.read_only,
            depth: (!request.recursive).then_some(1),
        },
    };
    let (mut tried, mut unusable) = (Vec::new(), Vec::new());
    let (mut looked_at, mut unusable_total) = (0, 0);
    ask(&root.pin, &question, &request.map, |answer| match answer {
        Answer::Tried(one) => tried.push(one),
        Answer::Looked(n) => looked_at = n,
        Answer::Unusable { path, lacks } => {
            unusable_total += 1;
            if unusable.len() < KEPT {
                let path = root.path.join(path.as_path());
                let owner = owner_of(&path, &request.map);
                unusable.push(Unusable { path, lacks, owner });
            }
        }
        Answer::Failed(_) => {}
    })?;
    let closed_parents = closed_above(&root.path, &request.map)?;
    let runtime = runc();
    let is_old = runtime.as_ref().is_some_and(Program::looks_up_as_container);
    let parents_matter = request.old_runtime || is_old;

    let failed = tried.iter().find(|one| !one.works()).copied();
    let seen = Seen {
        path: &root.path,
        stat: &root.stat,
        user: &request.user,
        host_ids,
        map: &request.map,
        write: !request.read_only,
        map_words: &request.map_words,
    };
    let counts = request.recursive && unusable_total > 0;
    let mut remedies: Vec<String> = remedy(&seen, failed, counts).into_iter().collect();
    if parents_matter && !closed_parents.is_empty() {
        let fix = format!("{} --fix-parents", seen.prepare());
        match remedies
            .iter_mut()
            .find(|it| it.starts_with("idshift prepare"))
        {
            Some(prepare) => *prepare += " --fix-parents",
            None => remedies.push(fix),
        }
    }
    Ok(Checked {
        owner: Owner::of(&root.stat, &request.map),
        path: root.path,
        user: request.user.clone(),
        host_ids,
        steps: tried.iter().map(Step::from).collect(),
        looked_at,
        unusable,
        unusable_total,
        recursive: request.recursive,
        closed_parents,
        parents_matter,
        runtime,
        remedies,
    })
}

fn owner_of(path: &Path, map: &IdMap) -> Option<Owner> {
    let stat = Pin::path(path).and_then(|pin| pin.stat()).ok()?;
    Some(Owner::of(&stat, map))
}

/// The path stands before the message already.
fn strip(path: &Path, message: &str) -> String {
    let prefix = format!("{}: ", shown(path));
    message.strip_prefix(&prefix).unwrap_or(message).to_string()
}

impl From<&Tried> for Step {
    fn from(tried: &Tried) -> Step {
        Step {
            step: tried.what,
            error: tried
                .errno
                .map(|errno| Errno::from_raw(errno).desc().to_string()),
        }
    }
}
