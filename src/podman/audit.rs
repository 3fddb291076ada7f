//! What an operator should know before a store becomes a user's. Changes nothing.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checks::{check_content, check_directories, check_maps, read_database};
use super::config::{StorageConf, looks_elsewhere, rootless_store};
use super::containers_conf::check_database_is_in_store;
use super::database::Database;
use super::places::{check_is_rootful, source};
use super::plan::{MoveRequest, PodmanMove};
use super::store::{DRIVER, Holds, SQLITE, Store};
use crate::engine::RunControl;
use crate::fs::escape::escaped;
use crate::host::{Finding, Level};
use crate::journal::{self, name};
use crate::preflight::TransientBlocker;
use crate::store_move::MoveError;
use crate::store_move::request::MoveOptions;
use crate::store_move::user::RootlessUser;

/// What is asked.
#[derive(Clone, Debug)]
pub struct AuditRequest<'a> {
    /// The store; none: the one that `storage.conf` names.
    pub storage: Option<&'a Path>,
    /// For whose rootless Podman.
    pub user: Option<&'a str>,
    /// The store of that; none: the usual one.
    pub target: Option<&'a Path>,
    /// A copy of the store would be moved.
    pub copy: bool,
    /// Threads.
    pub jobs: usize,
}

/// A container that is different there.
#[derive(Clone, Debug, Serialize)]
pub struct IncompatibleContainer {
    /// Its name.
    pub container: String,
    /// What it has.
    pub why: String,
    /// What to do; for one that starts, what it has there.
    pub remedy: String,
    /// It does not start as it is.
    pub fatal: bool,
}

/// A directory or file of the host that a container uses, and that keeps its owners.
#[derive(Clone, Debug, Serialize)]
pub struct Bind {
    /// The container's name.
    pub container: String,
    /// The path.
    #[serde(serialize_with = "name::serialize_path")]
    pub source: PathBuf,
}

/// What a move would have to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Work {
    /// Inodes looked at.
    pub inodes: u64,
    /// Inodes that would get another owner.
    pub to_shift: u64,
    /// Renames and rewrites of files.
    pub steps: u64,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The store.
    #[serde(serialize_with = "name::serialize_path")]
    pub storage: PathBuf,
    /// How much is in it.
    pub holds: Holds,
    /// Whose rootless Podman is to have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it would be.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "name::serialize_optional_path"
    )]
    pub target: Option<PathBuf>,
    /// What was looked at.
    pub findings: Vec<Finding>,
    /// Containers that are different there.
    pub containers: Vec<IncompatibleContainer>,
    /// What containers use of the host.
    pub binds: Vec<Bind>,
    /// What a move would have to do; none: there cannot be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

impl Audit {
    /// The worst of what was found.
    pub fn verdict(&self) -> Level {
        let fatal = self.containers.iter().any(|it| it.fatal);
        let least = if fatal { Level::Warning } else { Level::Ok };
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok).max(least)
    }
}

/// Looks at the store, and at what the user has for it.
///
/// # Errors
/// It is no store of root's Podman, or cannot be read.
pub fn audit(
    request: &AuditRequest<'_>,
    journals: &journal::Store,
    control: RunControl<'_>,
) -> Result<Audit, MoveError> {
    let system = StorageConf::of_system()?;
    let storage = request
        .storage
        .map_or_else(|| system.rootful_store(), Path::to_path_buf);
    let from = source(&storage)?;
    check_is_rootful(&from)?;
    let store = Store::at(&from.path);
    let mut audit = Audit {
        storage: from.path.clone(),
        holds: store.holds()?,
        user: None,
        target: None,
        findings: store_findings(&store),
        containers: Vec::new(),
        binds: Vec::new(),
        work: None,
    };
    let is_movable = audit.verdict() != Level::Error;
    let Some(user) = request.user else {
        let none = Finding::warning("user", "no user named");
        audit
            .findings
            .push(none.remedy("idshift podman audit --user USER"));
        return Ok(audit);
    };
    let user = match RootlessUser::resolve(user) {
        Ok(user) => user,
        Err(error) => {
            audit
                .findings
                .push(Finding::error("user", error.to_string()));
            return Ok(audit);
        }
    };
    audit.user = Some(user.name.clone());
    audit.findings.push(Finding::ok(
        "user",
        format!(
            "{}: container ids become host ids by the map {}",
            user.name, user.map
        ),
    ));
    let target = match request.target {
        Some(target) => Ok(target.to_path_buf()),
        None => rootless_store(&user, &system),
    };
    match target {
        Ok(target) if is_movable => {
            audit.look_through((target, user), request, (journals, control))
        }
        Ok(target) => audit.target = Some(target),
        Err(error) => audit
            .findings
            .push(Finding::error("target", error.to_string())),
    }
    Ok(audit)
}

/// What the store itself tells.
fn store_findings(store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(match check_content(store) {
        Ok(()) => Finding::ok("storage driver", DRIVER),
        Err(error) => Finding::error("storage driver", error.to_string()),
    });
    if let Err(error) = check_maps(store) {
        findings.push(Finding::error("user namespaces", error.to_string()));
    }
    let in_store = check_database_is_in_store(None);
    let database = match in_store.and_then(|()| read_database(store, ("root", Database::read))) {
        Ok(Some((database, _))) => database,
        Ok(None) => {
            findings.push(Finding::ok(
                "database",
                "none: Podman made no container or volume here",
            ));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::error("database", error.to_string()));
            return findings;
        }
    };
    let said =
        || Ok::<_, super::database::DatabaseError>((database.directories()?, database.pods()?));
    findings.push(match said() {
        Err(error) => Finding::error(
            "database",
            format!("{}: {error}", store.path.join(SQLITE).display()),
        ),
        Ok((directories, pods)) => match check_directories(store, &directories) {
            Err(error) => Finding::error("database", error.to_string()),
            Ok(()) => Finding::ok("database", format!("SQLite; pods: {pods}")),
        },
    });
    findings
}

impl Audit {
    /// Works the move out, as a dry run does.
    fn look_through(
        &mut self,
        (target, user): (PathBuf, RootlessUser),
        request: &AuditRequest<'_>,
        (journals, control): (&journal::Store, RunControl<'_>),
    ) {
        self.target = Some(target.clone());
        let wanted = MoveRequest {
            storage: self.storage.clone(),
            user,
            target,
            options: MoveOptions {
                copy: request.copy,
                ..MoveOptions::in_place(request.jobs)
            },
        };
        let plan = match PodmanMove::prepare(&wanted) {
            Ok(plan) => plan,
            Err(error) => {
                return self
                    .findings
                    .push(Finding::error("move", error.to_string()));
            }
        };
        if let Err(error) = plan.copy(&wanted) {
            self.findings
                .push(Finding::error("copy", error.to_string()));
        }
        let of_it = plan
            .moved
            .incompatible
            .iter()
            .map(|(container, it)| IncompatibleContainer {
                container: container.clone(),
                why: it.what.clone(),
                remedy: it.help.to_string(),
                fatal: it.is_fatal,
            });
        self.containers = of_it.collect();
        let binds = plan.moved.binds.iter().cloned();
        self.binds = binds
            .map(|(container, source)| Bind { container, source })
            .collect();
        let elsewhere = looks_elsewhere(&wanted.user, &plan.moved.to);
        self.findings
            .extend(elsewhere.map(|it| Finding::warning("target", it)));
        let notes = plan.notes.iter();
        self.findings
            .extend(notes.map(|note| Finding::warning("not the same", note.clone())));
        let mut now: Vec<TransientBlocker> = Vec::new();
        let looked = plan
            .moved
            .blockers
            .hiding
            .is_none()
            .then(|| plan.moved.plan.dry_run(journals, None, control));
        match looked {
            None => {}
            Some(Err(refusal)) => self
                .findings
                .push(Finding::error("move", refusal.to_string())),
            Some(Ok(report)) => {
                let problems = report.stats.problems.iter();
                self.findings.extend(problems.map(|it| {
                    let found = format!("{}: {}", escaped(&it.path), it.reason);
                    Finding::error("inode", found)
                }));
                self.work = Some(Work {
                    inodes: report.stats.seen,
                    to_shift: report.stats.changed,
                    steps: report.stats.steps,
                });
                now.extend(report.would_refuse);
            }
        }
        now.extend(plan.moved.blockers.hiding);
        now.extend(plan.moved.blockers.others);
        let would_refuse = now
            .iter()
            .filter(|it| !matches!(it, TransientBlocker::NotRoot { .. }));
        self.findings.extend(
            would_refuse
                .map(|it| Finding::warning("now", format!("a run would be refused now: {it}"))),
        );
    }
}
