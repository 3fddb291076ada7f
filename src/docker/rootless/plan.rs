//! The plan that makes a plain data-root a rootless daemon's.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::Timestamp;

use super::checks::{
    CONVERT, check_content, check_drivers, check_is_reached, check_places, check_same_filesystem,
    check_store, check_unused, other_daemon,
};
use super::layout::Layout;
use super::metadata::{containers, left_binds, rewritten, troubled};
use super::obstacles::Obstacle;
use super::place::{Source, Target};
use super::steps::{MoveSteps, UNUSED};
use super::user::RootlessUser;
use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, DockerRoot, canonical, names, plain_names};
use crate::docker::inventory::{Inventory, is_daemon_name};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::steps::CONTAINERS;
use crate::engine::{Plan, Policy, ShiftRequest};
use crate::idmap::Direction;
use crate::journal::Step;
use crate::journal::record::{RunKind, WalkOptions};
use crate::ownership::OverlayNamespace;
use crate::preflight::TransientBlocker;

/// What to migrate, or to take back.
#[derive(Clone, Debug)]
pub struct RootlessRequest {
    /// The data-root of the plain daemon.
    pub data_root: PathBuf,
    /// Whose rootless daemon is to have it.
    pub user: RootlessUser,
    /// The data-root of that.
    pub rootless_root: PathBuf,
    /// To the user, or from the user.
    pub direction: Direction,
    /// Threads.
    pub jobs: usize,
    /// The flag of what is immutable or append-only is cleared while it is changed, and put back.
    pub clear_flags: bool,
    /// Files with names outside the data-root change too.
    pub allow_outside_links: bool,
}

/// A plan, and its facts for people.
pub struct RootlessMove {
    pub(super) request: ShiftRequest,
    pub(super) step_roots: Vec<PathBuf>,
    pub(super) policy: Layout,
    pub(super) steps: Vec<Step>,
    pub(super) steps_before: usize,
    pub(super) unchanged_since: Option<Timestamp>,
    /// Where the docker root is.
    pub from: PathBuf,
    /// Where it will be.
    pub to: PathBuf,
    /// What is different about containers there, by their names.
    pub troubled: Vec<(String, Obstacle)>,
    /// What containers bind that is not carried: the container's name and the path.
    pub left_binds: Vec<(String, PathBuf)>,
    /// Names of containers that start with the daemon. Only of the way back, as the next.
    pub restarted: Vec<String>,
    /// Networks of containers that stay behind.
    pub networks: Vec<String>,
    /// What becomes of volumes whose content is elsewhere.
    pub inventory: Inventory,
    /// Names in the data-root that are no daemon's, and stay where they are.
    pub left_data: Vec<String>,
    /// Name of what holds what an unused daemon made in the new place.
    pub set_aside: Option<String>,
    /// What keeps it from being done now.
    pub blockers: Vec<TransientBlocker>,
}

impl RootlessMove {
    /// Reads both data-roots and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &RootlessRequest) -> Result<RootlessMove, DockerError> {
        let user = &request.user;
        user.check_range_is_free()?;
        let from = Source::at(&canonical(&request.data_root)?)?;
        let to = Target::at(&request.rootless_root)?;
        check_places(user, &from, &to)?;
        check_same_filesystem(&from, &to, user)?;
        check_is_reached(user, &to)?;
        let docker_root = DockerRoot::at(&from.path);
        check_content(&docker_root)?;
        check_drivers(&docker_root)?;
        let all = containers(&docker_root)?;
        check_store(&docker_root, &all, CONVERT)?;

        let (plain, _) = plain_names(&from.path)?;
        let is_daemons = |name: &String| is_daemon_name(name.as_bytes());
        let (mut carried, left_data): (Vec<String>, Vec<String>) =
            plain.into_iter().partition(is_daemons);
        carried.retain(|name| name != CONTAINERS);
        let stay = names(&from.path)?;
        let stay = stay.into_iter().filter(|it| !is_daemons(it)).collect();
        let moved = PathRewriter::new(&from.path, &to.path(), stay)?;
        let inventory = Inventory::of_moved(&moved)?;
        inventory.check()?;

        let holds_unused = check_unused(&to)?;
        let mut steps = MoveSteps::to_user(&from, &to, &user.map)?;
        steps.make_parents(&to, user.root);
        steps.block()?;
        let held = steps.hold(&carried, &to)?;
        for file in rewritten(&docker_root, &all, &moved)? {
            steps.rewrite(file)?;
        }
        for edit in inventory.edits() {
            steps.edit(edit)?;
        }
        steps.place(held, (&to, user.root))?;
        let mut blockers: Vec<TransientBlocker> = inventory.still_mounted().into_iter().collect();
        blockers.extend(other_daemon(&to));
        carried.push(CONTAINERS.to_string());
        Ok(RootlessMove {
            steps_before: steps.early.len(),
            steps: [steps.early, steps.late].concat(),
            request: shift_request(request, Direction::Into, vec![from.path.clone()]),
            unchanged_since: None,
            policy: Layout {
                carried: carried
                    .into_iter()
                    .map(String::into_bytes)
                    .collect::<HashSet<_>>(),
                namespace: OverlayNamespace::User,
                rewritten: steps.rewritten,
            },
            troubled: troubled(&docker_root, &all)?,
            restarted: Vec::new(),
            networks: Vec::new(),
            left_binds: left_binds(&docker_root, &all, &moved)?,
            to: to.path(),
            step_roots: vec![to.anchor],
            from: from.path,
            inventory,
            left_data,
            set_aside: holds_unused.then(|| format!("{ASIDE}{UNUSED}")),
            blockers,
        })
    }

    /// The plan, for the engine.
    pub fn plan(&self) -> Plan<'_> {
        let policy: &dyn Policy = &self.policy;
        Plan {
            request: self.request.clone(),
            step_roots: self.step_roots.clone(),
            policy,
            steps: self.steps.clone(),
            steps_before: self.steps_before,
            on_listed: None,
            unchanged_since: self.unchanged_since,
        }
    }
}

pub(super) fn shift_request(
    request: &RootlessRequest,
    direction: Direction,
    paths: Vec<PathBuf>,
) -> ShiftRequest {
    ShiftRequest {
        paths,
        map: request.user.map.clone(),
        direction,
        jobs: request.jobs,
        walk: WalkOptions {
            outside_links: request.allow_outside_links,
            clear_flags: request.clear_flags,
            ..WalkOptions::default()
        },
        allow_in_use: false,
        allow_system_path: true,
        allow_home: true,
        kind: match direction {
            Direction::Into => RunKind::DockerToRootless,
            Direction::OutOf => RunKind::DockerFromRootless,
        },
    }
}
