//! The plan that makes host directories ready for a container.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::VolumeError;
use super::parents::{ClosedParent, closed_above, may_search};
use super::user::ContainerUser;
use crate::engine::{Plan, Rule, ShiftRequest, Uniform};
use crate::fs::dir::open_dir;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::file_ops::mtime_ns;
use crate::fs::{Ancestor, PinnedFile, Root, attributes};
use crate::host::runtime::{Program, runc};
use crate::idmap::Direction;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::{Mode, grant_search};
use crate::preflight;
use crate::preflight::homes::{self, Claim};

/// What is asked.
#[derive(Clone, Debug)]
pub struct PrepareRequest {
    /// The trees, the map, and how the run is limited.
    pub shift: ShiftRequest,
    /// Everything is given to this container user; else ids go through the map.
    pub owner: Option<ContainerUser>,
    /// Directories that are missing are made.
    pub create: bool,
    /// The container's root gets search permission on directories above that lack it.
    pub fix_parents: bool,
    /// The runtime is one that minds closed directories above, whatever is installed.
    pub old_runtime: bool,
}

/// A plan, and what it is of, for people.
pub struct Preparation {
    request: ShiftRequest,
    step_roots: Vec<PathBuf>,
    policy: Uniform,
    steps: Vec<Step>,
    /// Directories that are made.
    pub made: Vec<PathBuf>,
    /// Directories that let the container's root through, and its id on the host.
    pub opened: Vec<(PathBuf, u32)>,
    /// Closed directories above that stay so.
    pub closed: Vec<ClosedParent>,
    /// The installed runtime.
    pub runtime: Option<Program>,
}

/// As dockerd makes the source of a bind mount that is missing.
const MADE: Mode = Mode::from_st_mode(0o755);

impl Preparation {
    /// Looks at the paths and works out what is to be done.
    ///
    /// # Errors
    /// What stands in the way. Nothing was changed.
    pub fn prepare(request: &PrepareRequest) -> Result<Preparation, VolumeError> {
        let shift = &request.shift;
        let owner = match (&request.owner, shift.direction) {
            (Some(user), Direction::Into) => Some(user.on_host(&shift.map)?),
            // Out of the range, container ids are the host's.
            (Some(user), Direction::OutOf) => Some((user.uid, user.gid)),
            (None, _) => None,
        };
        let rule = match owner {
            Some((uid, gid)) => Rule::Give { uid, gid },
            None if shift.walk.assume_unshifted => Rule::MapAll,
            None => Rule::Map,
        };
        let mut building = Building {
            request,
            new_owner: owner.or(container_root(shift)),
            trees: Vec::new(),
            made: Vec::new(),
            below: Vec::new(),
        };
        for path in &shift.paths {
            building.path(path)?;
        }
        let runtime = runc();
        let above = building.closed_above()?;
        let closed: Vec<ClosedParent> = above.iter().map(ClosedParent::from).collect();
        let is_old = runtime.as_ref().is_some_and(Program::looks_up_as_container);
        if !request.fix_parents && (request.old_runtime || is_old) {
            check_no_closed(&closed, runtime.as_ref(), request.old_runtime)?;
        }
        let mut steps = StepList::after(building.trees.len());
        let mut opened = Vec::new();
        if request.fix_parents {
            for parent in &above {
                opened.push(steps.open(parent, shift)?);
            }
        }
        for (path, made) in &building.made {
            steps.make(path, *made)?;
        }
        Ok(Preparation {
            made: building.made.into_iter().map(|(path, _)| path).collect(),
            closed: if request.fix_parents {
                Vec::new()
            } else {
                closed
            },
            request: ShiftRequest {
                paths: building.trees,
                ..shift.clone()
            },
            step_roots: steps.roots,
            steps: steps.steps,
            policy: Uniform(rule),
            opened,
            runtime,
        })
    }

    /// The plan, for the engine.
    pub fn plan(&self) -> Plan<'_> {
        Plan {
            request: self.request.clone(),
            step_roots: self.step_roots.clone(),
            policy: &self.policy,
            steps: self.steps.clone(),
            steps_before: 0,
        }
    }
}

/// To whom something new belongs that is given to nobody.
fn container_root(shift: &ShiftRequest) -> Option<(u32, u32)> {
    match shift.direction {
        Direction::Into => shift.map.container_root(),
        Direction::OutOf => Some((0, 0)),
    }
}

fn check_no_closed(
    closed: &[ClosedParent],
    runtime: Option<&Program>,
    asked: bool,
) -> Result<(), VolumeError> {
    let Some(first) = closed.first() else {
        return Ok(());
    };
    let runtime = match runtime {
        Some(runtime) if !asked => runtime.to_string(),
        _ => "an old runtime".into(),
    };
    Err(VolumeError::path(
        &first.path,
        format!(
            "({}) cannot be searched by the container's root, and {runtime} would stop there. \
             --fix-parents lets it through, with one ACL entry",
            first.owner
        ),
    ))
}

/// Paths as they come together.
struct Building<'a> {
    request: &'a PrepareRequest,
    new_owner: Option<(u32, u32)>,
    trees: Vec<PathBuf>,
    /// Directories to be made, outermost first.
    made: Vec<(PathBuf, NewDirectory)>,
    /// What is there of each path: the directories above it count; of a path that is missing, the
    /// last directory that is there counts too.
    below: Vec<(Root, IsMissing)>,
}

type IsMissing = bool;

impl Building<'_> {
    fn path(&mut self, path: &Path) -> Result<(), VolumeError> {
        let missing = match path.symlink_metadata() {
            Ok(_) => false,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(VolumeError::io(path)(error)),
        };
        if missing && !self.request.create {
            return Err(VolumeError::path(
                path,
                "is not there. --create makes it, with the right owner",
            ));
        }
        if missing {
            return self.missing(path);
        }
        let root = open(path)?;
        if !self.request.shift.allow_system_path {
            let fine = preflight::check_kind(&root);
            fine.map_err(|error| VolumeError::path(path, strip(&root.path, &error.to_string())))?;
        }
        self.trees.push(root.path.clone());
        self.below.push((root, false));
        Ok(())
    }

    /// A directory that is to be made, with those above that are missing too.
    fn missing(&mut self, path: &Path) -> Result<(), VolumeError> {
        let is_plain =
            |part: std::path::Component<'_>| !matches!(part, std::path::Component::ParentDir);
        if !path.components().all(is_plain) {
            return Err(VolumeError::path(path, "has `..` in it; name it without"));
        }
        let absolute = std::path::absolute(path).map_err(VolumeError::io(path))?;
        let there = absolute
            .ancestors()
            .find(|dir| dir.symlink_metadata().is_ok())
            .unwrap_or(Path::new("/"));
        // Links on the way are followed once, here.
        let root = Root::open(&there.join("."))
            .map_err(|error| VolumeError::of_root(&there.join("."), &error))?;
        if !root.is_dir() {
            return Err(VolumeError::path(there, "is no directory"));
        }
        can_be_changed(&root.pin, &root.path)?;
        self.check_no_home(&root)?;
        let below = absolute.strip_prefix(there).unwrap_or(Path::new(""));
        let mut dir = root.path.clone();
        let names: Vec<_> = below.components().collect();
        for (n, name) in names.iter().enumerate() {
            dir.push(name);
            let is_last = n + 1 == names.len();
            let (uid, gid) = match is_last {
                true => self.new_owner.unwrap_or((0, 0)),
                // What is on the way is the host's, and others may pass.
                false => (0, 0),
            };
            let made = NewDirectory {
                uid,
                gid,
                mode: MADE,
            };
            match self.made.iter_mut().find(|(path, _)| *path == dir) {
                // On the way of one path, and the other path itself.
                Some((_, known)) if is_last => *known = made,
                Some(_) => {}
                None => self.made.push((dir.clone(), made)),
            }
        }
        if !self.request.shift.allow_system_path {
            preflight::check_system_path(&dir)
                .map_err(|error| VolumeError::path(path, strip(&dir, &error.to_string())))?;
        }
        self.below.push((root, true));
        Ok(())
    }

    /// Refuses to make something for a container in a home: it would be refused the next time.
    fn check_no_home(&self, there: &Root) -> Result<(), VolumeError> {
        let Some(accounts) = self.request.shift.accounts() else {
            return Ok(());
        };
        match homes::claim(there, &accounts) {
            Some(claim @ (Claim::InHome(_) | Claim::Home(_))) if claim.account().uid != 0 => {
                let account = claim.account();
                let reason = format!(
                    "is the home of {account}, or lies in it. Name a place elsewhere, or add --allow-home if it is this one"
                );
                Err(VolumeError::path(&there.path, reason))
            }
            _ => Ok(()),
        }
    }

    /// Of the directories above all paths that are there, those which the container's root may not
    /// search.
    fn closed_above(&mut self) -> Result<Vec<Ancestor>, VolumeError> {
        if self.request.shift.direction == Direction::OutOf || !nix::unistd::geteuid().is_root() {
            return Ok(Vec::new());
        }
        let map = &self.request.shift.map;
        let mut known = HashSet::new();
        let mut closed = Vec::new();
        for (root, is_missing) in self.below.drain(..) {
            let mut found = closed_above(&root, map)?;
            if is_missing && !may_search(&root.pin, map)? {
                let Root { path, pin, .. } = root;
                let stat = pin
                    .stat()
                    .map_err(|errno| VolumeError::io(&path)(errno.into()))?;
                found.push(Ancestor { path, pin, stat });
            }
            for parent in found {
                // What is prepared itself is open to the container afterwards.
                let prepared = self.trees.contains(&parent.path);
                if !prepared && known.insert(parent.path.clone()) {
                    closed.push(parent);
                }
            }
        }
        Ok(closed)
    }
}

/// Steps, and the directories they are taken in.
struct StepList {
    trees: usize,
    roots: Vec<PathBuf>,
    steps: Vec<Step>,
}

impl StepList {
    fn after(trees: usize) -> StepList {
        StepList {
            trees,
            roots: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn root(&mut self, path: &Path) -> usize {
        let known = self.roots.iter().position(|root| root == path);
        let n = known.unwrap_or_else(|| {
            self.roots.push(path.to_path_buf());
            self.roots.len() - 1
        });
        self.trees + n
    }

    /// Lets the container's root through a directory. The step says which inode is meant: whatever
    /// else has the path by then is left alone.
    fn open(
        &mut self,
        above: &Ancestor,
        shift: &ShiftRequest,
    ) -> Result<(PathBuf, u32), VolumeError> {
        let Ancestor { path, pin, stat } = above;
        if !attributes::keeps_acls(pin) {
            let help = format!(
                "is on a filesystem that keeps no ACLs, and a closed directory is opened by nothing else. \
                 Have the volume in another place, or run `chmod o+x {}` if all may pass",
                shell_word(path)
            );
            return Err(VolumeError::path(path, help));
        }
        can_be_changed(pin, path)?;
        let before = attributes::read(pin, stat)
            .map_err(|error| VolumeError::path(path, error.to_string()))?;
        let (uid, _) = shift
            .map
            .container_root()
            .ok_or_else(|| VolumeError::path(path, "the map has no id for the container's root"))?;
        let after = grant_search(&before, uid).ok_or_else(|| {
            let help = format!(
                "belongs to {uid} itself, which an ACL entry does not help: `chmod u+x {}`",
                shell_word(path)
            );
            VolumeError::path(path, help)
        })?;
        let number = self.root(path);
        self.steps.push(Step::SetOwnership {
            at: StepPath {
                root: number,
                path: Vec::new(),
            },
            identity: stat.identity,
            before,
            after,
        });
        Ok((path.clone(), uid))
    }

    fn make(&mut self, path: &Path, made: NewDirectory) -> Result<(), VolumeError> {
        let there = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(path);
        let below = path.strip_prefix(there).unwrap_or(Path::new(""));
        if below.as_os_str().is_empty() {
            let reason = "was made just now, by somebody else. Run the command again";
            return Err(VolumeError::path(path, reason));
        }
        let names: Vec<&[u8]> = below
            .iter()
            .map(std::ffi::OsStr::as_encoded_bytes)
            .collect();
        let root = self.root(there);
        let above = StepPath::new(root, [""; 0]);
        let is_known = |step: &Step| matches!(step, Step::Times { at, .. } if *at == above);
        if !self.steps.iter().any(is_known) {
            let dir = open_dir(rustix::fs::CWD, there)
                .map_err(|errno| VolumeError::io(there)(errno.into()))?;
            self.steps.push(Step::Times {
                at: above,
                mtime_ns: mtime_ns(dir).map_err(VolumeError::io(there))?,
            });
        }
        let at = StepPath::new(root, names);
        self.steps.push(Step::MakeDir { at, made });
        Ok(())
    }
}

fn open(path: &Path) -> Result<Root, VolumeError> {
    Root::open(path).map_err(|error| VolumeError::of_root(path, &error))
}

/// Refuses a directory on a filesystem that is read-only or keeps no owners.
fn can_be_changed(pin: &PinnedFile, path: &Path) -> Result<(), VolumeError> {
    preflight::check_filesystem(pin.as_fd(), path)
        .map_err(|error| VolumeError::path(path, strip(path, &error.to_string())))
}

/// The path stands before the message already.
fn strip(path: &Path, message: &str) -> String {
    let prefix = format!("{}: ", escaped(path));
    message.strip_prefix(&prefix).unwrap_or(message).to_string()
}
