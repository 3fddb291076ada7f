//! The plan that makes host directories ready for a container.

mod paths;
mod share;
mod steps;

use std::path::PathBuf;

use self::paths::PathPlan;
use self::steps::StepList;
use super::VolumeError;
use super::guidance::FIX_PARENTS;
use super::parents::ClosedParent;
use super::user::ContainerUser;
use crate::engine::{ByTree, Plan, Rule, ShiftRequest};
use crate::host::runtime::{Program, runc};
use crate::idmap::Direction;
use crate::ownership::Sharing;

/// What to prepare.
#[derive(Clone, Debug)]
pub struct PrepareRequest {
    /// The trees, the map, and how the run is limited.
    pub shift: ShiftRequest,
    /// The user to whom everything is given.
    pub owners: VolumeOwners,
    /// For each path that is shared, and not given away, whether the container only reads.
    pub share: Option<Vec<bool>>,
    /// Directories that are missing are made.
    pub create: bool,
    /// The container's root gets search permission on directories above that lack it.
    pub fix_parents: bool,
    /// Assume a runtime that searches the directories above, whatever is installed.
    pub old_runtime: bool,
    /// How the map was chosen, for commands that help: ` --subid app`; mostly nothing.
    pub map_words: String,
}

/// To whom everything below the paths is given.
#[derive(Clone, Debug)]
pub enum VolumeOwners {
    /// To nobody: ids go through the map.
    Mapped,
    /// This container user.
    One(ContainerUser),
    /// A container user for each of the paths.
    EachPath(Vec<ContainerUser>),
}

impl VolumeOwners {
    /// To whom the path with this number is given.
    pub fn of_path(&self, number: usize) -> Option<&ContainerUser> {
        match self {
            VolumeOwners::Mapped => None,
            VolumeOwners::One(user) => Some(user),
            VolumeOwners::EachPath(users) => users.get(number),
        }
    }
}

/// A plan, and its facts for people.
pub struct Preparation {
    /// For the engine.
    pub plan: Plan,
    /// Paths that are shared, and between whom.
    pub shared: Vec<(PathBuf, Sharing)>,
    /// Directories that are made.
    pub made: Vec<PathBuf>,
    /// Directories that get an ACL entry for the container's root, and its id on the host.
    pub opened: Vec<(PathBuf, u32)>,
    /// Closed directories above that stay so.
    pub closed: Vec<ClosedParent>,
    /// The installed runtime.
    pub runtime: Option<Program>,
}

impl Preparation {
    /// Reads the paths and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &PrepareRequest) -> Result<Preparation, VolumeError> {
        let shift = &request.shift;
        let mut paths = PathPlan {
            request,
            trees: Vec::new(),
            rules: Vec::new(),
            shared: Vec::new(),
            made: Vec::new(),
            below: Vec::new(),
        };
        for (n, path) in shift.paths.iter().enumerate() {
            let user = request.owners.of_path(n);
            match &request.share {
                Some(read_only) => {
                    let read_only = read_only.get(n).copied().unwrap_or_default();
                    paths.share(path, user.unwrap_or(&ContainerUser::ROOT), read_only)?;
                }
                None => paths.path(path, host_owner(user, shift)?)?,
            }
        }
        let runtime = runc();
        let above = paths.closed_above()?;
        let closed: Vec<ClosedParent> = above.iter().map(ClosedParent::from).collect();
        let is_old = runtime.as_ref().is_some_and(Program::looks_up_as_container);
        if !request.fix_parents && (request.old_runtime || is_old) {
            check_no_closed(&closed, runtime.as_ref(), request.old_runtime)?;
        }
        let mut steps = StepList::after(paths.trees.len());
        let mut opened = Vec::new();
        if request.fix_parents {
            for parent in &above {
                opened.push(steps.open(parent, shift)?);
            }
        }
        for (path, made) in &paths.made {
            steps.make(path, *made)?;
        }
        let trees = ShiftRequest {
            paths: paths.trees,
            // What is shared stays its owner's: what must not be shared was refused here.
            allow_home: shift.allow_home || request.share.is_some(),
            ..shift.clone()
        };
        Ok(Preparation {
            shared: paths.shared,
            made: paths.made.into_iter().map(|(path, _)| path).collect(),
            closed: if request.fix_parents {
                Vec::new()
            } else {
                closed
            },
            plan: Plan::new(trees, Box::new(ByTree(paths.rules)), steps.finish()),
            opened,
            runtime,
        })
    }
}

/// The owner on the other side of the map.
fn host_owner(
    user: Option<&ContainerUser>,
    shift: &ShiftRequest,
) -> Result<Option<(u32, u32)>, VolumeError> {
    match (user, shift.direction) {
        (Some(user), Direction::Into) => user.on_host(&shift.map).map(Some),
        // Out of the range, container ids are the host's.
        (Some(user), Direction::OutOf) => Ok(Some((user.uid, user.gid))),
        (None, _) => Ok(None),
    }
}

/// The rule for a tree that is given to this owner.
fn rule(owner: Option<(u32, u32)>, shift: &ShiftRequest) -> Rule {
    match owner {
        Some((uid, gid)) if shift.walk.assume_unshifted => Rule::GiveAll { uid, gid },
        Some((uid, gid)) => Rule::Give { uid, gid },
        None if shift.walk.assume_unshifted => Rule::MapAll,
        None => Rule::Map,
    }
}

fn check_no_closed(
    closed: &[ClosedParent],
    runtime: Option<&Program>,
    asked: bool,
) -> Result<(), VolumeError> {
    let Some(first) = closed.first() else {
        return Ok(());
    };
    let runtime = match runtime {
        Some(runtime) if !asked => runtime.to_string(),
        _ => "an old runtime".into(),
    };
    Err(VolumeError::path(
        &first.path,
        format!(
            "({}) cannot be searched by the container's root, and {runtime} would stop there. \
             {FIX_PARENTS}",
            first.owner
        ),
    ))
}
