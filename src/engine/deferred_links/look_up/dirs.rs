//! The directories in which names are looked up.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;

use crate::engine::context::WalkContext;
use crate::fs::open_path::OpenPath;
use crate::fs::root::RootError;
use crate::fs::{Dir, DirPath, Root, process};

/// The directories of the places: held open through all three looks, so that each is found once;
/// found anew for each look where they are too many.
///
/// One that is held may be moved meanwhile, with the names in it. Those names still are the inode's, and
/// are counted as such: what matters is that there is no further one.
pub(super) struct Dirs<'r> {
    pub walk: &'r WalkContext<'r>,
    open_path: OpenPath,
    held: Vec<Option<Rc<Dir>>>,
}

impl<'r> Dirs<'r> {
    pub fn new(walk: &'r WalkContext<'r>, places: usize) -> Dirs<'r> {
        let few = places <= process::descriptors_for_directories() / 2;
        Dirs {
            walk,
            open_path: OpenPath::default(),
            held: vec![None; if few { places } else { 0 }],
        }
    }

    pub fn open(&mut self, place: usize, path: &Arc<DirPath>) -> rustix::io::Result<Rc<Dir>> {
        if let Some(Some(dir)) = self.held.get(place) {
            return Ok(Rc::clone(dir));
        }
        let root = &self.walk.roots[path.root];
        let dir = Rc::new(match root.is_dir() {
            true => self.open_path.open(root.pin.as_fd(), path)?,
            false => directory_of_file(root, path.root)?,
        });
        if let Some(held) = self.held.get_mut(place) {
            *held = Some(Rc::clone(&dir));
        }
        Ok(dir)
    }

    pub fn forget(&mut self) {
        self.open_path = OpenPath::default();
    }
}

/// The directory that a tree lies in which is a file itself.
fn directory_of_file(root: &Root, number: usize) -> rustix::io::Result<Dir> {
    let above = root.ancestors().map_err(|error| match error {
        RootError::Open { source, .. } => Errno::from_io_error(&source).unwrap_or(Errno::IO),
        _ => Errno::STALE,
    })?;
    let above = above.first().ok_or(Errno::STALE)?;
    let path = DirPath::root(number, above.stat.identity, above.stat.dev);
    Dir::open_from_root(above.pin.as_fd(), path)
}
