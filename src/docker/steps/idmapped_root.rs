//! A root that is remapped by a mount: its mount point, what is mounted there, and the mount.

use super::guard::GUARD_OWNER;
use super::{MOUNT_POINT, StepList};
use crate::docker::DockerError;
use crate::docker::data_root::read_text;
use crate::docker::idmapped::{self, IdmappedRoot};
use crate::docker::remap::Remap;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::Mode;
use crate::store_move::mtime::mtime_of;

impl StepList<'_> {
    /// The mount point is made, empty and immutable, and the directory that is to be mounted there.
    ///
    /// # Errors
    /// As of [`StepList::make_idmapped_holder`].
    pub fn make_idmapped_root(
        &mut self,
        range_dir: &str,
        remap: &Remap,
    ) -> Result<(), DockerError> {
        self.make_idmapped_holder(range_dir, remap, false)?;
        let [holder, content] = idmapped::place(range_dir);
        // Seen through the mount: 0, and the group of the container's root.
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, [&holder, &content]),
            made: NewDirectory {
                uid: remap.root.0,
                gid: 0,
                mode: Mode::from_st_mode(0o710),
            },
        });
        self.add_guard(&[&holder, &content]);
        Ok(())
    }

    /// The mount point is made, and the directory that is to hold what is mounted there. `is_converted`: images and layers
    /// of it are made of a containerd image store.
    ///
    /// # Errors
    /// The data-root cannot be read.
    pub fn make_idmapped_holder(
        &mut self,
        range_dir: &str,
        remap: &Remap,
        is_converted: bool,
    ) -> Result<(), DockerError> {
        let [holder, _] = idmapped::place(range_dir);
        self.early.push(Step::MakeMountPoint {
            at: StepPath::new(0, [range_dir]),
            made: MOUNT_POINT,
        });
        // On disk, what containers own has their ids: only root may reach it by this path.
        self.make_private_dir(&[&holder]);
        self.early.push(Step::Create {
            at: StepPath::new(0, [&holder[..], idmapped::MAP]),
            content: idmapped::record(
                &remap.map,
                jiff::Timestamp::now(),
                (self.data_root, is_converted),
            )?
            .into(),
            made: GUARD_OWNER,
        });
        Ok(())
    }

    /// It is mounted.
    pub fn mount(&mut self, range_dir: &str) -> Result<(), DockerError> {
        let mtime_ns = mtime_of(self.data_root)?;
        self.late.push(Step::MountExchanged {
            source: StepPath::new(0, idmapped::place(range_dir)),
            at: StepPath::new(0, [range_dir]),
            mtime_ns,
        });
        Ok(())
    }

    /// It is unmounted, before anything in it is renamed.
    pub fn unmount(&mut self, range_dir: &str) {
        self.early.push(Step::UnmountExchanged {
            source: StepPath::new(0, idmapped::place(range_dir)),
            at: StepPath::new(0, [range_dir]),
        });
    }

    /// Its mount point is removed.
    pub fn remove_mount_point(&mut self, range_dir: &str) {
        self.late.push(Step::RemoveMountPoint {
            at: StepPath::new(0, [range_dir]),
            made: MOUNT_POINT,
        });
    }

    /// The directory that held it is removed, with the record in it.
    pub fn remove_idmapped_holder(&mut self, root: &IdmappedRoot) -> Result<(), DockerError> {
        let [holder, _] = idmapped::place(&root.range);
        let record = root.holder().join(idmapped::MAP);
        if let Some(content) = read_text(&record)? {
            self.late.push(Step::Remove {
                at: StepPath::new(0, [&holder[..], idmapped::MAP]),
                content,
                made: GUARD_OWNER,
            });
        }
        self.remove_dir(&[&holder])
    }
}
