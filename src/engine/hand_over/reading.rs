//! A user's tree while it is read for a plan: what was read must be what the run finds.

use std::path::PathBuf;

use jiff::Timestamp;

use super::wait_for_the_clock;
use super::window::Window;
use crate::fs::root::RootError;
use crate::fs::{Root, Stat};

/// The top of a tree that is read by paths, and since when.
pub struct Reading {
    top: Root,
    /// What is changed later has a later ctime.
    pub since: Timestamp,
}

impl Reading {
    /// Waits until whatever is changed in the tree gets a later ctime than the time that it notes.
    pub fn begin(top: Root) -> Reading {
        let since = Timestamp::now();
        wait_for_the_clock(Some(&top));
        Reading { top, since }
    }

    /// What was changed of the top and of the directories above it which others than root can change: any of the paths may
    /// have led elsewhere meanwhile. What is below, the run looks at ([`check_taken_over`](super::check_taken_over)).
    ///
    /// # Errors
    /// It is not in its place any more.
    pub fn changed_above(&self) -> Result<Option<PathBuf>, RootError> {
        self.top.check_in_place()?;
        let window = Window::of_reading(self.since);
        let top = self.top.pin.stat().map_err(|errno| RootError::Open {
            path: self.top.path.clone(),
            source: errno.into(),
        })?;
        if !window.allows(&top) {
            return Ok(Some(self.top.path.clone()));
        }
        let mut below = top;
        for above in self.top.ancestors()? {
            if !is_held_by_root(&above.stat, &below) && !window.allows(&above.stat) {
                return Ok(Some(above.path));
            }
            below = above.stat;
        }
        Ok(None)
    }
}

/// Whether only root can rename this entry of a directory. In a sticky one that others write to, such as `/var/tmp`, they
/// rename what is theirs only (inode(7)).
fn is_held_by_root(dir: &Stat, entry: &Stat) -> bool {
    let (is_open, is_sticky) = (dir.mode.bits() & 0o022 != 0, dir.mode.bits() & 0o1000 != 0);
    dir.uid == 0 && (!is_open || is_sticky && entry.uid == 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whoever_moves_the_tree_away_and_back_is_noticed() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let above = fs::canonicalize(place.path()).unwrap();
        // Somebody's home.
        fs::set_permissions(&above, fs::Permissions::from_mode(0o777)).unwrap();
        let (share, other) = (above.join("share"), above.join("other"));
        fs::create_dir_all(share.join("docker")).unwrap();
        let open = || Root::open(&share.join("docker")).unwrap();
        let reading = Reading::begin(open());
        assert_eq!(reading.changed_above().unwrap(), None);
        fs::rename(&share, &other).unwrap();
        assert!(reading.changed_above().is_err());
        fs::rename(&other, &share).unwrap();
        assert!(reading.changed_above().unwrap().is_some());
        let reading = Reading::begin(open());
        fs::write(share.join("docker/new"), "").unwrap();
        assert_eq!(reading.changed_above().unwrap(), Some(share.join("docker")));
    }

    #[test]
    fn in_a_sticky_directory_others_move_only_what_is_theirs() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let above = fs::canonicalize(place.path()).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(0o1777)).unwrap();
        let tree = above.join("docker");
        fs::create_dir(&tree).unwrap();
        if std::os::unix::fs::chown(&above, Some(0), None).is_err() {
            return; // It takes root.
        }
        let reading = Reading::begin(Root::open(&tree).unwrap());
        fs::write(above.join("of others"), "").unwrap();
        assert_eq!(reading.changed_above().unwrap(), None);
        std::os::unix::fs::chown(&tree, Some(2200), None).unwrap();
        let reading = Reading::begin(Root::open(&tree).unwrap());
        fs::write(above.join("of others too"), "").unwrap();
        assert_eq!(reading.changed_above().unwrap(), Some(above));
    }
}
