//! The plan that makes a plain data-root a rootless daemon's.

use std::path::{Path, PathBuf};

use super::checks::{
    CONVERT, WORDS, check_content, check_drivers, check_store, check_unused, other_daemon,
};
use super::metadata::{containers, incompatible, left_binds, rewritten};
use super::recognise;
use super::steps::{LAYERS, RootlessSteps};
use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, DockerRoot, canonical, names, plain_names};
use crate::docker::inventory::Inventory;
use crate::docker::path_owner::is_daemon_name;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::stamps::stamps_of;
use crate::docker::steps::CONTAINERS;
use crate::engine::{Plan, Report, RunControl};
use crate::idmap::Direction;
use crate::journal::Store;
use crate::journal::record::RunKind;
use crate::ownership::OverlayNamespace;
use crate::preflight::TransientBlocker;
use crate::store_move::copied_move::Original;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::execute::ExecuteError;
use crate::store_move::layout::Layout;
use crate::store_move::obstacle::Obstacle;
use crate::store_move::place::{Source, Target};
use crate::store_move::place_checks::{
    check_is_no_mount_point, check_is_reached, check_places, check_same_filesystem,
};
use crate::store_move::planned_move::{self, StoreMove};
use crate::store_move::request::{MoveOptions, shift_request};
use crate::store_move::stamps::Stamps;
use crate::store_move::steps::UNUSED;
use crate::store_move::user::RootlessUser;

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
    /// How.
    pub options: MoveOptions,
}

/// A plan, and its facts for people.
pub struct RootlessMove {
    /// For the engine.
    pub plan: Plan,
    /// Names in the docker root that are carried.
    pub carried: Vec<String>,
    /// Where the docker root is, or what it was copied from.
    pub from: PathBuf,
    /// Where it will be.
    pub to: PathBuf,
    /// What is different about containers there, by their names.
    pub incompatible: Vec<(String, Obstacle)>,
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
    /// Of the data-root that is to be copied, before it was read.
    pub(super) stamps: Option<Stamps>,
}

impl RootlessMove {
    /// Reads both data-roots and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &RootlessRequest) -> Result<RootlessMove, DockerError> {
        let plain = Source::at(&canonical(&request.data_root)?)?;
        let stamps = request
            .options
            .copy
            .then(|| stamps_of(&plain.path))
            .transpose()?;
        let mut planned = RootlessMove::of_source(request, &plain, &plain)?;
        planned.plan.is_of_original = stamps.is_some();
        planned.stamps = stamps;
        Ok(planned)
    }

    /// The plan that moves this copy of the plain data-root.
    ///
    /// # Errors
    /// As of [`RootlessMove::prepare`].
    pub fn prepare_copy(
        request: &RootlessRequest,
        copy: &Path,
    ) -> Result<RootlessMove, DockerError> {
        let plain = Source::at(&canonical(&request.data_root)?)?;
        RootlessMove::of_source(request, &plain, &Source::at(copy)?)
    }

    /// `plain`: where the plain daemon has its data; `from`: what is moved, the same or a copy.
    fn of_source(
        request: &RootlessRequest,
        plain: &Source,
        from: &Source,
    ) -> Result<RootlessMove, DockerError> {
        let user = &request.user;
        user.check_range_is_free()?;
        let to = Target::at(&request.rootless_root)?;
        check_places(user, (plain, &to), &WORDS)?;
        recognise::check_is_none(&plain.path)?;
        match request.options.copy && from.path == plain.path {
            true => check_is_no_mount_point(&to, &WORDS)?,
            false => check_same_filesystem(user, (from, &to), &WORDS)?,
        }
        check_is_reached(user, &to, &WORDS)?;
        let docker_root = DockerRoot::at(&from.path);
        check_content(&docker_root)?;
        check_drivers(&docker_root)?;
        let all = containers(&docker_root)?;
        check_store(&docker_root, &all, CONVERT)?;

        let (mut carried, left_data) = carried_names(from)?;
        let stay = names(&plain.path)?;
        let stay = stay.into_iter().filter(|it| !is_daemons(it)).collect();
        let moved = PathRewriter::new(&plain.path, &to.path(), stay)?;
        let inventory = Inventory::of_moved(&moved)?;
        inventory.check()?;

        let holds_unused = check_unused(&to)?;
        let mut steps = RootlessSteps::to_user(from, &to, (&user.map, user.root))?;
        steps.block()?;
        let held = steps.hold(&carried, &to)?;
        for file in rewritten(&docker_root, &all, &moved)? {
            steps.rewrite(file)?;
        }
        for edit in inventory.edits() {
            steps.edit(edit, &plain.path)?;
        }
        let steps = steps.place(held, (&to, user.root))?;
        let mut blockers: Vec<TransientBlocker> = inventory.still_mounted().into_iter().collect();
        blockers.extend(other_daemon(&to));
        if from.path.join(CONTAINERS).symlink_metadata().is_ok() {
            carried.push(CONTAINERS.to_string());
        }
        let shift = shift_request(
            user,
            (RunKind::DockerToRootless, Direction::Into),
            vec![from.path.clone()],
            request.options,
        );
        let policy = Layout::new(
            LAYERS,
            carried.iter().map(String::as_bytes),
            OverlayNamespace::User,
            &steps.rewritten,
        );
        Ok(RootlessMove {
            to: to.path(),
            plan: Plan::new(shift, Box::new(policy), steps.finish(vec![to.anchor])),
            carried,
            incompatible: incompatible(&docker_root, &all)?,
            restarted: Vec::new(),
            networks: Vec::new(),
            left_binds: left_binds(&docker_root, &all, &moved)?,
            from: plain.path.clone(),
            inventory,
            left_data,
            set_aside: holds_unused.then(|| format!("{ASIDE}{UNUSED}")),
            blockers,
            stamps: None,
        })
    }

    /// The copy that the request asks for.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy(&self, request: &RootlessRequest) -> Result<Option<PlannedCopy>, DockerError> {
        if !request.options.copy {
            return Ok(None);
        }
        let original = Original {
            path: &self.from,
            names: self.carried.clone(),
            engine: ENGINE,
            user: &request.user.name,
            option: "--to",
        };
        let to = Target::at(&request.rootless_root)?;
        Ok(Some(original.copy_for(&to)?))
    }

    /// Carries out the plan; with `copy`, that of a copy, which is made first.
    ///
    /// # Errors
    /// [`ExecuteError`]
    pub fn execute(
        &self,
        request: &RootlessRequest,
        copy: Option<&PlannedCopy>,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Report, ExecuteError<DockerError>> {
        let replan = |path: &Path| RootlessMove::prepare_copy(request, path);
        planned_move::execute(self, copy, &replan, store, control)
    }
}

impl StoreMove for RootlessMove {
    type Error = DockerError;

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn into_plan(self) -> Plan {
        self.plan
    }

    fn stamps(&self) -> Option<&Stamps> {
        self.stamps.as_ref()
    }

    fn take_blocker(&mut self) -> Option<TransientBlocker> {
        (!self.blockers.is_empty()).then(|| self.blockers.remove(0))
    }
}

/// What the names of copies say of the engine.
pub const ENGINE: &str = "docker";

fn is_daemons(name: &String) -> bool {
    is_daemon_name(name.as_bytes())
}

/// Names that are carried, without `containers`, and those that stay.
fn carried_names(from: &Source) -> Result<(Vec<String>, Vec<String>), DockerError> {
    let (plain, _) = plain_names(&from.path)?;
    let (mut carried, left): (Vec<_>, Vec<_>) = plain.into_iter().partition(is_daemons);
    carried.retain(|name| name != CONTAINERS);
    Ok((carried, left))
}
