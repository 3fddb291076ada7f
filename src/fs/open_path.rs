//! Opening directories one after the other that lie near each other.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::dir::{Dir, DirPath, open_ancestor};
use super::process;

/// Keeps handles of the directories above those that were opened before, so that the next one is
/// opened from the nearest of them, not from the root. To be used for a short time: what is moved
/// meanwhile is still found where it was.
pub struct OpenPath {
    handles: HashMap<*const DirPath, (Arc<DirPath>, OwnedFd)>,
    most: usize,
}

impl Default for OpenPath {
    fn default() -> OpenPath {
        OpenPath {
            handles: HashMap::new(),
            // The other half is for the directories that it opens.
            most: (process::descriptors_for_directories() / 2).clamp(1, 16384),
        }
    }
}

impl OpenPath {
    /// As [`Dir::open_from_root`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&mut self, root: BorrowedFd<'_>, path: &Arc<DirPath>) -> rustix::io::Result<Dir> {
        let mut above: Vec<&Arc<DirPath>> = Vec::new();
        let mut here = path;
        while let Some(parent) = here.parent()
            && !self.handles.contains_key(&Arc::as_ptr(here))
        {
            above.push(here);
            here = parent;
        }
        let mut last = Arc::as_ptr(here);
        for dir in above.into_iter().rev() {
            let parent = self.handles.get(&last).map_or(root, |(_, fd)| fd.as_fd());
            let fd = open_ancestor(parent, dir)?;
            if self.handles.len() >= self.most {
                self.handles.clear();
            }
            last = Arc::as_ptr(dir);
            // The Arc keeps the address from being used for another.
            self.handles.insert(last, (Arc::clone(dir), fd));
        }
        let handle = self.handles.get(&last).map_or(root, |(_, fd)| fd.as_fd());
        Dir::open_here(handle, Arc::clone(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::dir::open_dir;
    use crate::fs::stat::{stat, stat_at};

    #[test]
    fn the_right_directory_is_opened_in_any_order() {
        let place = tempfile::tempdir().unwrap();
        let root = open_dir(rustix::fs::CWD, place.path()).unwrap();
        let now = stat(&root).unwrap();
        let top = DirPath::root(0, now.identity, now.dev);
        let mut all = vec![Arc::clone(&top)];
        for n in 0..400usize {
            // A bush in its first half, a chain longer than what is kept in its second.
            let parent = Arc::clone(&all[if n < 200 { n / 3 } else { n }]);
            let name = format!("d{n}");
            let at = place.path().join(parent.to_path()).join(&name);
            std::fs::create_dir(&at).unwrap();
            let made = open_dir(rustix::fs::CWD, &at).unwrap();
            let made = stat_at(&made, c"", rustix::fs::AtFlags::EMPTY_PATH).unwrap();
            all.push(parent.child(name.as_bytes(), made.identity, made.dev));
        }
        let mut open_path = OpenPath {
            most: 50,
            ..OpenPath::default()
        };
        for step in [1usize, 7, 150, 399] {
            for n in 0..all.len() {
                let path = &all[n * step % all.len()];
                let dir = open_path.open(root.as_fd(), path).unwrap();
                assert_eq!(stat(&dir).unwrap().identity, path.identity);
            }
        }
        let gone = &all[100];
        std::fs::remove_dir_all(place.path().join(gone.to_path())).unwrap();
        assert!(OpenPath::default().open(root.as_fd(), gone).is_err());
    }
}
