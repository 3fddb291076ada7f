//! Every check before, and the mount.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::MountError;
use super::existing::existing;
use super::planned_mount::PlannedMount;
use super::record::{self, MountRecord};
use super::request::{MountRequest, mount_map};
use super::unit::{BootMount, Unit};
use crate::fs::idmapped_mount::{DetachedMount, MountOptions, Unmounting, unmount};
use crate::fs::mount_view::View;
use crate::fs::{PinnedFile, Root, Stat, attributes, mountinfo};
use crate::idmap::RangeMap;
use crate::journal::Store;
use crate::journal::run_lock::RunLock;
use crate::ownership::access;
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::homes;
use crate::preflight::in_use::{self, TreeInUse, Use};
use crate::preflight::{
    TransientBlocker, check_kind, check_no_data_root, check_no_other_run, check_system_path,
};

impl PlannedMount {
    /// Looks at everything, and tries what can be tried.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn prepare(request: &MountRequest) -> Result<PlannedMount, MountError> {
        let source = Root::open(&request.path)?;
        let target = request.target.as_deref().map(Root::open).transpose()?;
        let target = target.filter(|target| target.path != source.path);
        let at = target.as_ref().unwrap_or(&source);
        if let Some(there) = existing(request, &source, at)? {
            return Ok(there);
        }
        for root in [Some(&source), target.as_ref()].into_iter().flatten() {
            if !request.allow_system_path {
                check_system_path(&root.path)?;
                // What is mounted below is refused, too.
                check_no_data_root(root, true, |_| false)?;
                check_kind(root)?;
            }
        }
        if source.is_dir() != at.is_dir() {
            let (target, source_path) = (at.path.clone(), source.path);
            return Err(MountError::Kind {
                target,
                source_path,
            });
        }
        if !request.allow_home
            && let Some(claim) = homes::claim(at, &LoginAccounts::of_host())
        {
            let path = at.path.clone();
            return Err(MountError::Account { path, claim });
        }
        check_nothing_below(&source)?;
        let stat = source.pin.stat();
        let stat = stat.map_err(|errno| MountError::io(&source.path)(errno.into()))?;
        let on_disk = (stat.uid, stat.gid);
        let (map, owner) = mount_map(request, on_disk);
        let options = MountOptions {
            read_only: request.read_only,
        };
        let detached = DetachedMount::of(&source.pin, &map, options)
            .map_err(MountError::idmapped(&source.path))?;
        Ok(PlannedMount {
            source,
            target,
            detached: Some(detached),
            made: None,
            map,
            container_map: request.map.clone(),
            owner,
            read_only: request.read_only,
            on_disk,
            allows: request.allows(),
        })
    }

    /// It is there, just so.
    pub fn is_there(&self) -> bool {
        self.detached.is_none()
    }

    /// What is shown.
    pub fn source(&self) -> &Path {
        &self.source.path
    }

    /// Where.
    pub fn target(&self) -> &Path {
        &self.at().path
    }

    /// The files are seen where they are.
    pub fn is_in_place(&self) -> bool {
        self.target.is_none()
    }

    fn at(&self) -> &Root {
        self.target.as_ref().unwrap_or(&self.source)
    }

    /// What the owner and group of the path are seen as.
    pub fn seen(&self) -> (Option<u32>, Option<u32>) {
        self.map.visible(self.on_disk.0, self.on_disk.1)
    }

    /// Whether a container sees the owner of the path as one of its users, and not as nobody.
    pub fn is_owner_seen(&self) -> bool {
        let is_known = |ranges: &RangeMap, id: Option<u32>| {
            let ranges = ranges.ranges();
            id.is_some_and(|id| ranges.iter().any(|range| range.to_container(id).is_some()))
        };
        let (uid, gid) = self.seen();
        is_known(&self.container_map.uids, uid) && is_known(&self.container_map.gids, gid)
    }

    /// Who uses the files as they are seen now: in place, they go on seeing the owners on disk.
    ///
    /// # Errors
    /// That cannot be told.
    pub fn users(&self) -> io::Result<Vec<Use>> {
        let Root {
            path,
            dev,
            identity,
            ..
        } = &self.source;
        let path = path.clone();
        let (dev, ino) = (*dev, identity.ino);
        in_use::users_of(&[TreeInUse { path, dev, ino }])
    }

    /// Whether anybody but root gets to the files on disk.
    pub fn is_open_to_others(&self) -> bool {
        const SEARCH: u8 = 1;
        let is_open = |pin: &PinnedFile, stat: &Stat| {
            // What cannot be read is not known to be closed.
            let ownership = attributes::read(pin, stat).ok();
            ownership.is_none_or(|it| !access::only_root_may(&it, SEARCH))
        };
        let pin = &self.source.pin;
        let is_entered = pin
            .stat()
            .is_ok_and(|stat| !stat.is_dir() || is_open(pin, &stat));
        let above = self.source.ancestors().unwrap_or_default();
        is_entered && above.iter().all(|above| is_open(&above.pin, &above.stat))
    }

    /// Something is in the directory that the mount would hide.
    pub fn hides_something(&self) -> bool {
        let target = self.target.as_ref().filter(|target| target.is_dir());
        let entries = target.and_then(|target| std::fs::read_dir(&target.path).ok());
        !self.is_there() && entries.is_some_and(|mut entries| entries.next().is_some())
    }

    /// The unit that makes it at each boot.
    ///
    /// # Errors
    /// A unit cannot name the paths.
    pub fn unit(&self, store: &Store) -> Result<Unit, MountError> {
        Unit::of(self, store)
    }

    /// What a unit that is there mounts at each boot.
    pub fn at_boot(&self) -> Option<BootMount> {
        BootMount::of(self)
    }

    /// Mounts it: the whole mount, or none. That no run works on the files, and none has ended half-way, is made sure of
    /// before.
    ///
    /// # Errors
    /// Nothing is mounted.
    pub fn mount(&mut self, store: &Store) -> Result<(), MountError> {
        let Some(detached) = self.detached.take() else {
            return Ok(());
        };
        let roots = self.roots()?;
        let lock = RunLock::take(&roots)?;
        if store.place().exists() {
            store.check_no_unfinished(&roots)?;
        }
        check_nothing_below(&self.source)?;
        let at = self.at();
        let identity = detached
            .attach(&at.pin)
            .map_err(MountError::idmapped(&at.path))?;
        let paths = (self.source(), self.target());
        let maps = (&self.map, &self.container_map);
        let record = MountRecord::new(paths, maps, self.read_only, &identity);
        self.made = Some(identity);
        if let Err(error) = record::add(&record) {
            // The first error is the one to tell.
            let _ = self.undo();
            return Err(error);
        }
        drop(lock);
        Ok(())
    }

    /// What would keep it from being mounted now; for a dry run.
    ///
    /// # Errors
    /// That cannot be told.
    pub fn would_refuse(&self, store: &Store) -> Result<Option<TransientBlocker>, MountError> {
        match self.is_there() {
            true => Ok(None),
            false => Ok(check_no_other_run(&self.roots()?, store).err()),
        }
    }

    fn roots(&self) -> Result<Vec<Root>, MountError> {
        [Some(&self.source), self.target.as_ref()]
            .into_iter()
            .flatten()
            .map(Root::try_clone)
            .collect::<Result<_, _>>()
            .map_err(|errno| MountError::io(&self.source.path)(errno.into()))
    }

    /// Takes down what was mounted a moment ago; who has opened something of it keeps that.
    ///
    /// # Errors
    /// It is still there.
    pub fn undo(&self) -> Result<(), MountError> {
        let Some(made) = &self.made else {
            return Ok(());
        };
        let path = self.target();
        unmount(path, made, Unmounting::Lazy).map_err(|source| {
            let path = path.to_path_buf();
            MountError::Unmount { path, source }
        })?;
        record::remove_of(path)
    }
}

/// Refuses a directory with something mounted in it.
pub(super) fn check_nothing_below(source: &Root) -> Result<(), MountError> {
    let io = MountError::io;
    let mounts = mountinfo::of_this_thread().map_err(io(&source.path))?;
    let id = mountinfo::id_of(source.pin.as_fd()).map_err(io(&source.path))?;
    let own = mounts.iter().find(|mount| mount.id == id);
    let Some(view) = own.and_then(|own| View::at(&source.path, own, &mounts)) else {
        return Ok(());
    };
    let all = view.with_all_below(&mounts, &|_| true);
    let below: Vec<PathBuf> = all.into_iter().skip(1).map(|view| view.at).collect();
    match below.is_empty() {
        true => Ok(()),
        false => Err(MountError::Submounts {
            path: source.path.clone(),
            below,
        }),
    }
}
