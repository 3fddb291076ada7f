//! What has another project id than a directory gives to what comes into it: the kernel does not rename it there.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::Looking;
use crate::fs::PinnedFile;
use crate::fs::flags::{Project, project};
use crate::journal::step::StepPath;
use crate::preflight::PermanentBlocker;

/// An entry that cannot be renamed into a directory, or back into it.
pub(super) struct OtherProject {
    dir: PathBuf,
    project: u32,
    entry: PathBuf,
}

impl Looking<'_> {
    /// Notes an entry that does not fit to where it comes from or goes.
    pub(super) fn compare_projects(&mut self, from: &StepPath, to: &StepPath) {
        if self.is_copied(from) {
            return;
        }
        let Some(now) = self.place_now(from) else {
            return;
        };
        let Some(own) = self.project(&now) else {
            return;
        };
        for place in [from, to] {
            let dir = self.dir_that_gives(place);
            let given = self.project(&dir).filter(|given| given.is_inherited);
            if let Some(given) = given.filter(|given| given.id != own.id) {
                let entry = self.path(&now);
                // It may be renamed more than once.
                if self.other_projects.iter().all(|one| one.entry != entry) {
                    self.other_projects.push(OtherProject {
                        dir: self.path(&dir),
                        project: given.id,
                        entry,
                    });
                }
                return;
            }
        }
    }

    /// # Errors
    /// Of the first directory, all that does not fit to it.
    pub(super) fn no_other_projects(self) -> Result<(), PermanentBlocker> {
        let Some(OtherProject { dir, project, .. }) = self.other_projects.first() else {
            return Ok(());
        };
        let same = self.other_projects.iter().filter(|other| other.dir == *dir);
        Err(PermanentBlocker::OtherProject {
            dir: dir.clone(),
            project: *project,
            entries: same.map(|other| other.entry.clone()).collect(),
        })
    }

    /// The directory that a place is in; of one that is to be made, the one that gives it its project.
    fn dir_that_gives(&mut self, place: &StepPath) -> StepPath {
        let mut dir = place.clone();
        while dir.path.pop().is_some() {
            let now = self.place_now(&dir);
            let is_there = |now: &StepPath| self.stat(now).is_some_and(|stat| stat.is_dir());
            if let Some(now) = now.filter(is_there) {
                return now;
            }
        }
        dir
    }

    fn project(&mut self, place: &StepPath) -> Option<Project> {
        let file_type = self.stat(place)?.file_type;
        let Some((name, above)) = place.path.split_last() else {
            return project(&self.roots[place.root].pin, file_type);
        };
        let above = self.open(&StepPath {
            root: place.root,
            path: above.to_vec(),
        })?;
        let name = CString::new(name.0.as_slice()).ok()?;
        project(&PinnedFile::at(above.as_fd(), &name).ok()?, file_type)
    }
}
