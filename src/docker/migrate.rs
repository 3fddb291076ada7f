//! The plan that carries a data-root into a range or out of it.

use std::path::{Path, PathBuf};

use super::DockerError;
use super::bind_mounts::{Look, to_prepare};
use super::container::{Container, move_config, move_hostconfig, obstacles, set_userns_host};
use super::daemon_json;
use super::data_root::{
    ContainerFiles, DockerRoot, Elsewhere, canonical, is_remapped_name, names, not_json,
    plain_names,
};
use super::layout::Layout;
use super::moved::Moved;
use super::remap::Remap;
use super::steps::Steps;
use crate::engine::{Plan, ShiftRequest};
use crate::fs::{Root, places};
use crate::idmap::Direction;
use crate::ownership::{FileType, Mode};
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::homes::Claim;
use crate::record::Step;
use crate::record::line::WalkOptions;
use crate::record::step::{Made, Place};

/// What is asked.
#[derive(Clone, Debug)]
pub struct MigrateRequest {
    /// The data-root.
    pub data_root: PathBuf,
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Name in the data-root of a copy of the plain root, which is carried instead of it.
    pub copy: Option<String>,
    /// Threads.
    pub jobs: usize,
    /// What cannot be shifted is left.
    pub keep_going: bool,
    /// Containers that cannot run remapped are marked to run with the host's user namespace.
    pub set_userns_host: bool,
    /// Host directories that containers bind go along, where that is safe.
    pub bind_mounts: bool,
    /// Also those that login accounts of this host work with.
    pub allow_home: bool,
    /// Files with names outside the data-root change too, for whoever uses those.
    pub allow_outside_links: bool,
    /// `daemon.json` is to say so too: the file, and the value of `userns-remap`.
    pub daemon_json: Option<(PathBuf, String)>,
}

/// A plan, and what it is of, for people.
pub struct Migration {
    request: ShiftRequest,
    step_roots: Vec<PathBuf>,
    layout: Layout,
    steps: Vec<Step>,
    /// Volumes that are left out because their content is elsewhere.
    pub elsewhere: Vec<Elsewhere>,
    /// Where an unused docker root was in the way and goes.
    pub set_aside: Option<String>,
    /// Host directories that go along.
    pub bind_mounts: Vec<PathBuf>,
    /// Host directories that stay, as somebody who logs in to this host works with them.
    pub claimed: Vec<(PathBuf, Claim)>,
    /// Names of containers that are marked for the host's user namespace.
    pub marked: Vec<String>,
    /// Names of containers that a remapped daemon will not start, and why.
    pub will_not_start: Vec<(String, String)>,
}

impl Migration {
    /// Looks at the data-root and works out what is to be done.
    ///
    /// # Errors
    /// What stands in the way. Nothing was changed.
    pub fn prepare(request: &MigrateRequest, remap: &Remap) -> Result<Migration, DockerError> {
        let top = canonical(&request.data_root)?;
        let inner = remap.dir_name();
        let into = request.direction == Direction::Into;
        let (from, to) = match into {
            true => (top.clone(), top.join(&inner)),
            false => (top.join(&inner), top.clone()),
        };
        // Where the docker root is now; its metadata says `from`.
        let inside = match (into, &request.copy) {
            (true, copy) => copy.clone(),
            (false, _) => Some(inner.clone()),
        };
        let now = inside.as_ref().map_or(top.clone(), |name| top.join(name));
        let docker_root = DockerRoot::at(&now);
        check_has_content(&docker_root, request.direction, &top)?;
        docker_root.check_drivers()?;

        let mut steps = Steps {
            top: &top,
            inside: inside.as_ref(),
            steps: Vec::new(),
        };
        let (plain, others) = plain_names(&top)?;
        let moved = Moved::new(&from, &to, if into { others.clone() } else { Vec::new() })?;
        let new_path = |path: &str| moved.path(path);
        let parse = |files: ContainerFiles| Ok((files.parse(&docker_root)?, files));
        let all: Result<Vec<(Container, ContainerFiles)>, DockerError> = docker_root
            .container_files()?
            .into_iter()
            .map(parse)
            .collect();
        let all = all?;
        let obstacles = match into {
            true => obstacles(all.iter().map(|(container, _)| container)),
            false => vec![None; all.len()],
        };
        let (mut marked, mut will_not_start) = (Vec::new(), Vec::new());
        for ((container, files), obstacle) in all.iter().zip(&obstacles) {
            let dir = now.join("containers").join(&files.id);
            let config = move_config(&files.config, &new_path)
                .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?;
            steps.rewrite(&dir, &files.id, "config.v2.json", &files.config, config)?;
            let Some(hostconfig) = &files.hostconfig else {
                continue;
            };
            let bad = |error| not_json(&dir.join("hostconfig.json"), &error);
            let mut after = move_hostconfig(hostconfig, &new_path).map_err(bad)?;
            if let Some(why) = obstacle {
                match request.set_userns_host {
                    true => {
                        after = set_userns_host(&after).map_err(bad)?.unwrap_or(after);
                        marked.push(container.name.clone());
                    }
                    false => will_not_start.push((container.name.clone(), why.clone())),
                }
            }
            steps.rewrite(&dir, &files.id, "hostconfig.json", hostconfig, after)?;
        }
        let mut claimed = Vec::new();
        let bind_mounts = match (request.bind_mounts, into) {
            (false, _) => Vec::new(),
            (true, true) => {
                if let Some(overlap) = remap.map.sides_overlap() {
                    let why = format!(
                        "{overlap}, so an id does not tell whether a file that containers bind is shifted already. \
                         Migrate without --bind-mounts, and shift those that are not: idshift prepare --assume-unshifted"
                    );
                    return Err(DockerError::in_the_way(&top, why));
                }
                let accounts = (!request.allow_home).then(LoginAccounts::of_host);
                let mut look = Look::new(&docker_root, &moved, Some(remap), accounts);
                for ((container, files), obstacle) in all.iter().zip(&obstacles) {
                    let is_host = container.userns_mode == "host" || obstacle.is_some();
                    look.at(container, files, is_host)?;
                }
                let mounts = look.all();
                claimed.extend(
                    mounts
                        .iter()
                        .filter_map(|mount| Some((mount.source.clone(), mount.claim.clone()?))),
                );
                to_prepare(&mounts)
            }
            (true, false) => {
                let mut sources = Vec::new();
                for (container, files) in &all {
                    if container.userns_mode != "host" {
                        let binds = files.bind_mounts(&docker_root)?.into_iter();
                        sources.extend(binds.map(|bind| bind.source));
                    }
                }
                safe_to_revert(sources, &top)
            }
        };

        let set_aside;
        if into {
            set_aside = steps.set_shell_aside(&inner)?;
            steps.steps.push(Step::MakeDir {
                at: Place::new(0, [&inner]),
                made: Made {
                    uid: 0,
                    gid: remap.root.1,
                    mode: Mode::from_st_mode(0o710),
                },
            });
            match &inside {
                None => {
                    for name in &plain {
                        steps.rename(&[name], &[&inner, name])?;
                    }
                }
                Some(copy) => {
                    for name in names(&now)? {
                        steps.rename(&[copy, &name], &[&inner, &name])?;
                    }
                    steps.remove_dir(copy)?;
                }
            }
        } else {
            set_aside = steps.set_plain_shell_aside(&plain)?;
            for name in names(&from)? {
                steps.rename(&[&inner, &name], &[&name])?;
            }
            steps.remove_dir(&inner)?;
        }
        let trees: Vec<PathBuf> = [top.clone()]
            .into_iter()
            .chain(bind_mounts.clone())
            .collect();
        let mut step_roots = Vec::new();
        let mut steps = steps.steps;
        if let Some((path, value)) = &request.daemon_json {
            let value = into.then_some(&value[..]);
            let (root, step) = daemon_json::step(path, value, trees.len())?;
            if !step.is_empty() {
                step_roots.push(root);
                // Last: a daemon that is started early must not find the option without the data.
                steps.extend(step);
            }
        }

        let volumes = docker_root.volumes()?.into_iter();
        let elsewhere: Vec<Elsewhere> = volumes.filter_map(|volume| volume.elsewhere).collect();
        let bytes = |name: &String| name.clone().into_bytes();
        Ok(Migration {
            layout: Layout {
                direction: request.direction,
                root_gid: remap.root.1,
                inside,
                others: others.iter().map(bytes).collect(),
                elsewhere: elsewhere.iter().map(|it| bytes(&it.volume)).collect(),
            },
            request: ShiftRequest {
                paths: trees,
                map: remap.map.clone(),
                direction: request.direction,
                jobs: request.jobs,
                walk: WalkOptions {
                    keep_going: request.keep_going,
                    outside_links: request.allow_outside_links,
                    ..WalkOptions::default()
                },
                allow_in_use: false,
                allow_system_path: true,
                allow_home: request.allow_home,
                service: true,
                command: match into {
                    true => "docker migrate".into(),
                    false => "docker revert".into(),
                },
            },
            bind_mounts,
            claimed,
            step_roots,
            steps,
            elsewhere,
            set_aside,
            marked,
            will_not_start,
        })
    }

    /// The plan, for the engine.
    pub fn plan(&self) -> Plan<'_> {
        Plan {
            request: self.request.clone(),
            step_roots: self.step_roots.clone(),
            aim: &self.layout,
            steps: self.steps.clone(),
        }
    }
}

/// The bind mounts of a remapped daemon that can be shifted out of the range: real directories and
/// files, no part of the system and none of the data-root, each tree once.
fn safe_to_revert(mut sources: Vec<PathBuf>, top: &Path) -> Vec<PathBuf> {
    sources.sort();
    let mut safe: Vec<PathBuf> = Vec::new();
    for source in sources {
        let real = std::fs::canonicalize(source);
        let Some(root) = real.ok().and_then(|real| Root::open(&real).ok()) else {
            continue;
        };
        let kind = root.file_type;
        let is_data = matches!(kind, FileType::Directory | FileType::File);
        let is_ours = root.path.starts_with(top) || top.starts_with(&root.path);
        let is_new = !safe.iter().any(|other| root.path.starts_with(other));
        if is_data && is_new && !is_ours && places::check_system_path(&root.path).is_ok() {
            safe.push(root.path);
        }
    }
    safe
}

fn check_has_content(
    root: &DockerRoot,
    direction: Direction,
    top: &Path,
) -> Result<(), DockerError> {
    if root.path.is_dir() && !root.holds()?.is_shell() {
        return Ok(());
    }
    let remapped: Vec<String> = names(top)?
        .into_iter()
        .filter(|name| is_remapped_name(name))
        .collect();
    let there = match &remapped[..] {
        [] => "and there is no remapped root either. Is it the right --data-root?".to_string(),
        names => format!("beside it there is {}", names.join(", ")),
    };
    Err(DockerError::in_the_way(
        &root.path,
        match direction {
            Direction::Into => {
                format!("has no images, containers or volumes of a plain daemon; {there}")
            }
            Direction::OutOf => format!(
                "there are no images, containers or volumes of a daemon remapped to this range; {there}"
            ),
        },
    ))
}
