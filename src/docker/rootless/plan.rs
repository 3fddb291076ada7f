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
use crate::store_move::copy::PlannedCopy;
use crate::store_move::execute::ExecuteError;
use crate::store_move::layout::Layout;
use crate::store_move::place::{Source, Target};
use crate::store_move::place_checks::{check_places, check_target};
use crate::store_move::planned_move::{Blockers, CopyRequest, PlannedMove};
use crate::store_move::request::{MoveOptions, shift_request};
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
    /// What moves of both engines have in common.
    pub moved: PlannedMove,
    /// Names of containers that start with the daemon. Only of the way back, as the next.
    pub restarted: Vec<String>,
    /// Networks of containers that stay behind.
    pub networks: Vec<String>,
    /// What becomes of volumes whose content is elsewhere.
    pub inventory: Inventory,
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
        if let Some(stamps) = stamps {
            planned.moved.copy_first(stamps);
        }
        Ok(planned)
    }

    /// The plan that moves this copy of the plain data-root.
    ///
    /// # Errors
    /// As of [`RootlessMove::prepare`].
    fn prepare_copy(request: &RootlessRequest, copy: &Path) -> Result<RootlessMove, DockerError> {
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
        let is_copied = request.options.copy && from.path == plain.path;
        check_target(user, (from, &to), is_copied, &WORDS)?;
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
        let moved = PlannedMove {
            to: to.path(),
            plan: Plan::new(shift, Box::new(policy), steps.finish(vec![to.anchor])),
            from: plain.path.clone(),
            carried,
            left: left_data,
            incompatible: incompatible(&docker_root, &all)?,
            binds: left_binds(&docker_root, &all, &moved)?,
            set_aside: holds_unused.then(|| format!("{ASIDE}{UNUSED}")),
            blockers: Blockers {
                hiding: None,
                others: blockers,
            },
            stamps: None,
        };
        Ok(RootlessMove {
            moved,
            restarted: Vec::new(),
            networks: Vec::new(),
            inventory,
        })
    }

    /// The copy that the request asks for.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy(&self, request: &RootlessRequest) -> Result<Option<PlannedCopy>, DockerError> {
        let copy = CopyRequest {
            user: &request.user,
            target: &request.rootless_root,
            engine: ENGINE,
            option: WORDS.option,
        };
        Ok(self.moved.copy(&copy)?)
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
        let replan = |path: &Path| Ok(RootlessMove::prepare_copy(request, path)?.moved);
        self.moved.execute(copy, &replan, store, control)
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
