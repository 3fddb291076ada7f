//! Whether a container's user can use a host directory or file: tried, and put together.

mod checked;
mod open;

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use self::checked::{Checked, Step};
use self::open::open;
use super::VolumeError;
use super::guidance::{
    Entries, Seen, add_fix_parents, mount_instead, remedy, through_idmapped_mount,
};
use super::parents::{ClosedParent, closed_above};
use super::probe::{Answer, ProbeFile, Question, What, ask};
use super::unusable::{Owner, Unusable};
use super::user::ContainerUser;
use crate::fs::access_probe::AccessResult;
use crate::fs::escape::shell_word;
use crate::fs::{PinnedFile, Root, Stat, attributes};
use crate::host::runtime::{Program, runc};
use crate::idmap::IdMap;
use crate::mounts;
use crate::ownership::{Ownership, OwnershipXattrs};
use crate::preflight;
use crate::preflight::mount_views::{self, MountViewError};

/// What to check.
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
    /// Assume a runtime that searches the directories above, whatever is installed.
    pub old_runtime: bool,
    /// How the map was chosen, for commands that help: ` --subid app`; mostly nothing.
    pub map_words: String,
}

/// More than anybody reads.
const MOST_UNUSABLE: usize = 1000;

/// Makes the check.
///
/// # Errors
/// The path cannot be opened, the user is not in the map, or the child process failed.
pub fn check(request: &CheckRequest) -> Result<Checked, VolumeError> {
    let host_ids = request.user.on_host(&request.map)?;
    // Without a root no container starts.
    ContainerUser::ROOT.on_host(&request.map)?;
    let (root, is_symlink) = open(request)?;
    let answers = Answers::ask(request, &root)?;
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
    let mount_view = mount_views::idmapped(&root.path);
    let seen = Seen {
        root: &root,
        stat: &stat,
        ownership: &ownership(&root, &stat),
        filesystem: preflight::check_filesystem(root.pin.as_fd(), &root.path)
            .and_then(|()| preflight::check_mounts(&root, false, |_| false))
            .err(),
        user: &request.user,
        host_ids,
        map: &request.map,
        write: !request.read_only,
        map_words: &request.map_words,
    };
    let blocking_parents = match parents_matter {
        true => &closed_parents[..],
        false => &[],
    };
    let remedies = remedies(
        request,
        &seen,
        &answers,
        blocking_parents,
        mount_view.as_ref(),
    );
    Ok(Checked {
        owner: Owner::of(&stat, &request.map),
        mount_instead: mount_instead(&remedies)
            .filter(|_| mounts::large::is_for_a_mount(&root.path, &request.map)),
        path: root.path,
        is_symlink,
        user: request.user.clone(),
        host_ids,
        steps: answers.tried.iter().map(Step::from).collect(),
        looked_at: answers.looked_at,
        unusable: answers.unusable,
        unusable_total: answers.unusable_total,
        recursive: request.recursive,
        closed_parents,
        parents_matter,
        runtime,
        idmapped_mount: mount_view.map(|error| error.to_string()),
        remedies,
    })
}

/// The answers of the child that tests as the container's user.
#[derive(Default)]
struct Answers {
    tried: Vec<AccessResult>,
    /// Entries looked at below.
    looked_at: u64,
    /// The first of those that the user cannot use.
    unusable: Vec<Unusable>,
    unusable_total: u64,
}

impl Answers {
    fn ask(request: &CheckRequest, root: &Root) -> Result<Answers, VolumeError> {
        let question = Question {
            user: request.user.clone(),
            what: What::Use {
                probe: (!request.read_only).then(ProbeFile::of_this_process),
                depth: (!request.recursive).then_some(1),
            },
        };
        let mut answers = Answers::default();
        ask(&root.pin, &question, &request.map, |answer| match answer {
            Answer::Tried(one) => answers.tried.push(one),
            Answer::Looked(n) => answers.looked_at = n,
            Answer::Unusable { path, lacks } => {
                answers.unusable_total += 1;
                if answers.unusable.len() < MOST_UNUSABLE {
                    let owner = owner_below(&root.pin, path.as_path(), &request.map);
                    let path = root.path.join(path.as_path());
                    answers.unusable.push(Unusable { path, lacks, owner });
                }
            }
            Answer::Failed(_) => {}
        })?;
        Ok(answers)
    }
}

/// The commands that help. `blocking_parents`: closed directories above that stop the runtime.
fn remedies(
    request: &CheckRequest,
    seen: &Seen<'_>,
    answers: &Answers,
    blocking_parents: &[ClosedParent],
    mount_view: Option<&MountViewError>,
) -> Vec<String> {
    let failed = answers.tried.iter().find(|one| !one.works()).copied();
    let entries = match request.recursive {
        true => entries(&answers.unusable, seen.host_ids.0),
        false => Entries::Fine,
    };
    let mut remedies = remedy(seen, failed, (entries, &answers.unusable));
    if let Some(error) = mount_view {
        let again = through_idmapped_mount::mounted_again(&seen.root.path, &request.user);
        let closed = (blocking_parents, &request.map);
        let (uid, gid) = seen.host_ids;
        let all = if request.recursive { "-R " } else { "" };
        let give = format!("chown {all}{uid}:{gid} {}", shell_word(&seen.root.path));
        through_idmapped_mount::only_what_works(&mut remedies, error, closed, (again, &give));
    } else if !blocking_parents.is_empty() {
        add_fix_parents(&mut remedies, seen);
    }
    remedies
}

/// With the ACL, where it can be read.
fn ownership(root: &Root, stat: &Stat) -> Ownership {
    attributes::read(&root.pin, stat).unwrap_or_else(|_| {
        Ownership::new(stat.uid, stat.gid, stat.mode, OwnershipXattrs::default())
    })
}

/// Whose the entries are that cannot be used.
fn entries(unusable: &[Unusable], uid: u32) -> Entries {
    let is_own = |entry: &Unusable| entry.owner.is_some_and(|owner| owner.uid == uid);
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
