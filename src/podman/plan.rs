//! The plan that makes root's store a user's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::PodmanError;
use super::checks::{
    blockers, check_content, check_directories, check_is_no_mount_point, check_is_rootful,
    check_maps, check_places, check_same_filesystem, check_unused, mounted, read_database, source,
};
use super::database::cgroups::Cgroups;
use super::database::json::Rewriter;
use super::database::{ContainerRow, Database, DatabaseError};
use super::layout::Layout;
use super::networks::{self, Network};
use super::obstacles::Config;
use super::paths::{Directories, PathMap};
use super::steps::{MoveSteps, UNUSED};
use super::store::{DRIVER, Holds, SQLITE, Store};
use crate::docker::data_root::ASIDE;
use crate::docker::data_root_copy::PlannedCopy;
use crate::docker::rootless::copied_move::{self, CopiedError, CopiedRun, Original};
use crate::docker::rootless::obstacles::{Obstacle, first_open_port};
use crate::docker::rootless::place::{Source, Target, stat_of};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::stamps::Stamps;
use crate::engine::{Plan, Policy, Refusal, Report, RunControl, ShiftRequest};
use crate::idmap::{Direction, Mapped};
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

/// What a database says of a store.
struct Rows {
    containers: Vec<(ContainerRow, Config)>,
    notes: Vec<String>,
    content: Option<Vec<u8>>,
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

fn in_database(store: &Store) -> impl Fn(DatabaseError) -> PodmanError {
    let path = store.path.join(SQLITE);
    move |error| PodmanError::in_the_way(&path, error.to_string())
}

fn read_rows(
    store: &Store,
    database: Option<Database>,
    rewriter: &Rewriter,
    new: &Directories,
) -> Result<Rows, PodmanError> {
    let Some(database) = database else {
        return Ok(Rows {
            containers: Vec::new(),
            notes: Vec::new(),
            content: None,
        });
    };
    let failed = in_database(store);
    let mut containers = Vec::new();
    for row in database.containers().map_err(&failed)? {
        let config = Config::parse(&row.config).map_err(|error| {
            let why = format!(
                "the container {} is not what Podman writes: {error}",
                row.name
            );
            PodmanError::in_the_way(store.path.join(SQLITE), why)
        })?;
        containers.push((row, config));
    }
    let volumes = database.volumes().map_err(&failed)?;
    let notes = volumes
        .iter()
        .filter_map(|row| volume_note(&row.key, &row.text))
        .collect();
    // A Podman that starts with a new database of a user's writes this driver's name there (5.4.2).
    let content = database
        .rewritten(rewriter, (new, DRIVER))
        .map_err(&failed)?;
    Ok(Rows {
        containers,
        notes,
        content: Some(content),
    })
}

/// A volume whose driver is another program.
fn volume_note(name: &str, text: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(text).ok()?;
    let driver = config["volumeDriver"].as_str().unwrap_or("local");
    if !["", "local", "image"].contains(&driver) {
        return Some(format!(
            "Volume {name} needs the volume driver {driver} there, too"
        ));
    }
    let options = &config["volumeOptions"];
    let kind = options["type"].as_str().unwrap_or_default();
    let device = options["device"].as_str().unwrap_or_default();
    let is_bind = options["o"]
        .as_str()
        .is_some_and(|it| it.split(',').any(|it| it.ends_with("bind")));
    match (kind, device) {
        ("tmpfs", _) | (_, "") => None,
        (_, device) if is_bind => Some(format!(
            "Volume {name} leads to {device}, which keeps its owners"
        )),
        (kind, device) => Some(format!(
            "Volume {name} mounts {device} ({kind}), which a user cannot mount: it does not work there"
        )),
    }
}

struct Networks {
    all: Vec<Network>,
    notes: Vec<String>,
    troubled: Vec<(String, Obstacle)>,
}

fn networks_of(rows: &Rows) -> Result<Networks, PodmanError> {
    let all = Network::all_in(Path::new(networks::ROOTS))?;
    let mut troubled = Vec::new();
    for (row, config) in &rows.containers {
        let missing = config
            .own_networks()
            .find(|name| !all.iter().any(|it| it.name == *name));
        troubled.extend(missing.map(|name| {
            let obstacle = Obstacle {
                what: format!(
                    "is in the network {name}, of which there is no file in {}",
                    networks::ROOTS
                ),
                help: "`podman network create` makes it there",
                is_fatal: true,
            };
            (row.name.clone(), obstacle)
        }));
    }
    Ok(Networks {
        notes: all.iter().filter_map(Network::obstacle).collect(),
        all,
        troubled,
    })
}

/// Networks that the store does not have, and whether it has a directory for them.
fn missing_networks(all: &[Network], store: &Path) -> (Vec<Network>, bool) {
    let there = store.join(networks::USERS);
    let missing = all.iter().filter(|it| !there.join(&it.file).exists());
    (missing.cloned().collect(), there.symlink_metadata().is_ok())
}

fn troubled(all: &[(ContainerRow, Config)], user: &RootlessUser) -> Vec<(String, Obstacle)> {
    let first_port = first_open_port();
    let is_mapped = |mapped| matches!(mapped, Mapped::To(_));
    let has_ids = |uid, gid| {
        is_mapped(user.map.uids.map(uid, Direction::Into))
            && is_mapped(user.map.gids.map(gid, Direction::Into))
    };
    let of_each = all.iter().flat_map(|(row, config)| {
        let found = config.obstacles(first_port, &has_ids).into_iter();
        found.map(|it| (row.name.clone(), it))
    });
    of_each.collect()
}

/// What containers use of the host that does not move along.
fn binds(all: &[(ContainerRow, Config)], paths: &PathMap) -> Vec<(String, PathBuf)> {
    let of_each = all.iter().flat_map(|(row, config)| {
        let sources = config.binds();
        sources.map(|source| (row.name.clone(), source))
    });
    let stays = |source: &Path| {
        source
            .to_str()
            .is_none_or(|text| paths.path(text).is_none())
    };
    let mut found: Vec<_> = of_each.filter(|(_, source)| stays(source)).collect();
    found.sort();
    found.dedup();
    found
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
