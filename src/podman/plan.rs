//! The plan that makes root's store a user's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::PodmanError;
use super::checks::{check_content, check_directories, check_maps, check_unused, read_database};
use super::database::Database;
use super::database::cgroups::Cgroups;
use super::database::json::Rewriter;
use super::in_use::{blockers, mounted};
use super::layout::Layout;
use super::paths::{Directories, PathMap};
use super::places::{
    check_is_no_mount_point, check_is_rootful, check_places, check_same_filesystem, source,
};
use super::steps::{MoveSteps, UNUSED};
use super::store::{DRIVER, Holds, SQLITE, Store};
use super::survey::{binds, in_database, missing_networks, networks_of, read_rows, troubled};
use crate::docker::data_root::ASIDE;
use crate::docker::data_root_copy::PlannedCopy;
use crate::docker::rootless::copied_move::{self, CopiedError, CopiedRun, Original};
use crate::docker::rootless::obstacles::Obstacle;
use crate::docker::rootless::place::{Source, Target, stat_of};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::stamps::Stamps;
use crate::engine::{Plan, Policy, Refusal, Report, RunControl, ShiftRequest};
use crate::idmap::Direction;
use crate::journal::record::{RunKind, WalkOptions};
use crate::journal::{Step, Store as Journals};
use crate::ownership::OverlayNamespace;
use crate::preflight::TransientBlocker;

/// What to move.
#[derive(Clone, Debug)]
pub struct MoveRequest {
    /// The store of root's Podman.
    pub storage: PathBuf,
    /// Whose rootless Podman is to have it.
    pub user: RootlessUser,
    /// The store of that.
    pub target: PathBuf,
    /// Root's store stays as it is, and a copy of it is moved.
    pub copy: bool,
    /// Threads.
    pub jobs: usize,
    /// The flag of what is immutable or append-only is cleared while it is changed, and put back.
    pub clear_flags: bool,
    /// Files with names outside the store change too.
    pub allow_outside_links: bool,
}

/// A plan, and its facts for people.
pub struct StoreMove {
    request: ShiftRequest,
    step_roots: Vec<PathBuf>,
    policy: Layout,
    steps: Vec<Step>,
    steps_before: usize,
    /// Names in the store that are carried.
    carried: Vec<String>,
    /// Of the store that is to be copied, before it was read.
    stamps: Option<Stamps>,
    /// Where the store is, or what it was copied from.
    pub from: PathBuf,
    /// Where it will be.
    pub to: PathBuf,
    /// How much is in it.
    pub holds: Holds,
    /// What is different about containers there, by their names.
    pub troubled: Vec<(String, Obstacle)>,
    /// Directories and files of the host that containers use: the container's name and the path.
    pub binds: Vec<(String, PathBuf)>,
    /// What is different about networks and volumes, in words.
    pub notes: Vec<String>,
    /// Networks that the user gets a copy of.
    pub networks: Vec<String>,
    /// Names in the store that are not Podman's, and stay where they are.
    pub left: Vec<String>,
    /// Name of what holds what an unused Podman made in the new place.
    pub set_aside: Option<String>,
    /// The name that the old database has in the old place.
    pub old_database: Option<String>,
    /// What keeps it from being done now.
    pub blockers: Vec<TransientBlocker>,
    /// The same, and it hides parts of the store: what would be shifted cannot be told.
    pub mounted: Option<TransientBlocker>,
}

impl StoreMove {
    /// Reads both stores and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &MoveRequest) -> Result<StoreMove, PodmanError> {
        let plain = source(&request.storage)?;
        let stamps = || Stamps::of_store(&plain.path, STOP_PODMAN);
        let stamps = request.copy.then(stamps).transpose()?;
        Ok(StoreMove {
            stamps,
            ..StoreMove::of_source(request, &plain, &plain)?
        })
    }

    /// `plain`: the store of root's Podman; `from`: what is moved, the same or a copy.
    fn of_source(
        request: &MoveRequest,
        plain: &Source,
        from: &Source,
    ) -> Result<StoreMove, PodmanError> {
        let user = &request.user;
        user.check_range_is_free()?;
        check_is_rootful(from)?;
        let to = Target::at(&request.target)?;
        check_places(user, plain, &to)?;
        match request.copy && from.path == plain.path {
            true => check_is_no_mount_point(&to)?,
            false => check_same_filesystem(from, &to, user)?,
        }
        let store = Store::at(&from.path);
        check_content(&store)?;
        check_maps(&store)?;
        let database = read_database(&store, ("root", Database::read))?;
        let new = Directories::rootless(&to.path(), user.root.0);
        let old = match &database {
            Some((database, _)) => database.directories().map_err(in_database(&store))?,
            None => Directories::rootful(&plain.path),
        };
        check_directories(&Store::at(&plain.path), &old)?;
        let rewriter = Rewriter {
            paths: PathMap::new(&old, &plain.path, &new),
            cgroups: Cgroups::to_user(user.root.0),
        };
        let (database, before) = database.unzip();
        let rows = read_rows(&store, database, &rewriter, &new)?;
        let networks = networks_of(&rows)?;
        let holds_unused = check_unused(&to)?;

        let names = store.names()?;
        let mut carried = names.ours;
        carried.retain(|name| name != DRIVER.as_bytes() && name != SQLITE.as_bytes());
        let aside = before.as_ref().map(|_| aside_name(&from.path));
        let mut steps = MoveSteps::new(from, &to, user.root)?;
        steps.block(aside.as_deref())?;
        steps.hold(&carried)?;
        steps.secrets(&store, &rewriter)?;
        if let (Some(before), Some(aside), Some(content)) = (&before, &aside, rows.content) {
            let mode = stat_of(&from.path.join(SQLITE))?.mode;
            steps.database((before, aside), content, mode);
        }
        let (missing, has_networks) = missing_networks(&networks.all, &from.path);
        steps.networks(&missing, has_networks);
        steps.place(before.is_some());

        let containers = rows.containers.iter().map(|(row, _)| row.clone());
        let mounted = mounted(plain, &containers.collect::<Vec<_>>());
        carried.push(DRIVER.into());
        let database = before.as_ref().map(|_| SQLITE.as_bytes().to_vec());
        Ok(StoreMove {
            steps_before: steps.early.len(),
            steps: [steps.early, steps.late].concat(),
            request: shift_request(request, from.path.clone()),
            carried: carried.iter().cloned().chain(database).map(text).collect(),
            stamps: None,
            policy: Layout {
                carried: carried.into_iter().collect::<HashSet<_>>(),
                namespace: OverlayNamespace::User,
                rewritten: steps.rewritten,
            },
            holds: store.holds()?,
            troubled: [troubled(&rows.containers, user), networks.troubled].concat(),
            binds: binds(&rows.containers, &rewriter.paths),
            notes: [rows.notes, networks.notes].concat(),
            networks: missing.into_iter().map(|it| it.name).collect(),
            left: plain_left(names.others),
            set_aside: holds_unused.then(|| format!("{ASIDE}{UNUSED}")),
            old_database: aside,
            blockers: blockers(&to, user),
            mounted,
            to: to.path(),
            step_roots: vec![to.anchor],
            from: plain.path.clone(),
        })
    }

    /// The copy that the request asks for.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy(&self, request: &MoveRequest) -> Result<Option<PlannedCopy>, PodmanError> {
        if !request.copy {
            return Ok(None);
        }
        let original = Original {
            path: &self.from,
            names: self.carried.clone(),
            engine: ENGINE,
            user: &request.user.name,
            option: "--target",
        };
        Ok(Some(original.copy_for(&Target::at(&request.target)?)?))
    }

    /// Carries out the plan; with `copy`, that of a copy, which is made first.
    ///
    /// # Errors
    /// [`CopiedError`]
    pub fn execute(
        &self,
        request: &MoveRequest,
        copy: Option<&PlannedCopy>,
        store: &Journals,
        control: RunControl<'_>,
    ) -> Result<Report, CopiedError<PodmanError>> {
        let stamps = self.stamps.clone();
        let (Some(copy), Some(stamps)) = (copy, stamps) else {
            return Ok(self.plan().execute(store, control)?);
        };
        let run = CopiedRun {
            original: self.plan(),
            copy,
            stamps,
        };
        let prepare = |path: &Path| StoreMove::prepare_copy(request, path);
        copied_move::execute(run, (prepare, StoreMove::plan), store, control)
    }

    /// The plan that moves this copy of root's store, if it can be moved now.
    fn prepare_copy(
        request: &MoveRequest,
        copy: &Path,
    ) -> Result<StoreMove, CopiedError<PodmanError>> {
        let moved = || StoreMove::of_source(request, &source(&request.storage)?, &source(copy)?);
        let mut moved = moved().map_err(CopiedError::InTheWay)?;
        moved.blockers.splice(..0, moved.mounted.take());
        match moved.blockers.is_empty() {
            true => Ok(moved),
            false => Err(Refusal::from(moved.blockers.swap_remove(0)).into()),
        }
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
            unchanged_since: None,
            is_of_original: self.stamps.is_some(),
        }
    }
}

/// What the names of copies say of the engine.
pub const ENGINE: &str = "podman";

const STOP_PODMAN: &str = "or root's Podman was used. What the run had made is removed. Stop all containers (`podman stop --all`), and \
                           what starts Podman (timers, units, `podman.socket`)";

/// A name of a store: all are ASCII.
fn text(name: Vec<u8>) -> String {
    String::from_utf8_lossy(&name).into_owned()
}

fn shift_request(request: &MoveRequest, tree: PathBuf) -> ShiftRequest {
    ShiftRequest {
        paths: vec![tree],
        map: request.user.map.clone(),
        direction: Direction::Into,
        jobs: request.jobs,
        walk: WalkOptions {
            // A copy has neither.
            outside_links: request.allow_outside_links || request.copy,
            clear_flags: request.clear_flags || request.copy,
            ..WalkOptions::default()
        },
        allow_in_use: false,
        allow_system_path: true,
        allow_home: true,
        kind: RunKind::PodmanMigrate,
    }
}

/// The name that the old database gets: the first that nothing has.
fn aside_name(store: &Path) -> String {
    let names = (1..).map(|n| match n {
        1 => format!("{ASIDE}{SQLITE}"),
        n => format!("{ASIDE}{SQLITE}-{n}"),
    });
    let mut free = names.filter(|name| store.join(name).symlink_metadata().is_err());
    free.next().unwrap_or_default()
}

/// What stays and is nobody's but the operator's.
fn plain_left(names: Vec<Vec<u8>>) -> Vec<String> {
    let names = names
        .into_iter()
        .map(|name| String::from_utf8_lossy(&name).into_owned());
    names
        .filter(|name| !name.starts_with(ASIDE) && name != "lost+found")
        .collect()
}
