//! What the mount table of each namespace shows.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::THIS_THREAD;
use crate::fs::mountinfo;
use crate::preflight::in_use::processes::{Process, view_key};

/// One line of `mountinfo`.
#[derive(Clone, Debug)]
pub struct ViewedMount {
    pub id: u64,
    pub parent: u64,
    /// The filesystem, by the device number of its superblock. `st_dev` may be another: each
    /// subvolume of btrfs has its own.
    pub filesystem: String,
    /// The directory of the filesystem that it shows.
    pub root: PathBuf,
    /// Where, as seen from the root of the process that was asked.
    pub point: PathBuf,
    /// The options of an overlay, its layers among them.
    pub overlay: Option<Vec<u8>>,
    /// Other owners are seen through it than those on disk.
    pub idmapped: bool,
}

/// The mounts that the calling thread sees. It may have a namespace of its own.
pub fn of_this_thread() -> io::Result<Vec<ViewedMount>> {
    read(Path::new(THIS_THREAD))
}

fn read(thread: &Path) -> io::Result<Vec<ViewedMount>> {
    let mounts = mountinfo::read(thread)?;
    mounts.into_iter().map(ViewedMount::of).collect()
}

impl ViewedMount {
    pub(super) fn of(mount: mountinfo::Mount) -> io::Result<ViewedMount> {
        let is_overlay = mount.fs_type == "overlay";
        Ok(ViewedMount {
            id: u64::try_from(mount.id).map_err(io::Error::other)?,
            parent: u64::try_from(mount.parent).map_err(io::Error::other)?,
            filesystem: mount.device,
            root: mount.root,
            point: mount.point,
            overlay: is_overlay.then(|| mount.options.into_bytes()),
            idmapped: mount.idmapped,
        })
    }

    /// Whether it shows the filesystem on this device, `MAJOR:MINOR`.
    pub fn is_of(&self, device: &str) -> bool {
        self.filesystem == device
    }

    /// Where it is attached.
    pub fn point(&self) -> &Path {
        &self.point
    }
}

/// The mounts that one thread showed and none before it.
pub struct View {
    /// The process; the first of its namespace.
    pub process: Option<usize>,
    /// The thread, by its directory below `/proc`.
    pub thread: PathBuf,
    pub mounts: Vec<ViewedMount>,
}

/// Reads the table of each namespace once, and again for each root directory that processes have in
/// it: `mountinfo` shows what is below that only. Ours comes first.
pub fn views(own: Vec<ViewedMount>, processes: &[Process]) -> Vec<View> {
    let own_key = view_key(Path::new(THIS_THREAD));
    let mut keys: HashSet<_> = own_key.into_iter().collect();
    let mut ids: HashSet<u64> = own.iter().map(|mount| mount.id).collect();
    let mut views = vec![View {
        process: None,
        thread: PathBuf::from(THIS_THREAD),
        mounts: own,
    }];
    for (number, process) in processes.iter().enumerate() {
        for thread in &process.threads {
            let Some(key) = view_key(thread) else {
                continue;
            };
            if own_key.is_some_and(|own| own.namespace == key.namespace) {
                views[0].process.get_or_insert(number);
            }
            if !keys.insert(key) {
                continue;
            }
            // A process that has ended since has no table any more.
            let mut mounts = read(thread).unwrap_or_default();
            mounts.retain(|mount| ids.insert(mount.id));
            views.push(View {
                process: Some(number),
                thread: thread.clone(),
                mounts,
            });
        }
    }
    views
}
