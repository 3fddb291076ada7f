//! What an unused daemon left is set aside: a docker root without images, containers and volumes, or the empty
//! directories of a storage driver.

use super::{CONTAINERS, StepList};
use crate::docker::data_root::{ASIDE, DockerRoot};
use crate::docker::image_store;
use crate::docker::{DockerError, Reason};

impl StepList<'_> {
    /// An unused root in the place of the new remapped one is set aside: somebody tried `userns-remap` before, and made
    /// nothing with it. Gives the name that it gets.
    ///
    /// # Errors
    /// It is not unused.
    pub fn set_unused_remapped_root_aside(
        &mut self,
        range_dir: &str,
    ) -> Result<Option<String>, DockerError> {
        let path = self.data_root.join(range_dir);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let root = DockerRoot::at(&path);
        if let Some(content) = image_store::content_of(&root)? {
            return Err(DockerError::in_the_way(
                path,
                Reason::RemappedRootInUse(content),
            ));
        }
        let aside = self.free_aside_name(range_dir);
        self.rename(&[range_dir], &[&aside])?;
        Ok(Some(aside))
    }

    /// An unused plain root is set aside: these names in the data-root. A guard takes the place of its `containers`.
    /// Gives the name of the directory that they are in then.
    ///
    /// # Errors
    /// It is not unused.
    pub fn set_unused_plain_root_aside(
        &mut self,
        plain_names: &[String],
    ) -> Result<Option<String>, DockerError> {
        if plain_names.is_empty() {
            self.add_guard(&[]);
            return Ok(None);
        }
        let holds = DockerRoot::at(self.data_root).holds()?;
        if !holds.is_unused() {
            return Err(DockerError::in_the_way(
                self.data_root,
                Reason::PlainRootInUse(holds),
            ));
        }
        let aside = self.free_aside_name("plain");
        self.make_private_dir(&[&aside]);
        self.replace_by_guard(&[], &[&aside, CONTAINERS])?;
        for name in plain_names.iter().filter(|name| *name != CONTAINERS) {
            self.rename(&[name], &[&aside, name])?;
        }
        Ok(Some(aside))
    }

    /// The empty directories of these storage drivers in a docker root are set aside. `label` is a part of the name of
    /// the directory that they are in then, which is given.
    pub fn set_drivers_aside(
        &mut self,
        root: &[&str],
        label: &str,
        drivers: &[String],
    ) -> Result<Option<String>, DockerError> {
        if drivers.is_empty() {
            return Ok(None);
        }
        let aside = self.free_aside_name(label);
        let image = [root, &["image"]].concat();
        self.keep_mtime(&image)?;
        self.make_private_dir(&[&aside]);
        self.make_private_dir(&[&aside, "image"]);
        for driver in drivers {
            let in_image = [&image[..], &[driver]].concat();
            self.rename(&in_image, &[&aside, "image", driver])?;
            let layers = [root, &[driver]].concat();
            if self.path(&layers).is_dir() {
                self.rename(&layers, &[&aside, driver])?;
            }
        }
        Ok(Some(aside))
    }

    /// A name that nothing in the data-root has.
    pub(super) fn free_aside_name(&self, label: &str) -> String {
        let first = format!("{ASIDE}{label}");
        let mut name = first.clone();
        let mut n = 1;
        while self.data_root.join(&name).symlink_metadata().is_ok() {
            n += 1;
            name = format!("{first}-{n}");
        }
        name
    }
}
