//! Whether a container's user can use a host directory or file: tried, and put together.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Serialize;

use super::parents::{ClosedParent, closed_above};
use super::probe::{Answer, ProbeFile, Question, What, ask};
use super::remedy::{Entries, Seen, remedy};
use super::user::{ContainerUser, seen_inside};
use super::{VolumeError, idmapped};
use crate::fs::access_probe::{AccessKind, AccessResult};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::{PinnedFile, Root, Stat, attributes};
use crate::host::runtime::{Program, runc};
use crate::idmap::IdMap;
use crate::journal::name;
use crate::mounts;
use crate::ownership::{Extra, Ownership};
use crate::preflight;
use crate::preflight::mount_views::{self, MountViewError};

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
    pub step: AccessKind,
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
    #[serde(serialize_with = "name::serialize_path")]
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
    #[serde(serialize_with = "name::serialize_path")]
    pub path: PathBuf,
    /// A symlink to it was named, which Docker follows.
    pub is_symlink: bool,
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
    /// Where the path is seen through an idmapped mount: what that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idmapped_mount: Option<String>,
    /// The commands that help.
    pub remedies: Vec<String>,
    /// The command that helps as `idshift prepare` does, and changes no owner: of a large directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_instead: Option<String>,
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
    let (root, is_symlink) = open(request)?;
    let question = Question {
        user: request.user.clone(),
        what: What::Use {
            probe: (!request.read_only).then(ProbeFile::of_this_process),
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
                let owner = owner_below(&root.pin, path.as_path(), &request.map);
                let path = root.path.join(path.as_path());
                unusable.push(Unusable { path, lacks, owner });
            }
        }
        Answer::Failed(_) => {}
    })?;
    let closed_parents: Vec<ClosedParent> = closed_above(&root, &request.map)?
        .iter()
        .map(ClosedParent::from)
        .collect();
    let runtime = runc();
    let is_old = runtime.as_ref().is_some_and(Program::looks_up_as_container);
    let parents_matter = request.old_runtime || is_old;

    let stat = root
        .pin
        .stat()
        .map_err(|errno| VolumeError::io(&root.path)(errno.into()))?;
    let failed = tried.iter().find(|one| !one.works()).copied();
    let seen = Seen {
        root: &root,
        stat: &stat,
        ownership: &ownership(&root, &stat),
        filesystem: preflight::check_filesystem(root.pin.as_fd(), &root.path).err(),
        user: &request.user,
        host_ids,
        map: &request.map,
        write: !request.read_only,
        map_words: &request.map_words,
    };
    let entries = match request.recursive {
        true => entries(&unusable, host_ids.0),
        false => Entries::Fine,
    };
    let mut remedies = remedy(&seen, failed, entries);
    let seen_through = mount_views::idmapped(&root.path);
    if let Some(error) = &seen_through {
        let cut_off = if parents_matter {
            &closed_parents[..]
        } else {
            &[]
        };
        let again = idmapped::mounted_again(&root.path, &request.user);
        idmapped::only_what_works(&mut remedies, error, (cut_off, &request.map), again);
    } else if parents_matter && !closed_parents.is_empty() {
        let fix = format!("{} --fix-parents", seen.prepare());
        match remedies
            .iter_mut()
            .find(|it| it.starts_with("idshift prepare"))
        {
            Some(prepare) => *prepare += " --fix-parents",
            None => remedies.push(fix),
        }
    }
    let mount_instead = remedies
        .iter()
        .find_map(|remedy| remedy.strip_prefix("idshift prepare"))
        .filter(|_| mounts::large::is_for_a_mount(&root.path, &request.map))
        .map(|words| format!("idshift mount{}", words.replace(" --fix-parents", "")));
    Ok(Checked {
        owner: Owner::of(&stat, &request.map),
        path: root.path,
        is_symlink,
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
        idmapped_mount: seen_through.map(|error| error.to_string()),
        mount_instead,
        remedies,
    })
}

/// Opens the path; follows it where it is a symlink, as Docker does with the source of a bind mount.
fn open(request: &CheckRequest) -> Result<(Root, bool), VolumeError> {
    let path = &request.path;
    let missing = || {
        if let Some(error) = idmapped_above(path) {
            let reason = format!(
                "is not there. Docker would make it, for the container's root alone. {error}"
            );
            return VolumeError::path(path, reason);
        }
        VolumeError::path(
            path,
            format!(
                "is not there. Docker would make it, for the container's root alone. \
                 `idshift prepare{} {} --create --owner {}` makes it for this user",
                request.map_words,
                shell_word(path),
                request.user
            ),
        )
    };
    let is_symlink = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
        found => found.map_err(VolumeError::io(path))?.is_symlink(),
    };
    let real = std::fs::canonicalize(path).map_err(|error| match std::fs::read_link(path) {
        Ok(target) => {
            let reason = format!("is a symlink to {}: {error}", escaped(&target));
            VolumeError::path(path, reason)
        }
        Err(_) => VolumeError::io(path)(error),
    })?;
    let root = Root::open(&real).map_err(|error| VolumeError::of_root(&real, &error))?;
    Ok((root, is_symlink))
}

/// The idmapped mount that what is there of a missing path is seen through.
fn idmapped_above(path: &Path) -> Option<MountViewError> {
    let path = std::path::absolute(path).ok()?;
    let above = path.ancestors().find(|above| above.exists())?;
    mount_views::idmapped(above)
}

/// With the ACL, where it can be read.
fn ownership(root: &Root, stat: &Stat) -> Ownership {
    attributes::read(&root.pin, stat)
        .unwrap_or_else(|_| Ownership::new(stat.uid, stat.gid, stat.mode, Extra::default()))
}

/// Whose the entries are that cannot be used.
fn entries(unusable: &[Unusable], uid: u32) -> Entries {
    let own = format!("{uid}:");
    let is_own = |entry: &Unusable| {
        let owner = entry.owner.as_ref();
        owner.is_some_and(|owner| owner.outside.starts_with(&own))
    };
    match unusable {
        [] => Entries::Fine,
        all if all.iter().all(is_own) => Entries::Own,
        _ => Entries::Others,
    }
}

/// Goes from handle to handle: a path may be longer than the kernel takes, and is changed by others.
fn owner_below(top: &PinnedFile, path: &Path, map: &IdMap) -> Option<Owner> {
    let mut pin = top.try_clone().ok()?;
    for name in path {
        pin = PinnedFile::at(pin.as_fd(), &CString::new(name.as_bytes()).ok()?).ok()?;
    }
    Some(Owner::of(&pin.stat().ok()?, map))
}

impl From<&AccessResult> for Step {
    fn from(tried: &AccessResult) -> Step {
        Step {
            step: tried.what,
            error: tried
                .errno
                .map(|errno| Errno::from_raw(errno).desc().to_string()),
        }
    }
}
