//! Whether anything below a directory was changed since some time. Changes nothing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::window::Window;
use crate::engine::control::RunControl;
use crate::engine::{Problem, ProblemKind};
use crate::fs::lease::ReadLease;
use crate::fs::walk::{Visit, walk};
use crate::fs::{Dir, DirPath, Names, PinnedFile, Root, Stat};
use crate::ownership::FileType;

/// Enough to be told.
const MOST: usize = 20;

/// How an entry is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inspection {
    /// It must be unchanged, and all below it.
    Check,
    /// A directory that the run itself has changed since; what is in it is looked at.
    Enter,
    /// It is no part of the run.
    Skip,
}

/// How changes are looked for.
pub(super) struct Changes<'a> {
    pub window: Window,
    /// The path by which the tree is told of.
    pub shown: PathBuf,
    /// How the entry of this name in this directory is looked at.
    pub inspect: &'a (dyn Fn(&DirPath, &[u8]) -> Inspection + Sync),
    pub control: RunControl<'a>,
    pub jobs: usize,
}

impl Changes<'_> {
    /// Those below this directory, as far as they are needed to be told.
    pub fn find(&self, top: &Root) -> Vec<Problem> {
        let roots = std::slice::from_ref(top);
        let visitor = || Visitor {
            of: self,
            found: Vec::new(),
        };
        let mut found: Vec<Problem> = walk(roots, self.jobs, visitor)
            .into_iter()
            .flatten()
            .collect();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    }
}

struct Visitor<'a> {
    of: &'a Changes<'a>,
    found: Vec<Problem>,
}

impl Visitor<'_> {
    fn add(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.found.push(Problem {
            path,
            kind: ProblemKind::Conflict,
            reason: reason.into(),
        });
    }

    fn path(&self, dir: &DirPath, name: &[u8]) -> PathBuf {
        self.of.shown.join(dir.join(name))
    }
}

/// Why an inode must not become root's.
fn problem(window: &Window, dir: &Dir, pin: &PinnedFile, stat: &Stat) -> Option<String> {
    if stat.crosses_mount(dir.path.dev) {
        return Some("something is mounted on it".into());
    }
    if !window.allows(stat) {
        return Some(CHANGED.into());
    }
    match stat.file_type {
        FileType::File => ReadLease::take(pin).err().map(|error| error.to_string()),
        _ => None,
    }
}

/// What is said of an inode with a later ctime.
pub(in crate::engine) const CHANGED: &str = "was changed since";

impl Visit for Visitor<'_> {
    type Output = Vec<Problem>;

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        self.of.control.wait_turn(names.len());
        for (name, _) in names.with_kinds() {
            if self.of.control.is_cancelled() || self.found.len() >= MOST {
                return ControlFlow::Break(());
            }
            let inspect = (self.of.inspect)(&dir.path, name.to_bytes());
            if inspect == Inspection::Skip {
                continue;
            }
            let pinned = PinnedFile::at(std::os::fd::AsFd::as_fd(dir), name)
                .and_then(|pin| Ok((pin.stat()?, pin)));
            let (stat, pin) = match pinned {
                Ok(pinned) => pinned,
                Err(errno) => {
                    let path = self.path(&dir.path, name.to_bytes());
                    self.add(path, errno.to_string());
                    continue;
                }
            };
            let is_checked = inspect == Inspection::Check || stat.crosses_mount(dir.path.dev);
            let problem = || problem(&self.of.window, dir, &pin, &stat);
            if let Some(reason) = is_checked.then(problem).flatten() {
                let path = self.path(&dir.path, name.to_bytes());
                self.add(path, reason);
            } else if stat.is_dir() {
                found.push(dir.path.met(name.to_bytes(), &stat));
            }
        }
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, dir: &Arc<DirPath>, errno: Errno) -> ControlFlow<()> {
        let path = self.path(dir, b"");
        self.add(path, errno.to_string());
        ControlFlow::Continue(())
    }

    fn finish(self) -> Vec<Problem> {
        self.found
    }
}
