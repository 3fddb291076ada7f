//! What the mount table of each namespace shows.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::THIS_THREAD;
use super::tree_mount::TreeMount;
use crate::fs::mountinfo;
use crate::preflight::in_use::containment::Containment;
use crate::preflight::in_use::processes::{Process, view_key};

/// What the name of the directory in a data-root begins with that holds an idmapped root; that root's name follows.
pub const IDMAPPED_ROOT: &str = "idshift-idmapped-";

/// The directory in that which is mounted.
pub const IDMAPPED_CONTENT: &str = "content";

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
    fn of(mount: mountinfo::Mount) -> io::Result<ViewedMount> {
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

    /// Whether it shows what an idmapped data-root has, in the place where its daemon looks for that: no use by
    /// somebody else.
    pub fn is_of_idmapped_root(&self, homes: &[TreeMount]) -> bool {
        let Some(name) = self.point.file_name().filter(|_| self.idmapped) else {
            return false;
        };
        let mut dir = OsString::from(IDMAPPED_ROOT);
        dir.push(name);
        let mut homes = homes.iter();
        homes.any(|home| {
            let shown = home.path.join(&dir).join(IDMAPPED_CONTENT);
            home.filesystem == self.filesystem && self.root == shown
        })
    }

    pub fn containment(&self, homes: &[TreeMount]) -> Containment {
        // A root that was removed since it was mounted: its old name may be another's by now.
        let root = self.root.as_os_str().as_encoded_bytes();
        if root.ends_with(b"//deleted") {
            return Containment::Apart;
        }
        let mut containment = Containment::Apart;
        for home in homes
            .iter()
            .filter(|home| home.filesystem == self.filesystem)
        {
            if self.root.starts_with(&home.path) {
                return Containment::Within;
            }
            if home.path.starts_with(&self.root) {
                containment = Containment::Around;
            }
        }
        containment
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

#[cfg(test)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_stands_to_a_tree_as_its_root_does() {
        let homes = [TreeMount {
            filesystem: "8:1".to_owned(),
            path: PathBuf::from("/srv/x"),
            mount: 1,
            above: Vec::new(),
        }];
        for (filesystem, root, containment) in [
            ("8:1", "/srv/x", Containment::Within),
            ("8:1", "/srv/x/y", Containment::Within),
            ("8:1", "/srv/x/y//deleted", Containment::Apart),
            ("8:1", "/srv", Containment::Around),
            ("8:1", "/", Containment::Around),
            ("8:1", "/srv/xy", Containment::Apart),
            ("8:2", "/srv/x", Containment::Apart),
        ] {
            let line = format!("2 1 {filesystem} {root} /m rw - ext4 none rw");
            let mount = ViewedMount::of(mountinfo::from_line(line.as_bytes()).unwrap()).unwrap();
            assert_eq!(
                mount.containment(&homes),
                containment,
                "{filesystem} {root}"
            );
        }
    }
}
