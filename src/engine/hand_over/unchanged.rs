//! Whether anything below a directory was changed since it was handed over. Changes nothing.

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

/// A directory that was handed over, and since when.
pub(super) struct HandedOver<'a> {
    pub window: Window,
    /// The path by which it is told of: also while it is taken away, it is the user's.
    pub shown: PathBuf,
    /// An entry that was the user's before, and is no part of the run.
    pub users_own: Option<&'a [u8]>,
    pub control: RunControl<'a>,
    pub jobs: usize,
}

impl HandedOver<'_> {
    /// What was changed in it, as far as it is needed to be told.
    pub fn changes(&self, top: &Root) -> Vec<Problem> {
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
    of: &'a HandedOver<'a>,
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
pub(in crate::engine) const CHANGED: &str = "was changed since the user got it";

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
            if dir.path.depth == 0 && self.of.users_own == Some(name.to_bytes()) {
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
            if let Some(reason) = problem(&self.of.window, dir, &pin, &stat) {
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
