//! The plan that makes root's store a user's.

use std::path::{Path, PathBuf};

use super::checks::{check_content, check_directories, check_maps, check_unused, read_database};
use super::containers_conf::check_database_is_in_store;
use super::database::Database;
use super::database::cgroups::Cgroups;
use super::database::json::Rewriter;
use super::in_use::{blockers, mounted};
use super::paths::{Directories, PathMap};
use super::places::{WORDS, check_is_rootful, source};
use super::steps::StoreSteps;
use super::store::{DRIVER, Holds, SQLITE, Store};
use super::survey::{binds, in_database, incompatible, missing_networks, networks_of, read_rows};
use crate::engine::{Plan, Report, RunControl};
use crate::idmap::Direction;
use crate::journal::Store as Journals;
use crate::journal::record::RunKind;
use crate::ownership::OverlayNamespace;
use crate::store_move::MoveError;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::execute::ExecuteError;
use crate::store_move::layout::Layout;
use crate::store_move::names::ASIDE;
use crate::store_move::place::{Source, Target, stat_of};
use crate::store_move::place_checks::{check_places, check_target};
use crate::store_move::planned_move::{Blockers, CopyRequest, PlannedMove};
use crate::store_move::request::{MoveOptions, shift_request};
use crate::store_move::stamps::Stamps;
use crate::store_move::steps::UNUSED;
use crate::store_move::user::RootlessUser;

/// What to move.
#[derive(Clone, Debug)]
pub struct MoveRequest {
    /// The store of root's Podman.
    pub storage: PathBuf,
    /// Whose rootless Podman is to have it.
    pub user: RootlessUser,
    /// The store of that.
    pub target: PathBuf,
    /// How.
    pub options: MoveOptions,
}

/// A plan, and its facts for people.
pub struct PodmanMove {
    /// What moves of both engines have in common.
    pub moved: PlannedMove,
    /// How much is in the store.
    pub holds: Holds,
    /// What is different about networks and volumes, in words.
    pub notes: Vec<String>,
    /// Networks that the user gets a copy of.
    pub networks: Vec<String>,
    /// The name that the old database has in the old place.
    pub old_database: Option<String>,
}

impl PodmanMove {
    /// Reads both stores and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &MoveRequest) -> Result<PodmanMove, MoveError> {
        let plain = source(&request.storage)?;
        let stamps = request
            .options
            .copy
            .then(|| Stamps::of(&plain.path, STOP_PODMAN));
        let mut planned = PodmanMove::of_source(request, &plain, &plain)?;
        if let Some(stamps) = stamps {
            planned.moved.copy_first(stamps);
        }
        Ok(planned)
    }

    /// `plain`: the store of root's Podman; `from`: what is moved, the same or a copy.
    fn of_source(
        request: &MoveRequest,
        plain: &Source,
        from: &Source,
    ) -> Result<PodmanMove, MoveError> {
        let user = &request.user;
        user.check_range_is_free()?;
        check_is_rootful(from)?;
        let to = Target::at(&request.target)?;
        check_places(user, (plain, &to), &WORDS)?;
        let is_copied = request.options.copy && from.path == plain.path;
        check_target(user, (from, &to), is_copied, &WORDS)?;
        let store = Store::at(&from.path);
        check_content(&store)?;
        check_maps(&store)?;
        check_database_is_in_store(Some(user))?;
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
        let mut steps = StoreSteps::new(from, &to, user.root)?;
        steps.block(aside.as_deref())?;
        steps.hold(&carried)?;
        steps.secrets(&store, &rewriter)?;
        if let (Some(before), Some(aside), Some(content)) = (&before, &aside, rows.content) {
            let mode = stat_of(&from.path.join(SQLITE))?.mode;
            steps.database((before, aside), content, mode);
        }
        let (missing, has_networks) = missing_networks(&networks.all, &from.path);
        steps.networks(&missing, has_networks);
        let steps = steps.place(before.is_some());

        let containers = rows.containers.iter().map(|(row, _)| row.clone());
        let mounted = mounted(plain, &containers.collect::<Vec<_>>());
        carried.push(DRIVER.into());
        let database = before.as_ref().map(|_| SQLITE.as_bytes().to_vec());
        let shift = shift_request(
            user,
            (RunKind::PodmanMigrate, Direction::Into),
            vec![from.path.clone()],
            request.options,
        );
        let policy = Layout::new(
            DRIVER,
            carried.iter().map(Vec::as_slice),
            OverlayNamespace::User,
            &steps.rewritten,
        );
        let moved = PlannedMove {
            blockers: Blockers {
                hiding: mounted,
                others: blockers(&to, user),
            },
            to: to.path(),
            plan: Plan::new(
                shift,
                Box::new(policy),
                steps.finish(vec![to.anchor.clone()]),
            ),
            from: plain.path.clone(),
            carried: carried.into_iter().chain(database).map(text).collect(),
            left: plain_left(names.others),
            incompatible: [incompatible(&rows.containers, user), networks.incompatible].concat(),
            binds: binds(&rows.containers, &rewriter.paths),
            set_aside: holds_unused.then(|| format!("{ASIDE}{UNUSED}")),
            stamps: None,
        };
        Ok(PodmanMove {
            moved,
            holds: store.holds()?,
            notes: [rows.notes, networks.notes].concat(),
            networks: missing.into_iter().map(|it| it.name).collect(),
            old_database: aside,
        })
    }

    /// The copy that the request asks for.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy(&self, request: &MoveRequest) -> Result<Option<PlannedCopy>, MoveError> {
        self.moved.copy(&CopyRequest {
            user: &request.user,
            target: &request.target,
            engine: ENGINE,
            option: WORDS.option,
        })
    }

    /// Carries out the plan; with `copy`, that of a copy, which is made first.
    ///
    /// # Errors
    /// [`ExecuteError`]
    pub fn execute(
        &self,
        request: &MoveRequest,
        copy: Option<&PlannedCopy>,
        store: &Journals,
        control: RunControl<'_>,
    ) -> Result<Report, ExecuteError<MoveError>> {
        let replan = |path: &Path| {
            let plain = source(&request.storage)?;
            Ok(PodmanMove::of_source(request, &plain, &source(path)?)?.moved)
        };
        self.moved.execute(copy, &replan, store, control)
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
