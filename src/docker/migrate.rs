//! The plan that carries a data-root into a range or out of it.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::container::{move_config, move_hostconfig, set_userns_host};
use super::daemon_json::with_userns_remap;
use super::data_root::{ASIDE, DockerRoot, is_remapped_name, names, not_json, plain_names};
use super::layout::Layout;
use super::remap::Remap;
use crate::engine::{Plan, ShiftRequest};
use crate::fs::shown::shown;
use crate::fs::structure::{look, read_file};
use crate::fs::{Pin, Root, places};
use crate::idmap::Direction;
use crate::ownership::{FileType, Mode};
use crate::record::Step;
use crate::record::line::WalkOptions;
use crate::record::step::{Content, Made, Place};

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
    /// `daemon.json` is to say so too: the file, and the value of `userns-remap`.
    pub daemon_json: Option<(PathBuf, String)>,
}

/// A plan, and what it is of, for people.
pub struct Migration {
    request: ShiftRequest,
    step_roots: Vec<PathBuf>,
    layout: Layout,
    steps: Vec<Step>,
    /// Volumes that are left out because something else is mounted on them: name, and what.
    pub mounted_volumes: Vec<(String, String)>,
    /// Where an unused docker root was in the way and goes.
    pub set_aside: Option<String>,
    /// Host directories that go along.
    pub bind_mounts: Vec<PathBuf>,
    /// Names of containers that are marked for the host's user namespace.
    pub marked: Vec<String>,
    /// Names of containers that a remapped daemon will not start, and why.
    pub will_not_start: Vec<(String, &'static str)>,
}

impl Migration {
    /// Looks at the data-root and works out what is to be done.
    ///
    /// # Errors
    /// What stands in the way. Nothing was changed.
    pub fn prepare(request: &MigrateRequest, remap: &Remap) -> Result<Migration, DockerError> {
        let top = std::fs::canonicalize(&request.data_root)
            .map_err(DockerError::io(&request.data_root))?;
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
        let (mut marked, mut will_not_start) = (Vec::new(), Vec::new());
        let mut binds = Vec::new();
        for files in docker_root.container_files()? {
            let container = files.parse(&docker_root)?;
            let dir = now.join("containers").join(&files.id);
            let (old, new) = (utf8(&from)?, utf8(&to)?);
            let moved = move_config(&files.config, old, new)
                .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?;
            steps.rewrite(&dir, &files.id, "config.v2.json", &files.config, moved)?;
            if request.bind_mounts && container.userns_mode != "host" {
                let sources = files.bind_mounts(&docker_root)?;
                binds.extend(sources.into_iter().map(|bind| bind.source));
            }
            let Some(hostconfig) = &files.hostconfig else {
                continue;
            };
            let bad = |error| not_json(&dir.join("hostconfig.json"), &error);
            let mut moved = move_hostconfig(hostconfig, old, new).map_err(bad)?;
            if let Some(why) = container.obstacle().filter(|_| into) {
                match request.set_userns_host {
                    true => {
                        moved = set_userns_host(&moved).map_err(bad)?.unwrap_or(moved);
                        marked.push(container.name);
                    }
                    false => will_not_start.push((container.name, why)),
                }
            }
            steps.rewrite(&dir, &files.id, "hostconfig.json", hostconfig, moved)?;
        }

        let (plain, others) = plain_names(&top)?;
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
            .chain(safe_binds(binds, &top))
            .collect();
        let mut step_roots = Vec::new();
        let mut steps = steps.steps;
        if let Some((path, value)) = &request.daemon_json {
            let value = into.then_some(&value[..]);
            let (root, step) = daemon_json_step(path, value, trees.len())?;
            if let Some(step) = step {
                step_roots.push(root);
                // Last: a daemon that is started early must not find the option without the data.
                steps.push(step);
            }
        }

        let bind_mounts = trees[1..].to_vec();
        let volumes = docker_root.volumes()?;
        let mounted: Vec<(String, String)> = volumes
            .into_iter()
            .filter_map(|volume| Some((volume.name, volume.mounts?)))
            .collect();
        let bytes = |name: &String| name.clone().into_bytes();
        Ok(Migration {
            layout: Layout {
                direction: request.direction,
                root_gid: remap.root.1,
                inside,
                others: others.iter().map(bytes).collect(),
                mounted_volumes: mounted
                    .iter()
                    .map(|(name, _)| bytes(name))
                    .collect::<HashSet<_>>(),
            },
            request: ShiftRequest {
                paths: trees,
                map: remap.map.clone(),
                direction: request.direction,
                jobs: request.jobs,
                walk: WalkOptions {
                    keep_going: request.keep_going,
                    outside_links: true,
                    ..WalkOptions::default()
                },
                allow_in_use: false,
                allow_system_path: true,
                service: true,
                command: match into {
                    true => "docker migrate".into(),
                    false => "docker revert".into(),
                },
            },
            bind_mounts,
            step_roots,
            steps,
            mounted_volumes: mounted,
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

/// The bind mounts that can be shifted: real directories and files, no part of the system, each
/// tree once.
fn safe_binds(mut sources: Vec<PathBuf>, data_root: &Path) -> Vec<PathBuf> {
    sources.sort();
    let mut safe: Vec<PathBuf> = Vec::new();
    for source in sources {
        let Ok(root) = Root::open(&source) else {
            continue;
        };
        let kind = root.stat.file_type;
        let is_data = matches!(kind, FileType::Directory | FileType::File);
        let meets = |other: &PathBuf| root.path.starts_with(other) || other.starts_with(&root.path);
        let elsewhere = !meets(&data_root.to_path_buf()) && !safe.iter().any(meets);
        if is_data && elsewhere && places::check_system_path(&root.path).is_ok() {
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

fn utf8(path: &Path) -> Result<&str, DockerError> {
    path.to_str()
        .ok_or_else(|| DockerError::in_the_way(path, "the path of a data-root must be UTF-8"))
}

/// Steps as they come together; their root 0 is the data-root.
struct Steps<'a> {
    top: &'a Path,
    /// The docker root's name in the data-root, where it is not the data-root itself.
    inside: Option<&'a String>,
    steps: Vec<Step>,
}

impl Steps<'_> {
    /// A metadata file of a container, if it changes.
    fn rewrite(
        &mut self,
        dir: &Path,
        id: &str,
        name: &str,
        before: &str,
        after: String,
    ) -> Result<(), DockerError> {
        if before == after {
            return Ok(());
        }
        let pin = std::fs::File::open(dir).map_err(DockerError::io(dir))?;
        let (_, mtime) =
            read_file(pin.as_fd(), name.as_bytes()).map_err(DockerError::io(dir.join(name)))?;
        let inside = self.inside.map(String::as_str);
        let way = inside.into_iter().chain(["containers", id, name]);
        self.steps.push(Step::Rewrite {
            at: Place::new(0, way),
            before: Content {
                text: before.to_string(),
                mtime_ns: Some(mtime),
            },
            after: Content {
                text: after,
                mtime_ns: None,
            },
        });
        Ok(())
    }

    /// An entry goes from one place in the data-root to another.
    fn rename(&mut self, from: &[&str], to: &[&str]) -> Result<(), DockerError> {
        let path = from.iter().fold(self.top.to_path_buf(), |p, n| p.join(n));
        let failed = |errno: rustix::io::Errno| DockerError::io(&path)(errno.into());
        let stat = Pin::path(&path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        if stat.mount_root {
            return Err(DockerError::in_the_way(
                &path,
                "is a mount point: a data-root across several filesystems cannot be carried by renaming. \
                 Move it into one filesystem first",
            ));
        }
        self.steps.push(Step::Rename {
            from: Place::new(0, from),
            to: Place::new(0, to),
            identity: stat.identity,
        });
        Ok(())
    }

    fn remove_dir(&mut self, name: &str) -> Result<(), DockerError> {
        let path = self.top.join(name);
        let failed = |errno: rustix::io::Errno| DockerError::io(&path)(errno.into());
        let stat = Pin::path(&path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        self.steps.push(Step::RemoveDir {
            at: Place::new(0, [name]),
            made: Made {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }

    /// A name for what is set aside that nothing has.
    fn aside_name(&self, what: &str) -> String {
        let first = format!("{ASIDE}{what}");
        let mut name = first.clone();
        let mut n = 1;
        while self.top.join(&name).symlink_metadata().is_ok() {
            n += 1;
            name = format!("{first}-{n}");
        }
        name
    }

    /// Makes room for `<uid>.<gid>`: somebody tried the option before, and made nothing with it.
    fn set_shell_aside(&mut self, inner: &str) -> Result<Option<String>, DockerError> {
        let path = self.top.join(inner);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let holds = DockerRoot::at(&path).holds()?;
        if !holds.is_shell() {
            return Err(DockerError::in_the_way(
                path,
                format!(
                    "holds {holds} of a daemon that ran remapped. Two roots cannot be made one: start that daemon and \
                     save what you need of it, then move the directory away"
                ),
            ));
        }
        let aside = self.aside_name(inner);
        self.rename(&[inner], &[&aside])?;
        Ok(Some(aside))
    }

    /// The same for a plain daemon's names in the data-root.
    fn set_plain_shell_aside(&mut self, plain: &[String]) -> Result<Option<String>, DockerError> {
        if plain.is_empty() {
            return Ok(None);
        }
        let holds = DockerRoot::at(self.top).holds()?;
        if !holds.is_shell() {
            return Err(DockerError::in_the_way(
                self.top,
                format!(
                    "holds {holds} of a plain daemon. Two roots cannot be made one: start a plain daemon and save \
                     what you need of it, then remove them"
                ),
            ));
        }
        let aside = self.aside_name("plain");
        self.steps.push(Step::MakeDir {
            at: Place::new(0, [&aside]),
            made: Made {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0o700),
            },
        });
        for name in plain {
            self.rename(&[name], &[&aside, name])?;
        }
        Ok(Some(aside))
    }
}

/// The step that makes `daemon.json` say it, and the directory it is taken in.
fn daemon_json_step(
    path: &Path,
    value: Option<&str>,
    root_number: usize,
) -> Result<(PathBuf, Option<Step>), DockerError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    let root = Root::open(dir).map_err(|error| {
        DockerError::in_the_way(path, format!("{error}. `mkdir -p {}` makes it", shown(dir)))
    })?;
    let at = Place::new(root_number, [name.as_encoded_bytes()]);
    let handle = std::fs::File::open(&root.path).map_err(DockerError::io(&root.path))?;
    let there = look(handle.as_fd(), name.as_encoded_bytes())
        .map_err(|errno| DockerError::io(path)(errno.into()))?;
    if there.is_none() {
        let step = value.map(|_| -> Result<Step, DockerError> {
            Ok(Step::Create {
                at,
                content: with_userns_remap("", value, path)?,
                made: Made {
                    uid: 0,
                    gid: 0,
                    mode: Mode::from_st_mode(0o644),
                },
            })
        });
        return Ok((root.path, step.transpose()?));
    }
    let (bytes, mtime) =
        read_file(handle.as_fd(), name.as_encoded_bytes()).map_err(DockerError::io(path))?;
    let before = String::from_utf8(bytes).map_err(|_| data_root_not_utf8(path))?;
    let after = with_userns_remap(&before, value, path)?;
    let step = (before != after).then_some(Step::Rewrite {
        at,
        before: Content {
            text: before,
            mtime_ns: Some(mtime),
        },
        after: Content {
            text: after,
            mtime_ns: None,
        },
    });
    Ok((root.path, step))
}

fn data_root_not_utf8(path: &Path) -> DockerError {
    DockerError::in_the_way(path, "is not UTF-8; dockerd would not start with it either")
}
