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
        let above = self.top.ancestors()?;
        let changed = above
            .into_iter()
            .find(|it| !is_roots_alone(&it.stat) && !window.allows(&it.stat));
        Ok(changed.map(|it| it.path))
    }
}

/// Whether only root can rename what is in a directory. A sticky one lets others rename what is theirs.
fn is_roots_alone(stat: &Stat) -> bool {
    stat.uid == 0 && stat.mode.bits() & 0o022 == 0
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
}
