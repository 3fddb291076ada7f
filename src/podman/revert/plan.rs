//! The plan that makes a user's store that of root's Podman.

use std::path::PathBuf;

use super::containers::{Containers, Context};
use super::places::{OTHER_PLACE, free_name};
use super::secrets::SecretList;
use super::steps::{create_database, file_left, rewrite_secrets};
use super::{TAKEN, containers, layers, places, secrets, volumes};
use crate::engine::Plan;
use crate::idmap::Direction;
use crate::journal::record::RunKind;
use crate::ownership::OverlayNamespace;
use crate::podman::checks::{check_content, check_directories, check_maps, read_database};
use crate::podman::containers_conf::check_database_is_in_store;
use crate::podman::database::cgroups::Cgroups;
use crate::podman::database::json::Rewriter;
use crate::podman::database::tables::rebuild;
use crate::podman::database::{Database, DatabaseError};
use crate::podman::in_use::used_by_root_since_boot;
use crate::podman::paths::{Directories, PathMap};
use crate::podman::steps::GUARD;
use crate::podman::store::{DRIVER, Holds, SQLITE, Store};
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_nobody_holds;
use crate::store_move::MoveError;
use crate::store_move::layout::Layout;
use crate::store_move::move_steps::MoveSteps;
use crate::store_move::names::ASIDE;
use crate::store_move::planned_move::{Blockers, PlannedMove};
use crate::store_move::request::{MoveOptions, shift_request};
use crate::store_move::steps::UNUSED;
use crate::store_move::untrusted::{begin_reading, check_is_roots, check_was_read};
use crate::store_move::user::RootlessUser;

/// Where files of containers stay behind, in the user's store.
const LEFT: &str = "idshift-aside-containers";

/// What to take back.
#[derive(Clone, Debug)]
pub struct TakeRequest {
    /// The store of a user.
    pub target: PathBuf,
    /// Whose it is.
    pub user: RootlessUser,
    /// The store of root's Podman.
    pub storage: PathBuf,
    /// The one that it uses unless told otherwise.
    pub usual_storage: PathBuf,
    /// Threads.
    pub jobs: usize,
}

/// A plan, and its facts for people.
pub struct StoreTake {
    /// What moves of both engines have in common.
    pub moved: PlannedMove,
    /// How much is in the store.
    pub holds: Holds,
    /// Names of containers that start when the host does, if `podman-restart.service` is enabled.
    pub restarted: Vec<String>,
    /// Names of containers whose logs are in the journal of the user.
    pub logged: Vec<String>,
}

impl StoreTake {
    /// Reads both stores and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(request: &TakeRequest) -> Result<StoreTake, MoveError> {
        let user = &request.user;
        let to = places::roots(&request.storage)?;
        let from = places::users(&request.target, user)?;
        let reading = begin_reading(&from.path)?;
        places::check(&from, &to)?;
        check_is_roots(&to, OTHER_PLACE)?;
        let store = Store::at(&from.path);
        check_content(&store)?;
        check_maps(&store)?;
        check_database_is_in_store(Some(user))?;
        let database = read_database(&store, (&user.name, Database::read_users))?;
        let database = database.map(|(database, _)| database);
        layers::check(&store)?;
        volumes::check_directories(&store)?;
        let new = Directories::rootful(&to);
        let rewriter = rewriter_of(&store, database.as_ref(), (user, &new))?;
        let secrets = secrets::checked(&store, (&rewriter, &to))?;
        let context = Context {
            store: &store,
            user,
            to: &new,
            rewriter: &rewriter,
            secrets: secrets.as_ref().map(SecretList::names).unwrap_or_default(),
        };
        let (content, containers) = rows_of(database.as_ref(), &context)?;

        let there = places::unused(&to)?;
        let aside = free_name(&to, &format!("{ASIDE}{UNUSED}"));
        let is_there = |name: &&str| from.path.join(name).symlink_metadata().is_ok();
        let taken: Vec<&str> = TAKEN.into_iter().filter(is_there).collect();
        let mut steps = MoveSteps::from_user(&from, &to, 0o700)?;
        steps.clear(&to, (&there, &aside), (DRIVER, GUARD))?;
        steps.early.push(create_database(content));
        steps.make_holder();
        let held = steps.hold(&taken)?;
        if let Some(list) = secrets {
            rewrite_secrets(&mut steps, list, user.root)?;
        }
        let left = containers.left.into_iter().map(file_left);
        steps.leave(left, from.step(&[free_name(&from.path, LEFT)]))?;
        steps.put(held, (DRIVER, GUARD));
        let mut blockers: Vec<_> = check_nobody_holds(&user.map, &from.path)
            .err()
            .into_iter()
            .collect();
        let used = used_by_root_since_boot(&to, &request.usual_storage);
        blockers.extend(used.map(|(path, reason)| TransientBlocker::Store { path, reason }));
        let (holds, names) = (store.holds()?, store.names()?);
        check_was_read(&reading, &from.path)?;
        let left = names.ours.into_iter().chain(names.others);
        let left = left.map(|name| String::from_utf8_lossy(&name).into_owned());
        // Links that lead elsewhere, and flags, are what a user made: both are refused.
        let shift = shift_request(
            user,
            (RunKind::PodmanRevert, Direction::OutOf),
            vec![from.path.clone(), to.clone()],
            MoveOptions::in_place(request.jobs),
        );
        let policy = Layout::new(
            DRIVER,
            taken.iter().copied(),
            OverlayNamespace::Trusted,
            &steps.rewritten,
        );
        let moved = PlannedMove {
            plan: Plan {
                unchanged_since: Some(reading.since),
                ..Plan::new(shift, Box::new(policy), steps.finish(Vec::new()))
            },
            carried: taken.iter().map(ToString::to_string).collect(),
            left: left.filter(|name| !taken.contains(&&name[..])).collect(),
            incompatible: Vec::new(),
            binds: Vec::new(),
            set_aside: (!there.is_empty()).then_some(aside),
            from: from.path,
            to,
            blockers: Blockers {
                hiding: None,
                others: blockers,
            },
            stamps: None,
        };
        Ok(StoreTake {
            moved,
            holds,
            restarted: containers.restarted,
            logged: containers.logged,
        })
    }
}

/// What changes paths.
fn rewriter_of(
    store: &Store,
    database: Option<&Database>,
    (user, new): (&RootlessUser, &Directories),
) -> Result<Rewriter, MoveError> {
    let path = store.path.join(SQLITE);
    let failed = |error: DatabaseError| MoveError::in_the_way(&path, error.to_string());
    let old = match database {
        Some(database) => database.directories().map_err(failed)?,
        None => Directories::rootless(&store.path, user.root.0),
    };
    check_directories(store, &old)?;
    Ok(Rewriter {
        paths: PathMap::new(&old, &store.path, new),
        cgroups: Cgroups::to_root(user.root.0),
    })
}

/// The bytes of root's database, and the containers in it.
fn rows_of(
    database: Option<&Database>,
    context: &Context<'_>,
) -> Result<(Vec<u8>, Containers), MoveError> {
    let path = context.store.path.join(SQLITE);
    let failed = |error: DatabaseError| MoveError::in_the_way(&path, error.to_string());
    let volumes = database.map(Database::volume_rows).transpose();
    let volumes = volumes.map_err(failed)?.unwrap_or_default();
    let place = (context.rewriter, context.to.graph_root.as_path());
    let volumes = volumes::checked(volumes, context.store, place)?;
    let containers = containers::checked(context, &volumes, database)?;
    let rows = (&volumes[..], &containers.rows[..]);
    let content = rebuild(context.to, DRIVER, rows).map_err(failed)?;
    Ok((content, containers))
}
