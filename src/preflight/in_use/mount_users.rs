//! Every mount in every mount namespace, and which of them show part of a tree.
//!
//! A mount shows one directory of a filesystem, its root (`mountinfo` in `proc(5)`,
//! `mount_namespaces(7)`). The kernel writes both the root and the place of a tree in its
//! filesystem from the same directory entries, so comparing the two tells for certain which contains
//! the other; where the mount is attached, and under which name, plays no part.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::TreeInUse;
use super::containment::{Above, Containment, FileId, Seeker, open_directory};
use super::overlay;
use super::processes::{Process, view_key};
use crate::fs::mountinfo;

/// What the name of the directory in a data-root begins with that holds an idmapped root; that root's name follows.
pub const IDMAPPED_ROOT: &str = "idshift-idmapped-";

/// The directory in that which is mounted.
pub const IDMAPPED_CONTENT: &str = "content";

const THIS_THREAD: &str = "/proc/thread-self";

/// One line of `mountinfo`.
#[derive(Clone, Debug)]
pub(super) struct ViewedMount {
    id: u64,
    parent: u64,
    /// The filesystem, by the device number of its superblock. `st_dev` may be another: each
    /// subvolume of btrfs has its own.
    filesystem: String,
    /// The directory of the filesystem that it shows.
    root: PathBuf,
    /// Where, as seen from the root of the process that was asked.
    point: PathBuf,
    /// The options of an overlay, its layers among them.
    overlay: Option<Vec<u8>>,
    /// Other owners are seen through it than those on disk.
    idmapped: bool,
}

/// What makes a mount the same as another in a copy of its namespace.
type MountSource<'a> = (&'a str, &'a Path, &'a Path);

/// The mounts that the calling thread sees. It may have a namespace of its own.
pub(super) fn of_this_thread() -> io::Result<Vec<ViewedMount>> {
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
    fn is_of_idmapped_root(&self, homes: &[TreeMount]) -> bool {
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

    fn containment(&self, homes: &[TreeMount]) -> Containment {
        // A root that was removed since it was mounted: its old name may be another's by now.
        if self
            .root
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(b"//deleted")
        {
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

/// Where a tree lies.
#[derive(Debug)]
pub(super) struct TreeMount {
    /// Its filesystem, as [`ViewedMount::filesystem`].
    filesystem: String,
    /// Its path from the top of that filesystem.
    path: PathBuf,
    /// The mount through which it was named.
    mount: u64,
    /// Device and inode number of the directories above it, as far as they are on that mount.
    above: Vec<(u64, u64)>,
}

fn above(homes: &[TreeMount]) -> Above {
    homes.iter().flat_map(|home| home.above.clone()).collect()
}

impl TreeMount {
    pub fn find(tree: &TreeInUse, mounts: &[ViewedMount]) -> io::Result<TreeMount> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&tree.path, flags, Mode::empty())
            .map_err(|errno| failure(tree, errno.into()))?;
        let place = FileId::of_handle(&handle).map_err(|error| failure(tree, error))?;
        if (place.dev, place.ino) != (tree.dev, tree.ino) {
            let why = "something else has taken its place meanwhile";
            return Err(failure(tree, io::Error::other(why)));
        }
        let link = format!("{THIS_THREAD}/fd/{}", handle.as_raw_fd());
        let name = fs::read_link(link).map_err(|error| failure(tree, error))?;
        let above = directories_above(&name, &place);
        mounts
            .iter()
            .find(|mount| mount.id == place.mount)
            .and_then(|mount| TreeMount::below(mount, &name, above))
            .ok_or_else(|| {
                let why =
                    "its mount is not in /proc/self/mountinfo; inside a chroot it is not shown";
                failure(tree, io::Error::other(why))
            })
    }

    fn below(mount: &ViewedMount, name: &Path, above: Vec<(u64, u64)>) -> Option<TreeMount> {
        Some(TreeMount {
            filesystem: mount.filesystem.clone(),
            path: mount.root.join(name.strip_prefix(&mount.point).ok()?),
            mount: mount.id,
            above,
        })
    }
}

/// The directories above a tree on its mount. What is above its mount point is no part of a layer that holds it.
fn directories_above(name: &Path, tree: &FileId) -> Vec<(u64, u64)> {
    name.ancestors()
        .skip(1)
        .map_while(|dir| FileId::of(dir).ok())
        .take_while(|dir| dir.mount == tree.mount)
        .map(|dir| (dir.dev, dir.ino))
        .collect()
}

fn failure(tree: &TreeInUse, error: io::Error) -> io::Error {
    let path = crate::fs::escape::escaped(&tree.path);
    io::Error::new(
        error.kind(),
        format!("{path}: cannot find out who uses it: {error}"),
    )
}

/// The mounts that one thread showed and none before it.
struct View {
    /// The process; the first of its namespace.
    process: Option<usize>,
    /// The thread, by its directory below `/proc`.
    thread: PathBuf,
    mounts: Vec<ViewedMount>,
}

/// A mount made from a tree.
pub(super) struct MountUse<'a> {
    /// The first process of its namespace.
    pub process: &'a Process,
    /// Where it is attached, as that process names it.
    pub point: PathBuf,
    /// It is in the namespace of this process.
    pub is_ours: bool,
    /// Other owners are seen through it than those on disk.
    pub idmapped: bool,
}

/// Finds the mounts made from a tree or from something inside, with the process whose namespace
/// each is in. Tells the seeker what every mount shows.
///
/// `own` is what [`of_this_thread`] gave; `this` stands for our namespace when we are alone in it.
pub(super) fn uses<'a>(
    homes: &[TreeMount],
    own: Vec<ViewedMount>,
    this: &'a Process,
    processes: &'a [Process],
    seeker: &mut Seeker,
) -> Vec<MountUse<'a>> {
    let views = views(own, processes);
    let mut within = HashSet::new();
    for mount in views.iter().flat_map(|view| &view.mounts) {
        let containment = mount.containment(homes);
        seeker.know_mount(mount.id, containment);
        if containment == Containment::Within {
            within.insert(mount.id);
        }
    }
    within.extend(overlays_within(&views, seeker, &above(homes)));

    let family = MountsById::of(&views);
    let mut known: HashSet<_> = homes
        .iter()
        .map(|home| family.mount_sources(home.mount))
        .collect();
    let own = views[0].mounts.iter();
    let own = own.filter(|mount| mount.is_of_idmapped_root(homes));
    known.extend(own.map(|mount| family.mount_sources(mount.id)));
    uses_among(&views, &within, known, (this, processes))
}

/// Finds what was made of one idmapped mount: the bind mounts of containers. In our own mount namespace nothing is a use of
/// it that was not opened through it. Tells the seeker what every mount shows.
pub(super) fn uses_of_idmapped<'a>(
    mount: &mountinfo::Mount,
    own: Vec<ViewedMount>,
    this: &'a Process,
    processes: &'a [Process],
    seeker: &mut Seeker,
) -> Vec<MountUse<'a>> {
    let views = views(own, processes);
    let id = u64::try_from(mount.id).unwrap_or_default();
    let mut within = HashSet::new();
    for (number, view) in views.iter().enumerate() {
        for one in &view.mounts {
            let is_made_of_it = number > 0
                && one.idmapped
                && one.filesystem == mount.device
                && one.root.starts_with(&mount.root);
            if one.id == id || is_made_of_it {
                within.insert(one.id);
                seeker.know_mount(one.id, Containment::Within);
            } else {
                seeker.know_mount(one.id, Containment::Apart);
            }
        }
    }
    let family = MountsById::of(&views);
    // A namespace that was copied has a copy of it.
    let known = [family.mount_sources(id)].into_iter().collect();
    within.remove(&id);
    uses_among(&views, &within, known, (this, processes))
}

/// The mounts of a set that are no copies of those known, each with the process whose namespace it is in.
fn uses_among<'a, 'v>(
    views: &'v [View],
    within: &HashSet<u64>,
    mut known: HashSet<Vec<MountSource<'v>>>,
    (this, processes): (&'a Process, &'a [Process]),
) -> Vec<MountUse<'a>> {
    let family = MountsById::of(views);
    let mut uses = Vec::new();
    for (number, view) in views.iter().enumerate() {
        for mount in view
            .mounts
            .iter()
            .filter(|mount| within.contains(&mount.id))
        {
            let sources = family.mount_sources(mount.id);
            if known.contains(&sources) {
                continue;
            }
            let process = view.process.map_or(this, |number| &processes[number]);
            uses.push(MountUse {
                process,
                point: mount.point.clone(),
                is_ours: number == 0,
                idmapped: mount.idmapped,
            });
            // Of ours only: two containers can look alike and are two uses all the same.
            if number == 0 {
                known.insert(sources);
            }
        }
    }
    uses
}

/// Reads the table of each namespace once, and again for each root directory that processes have in
/// it: `mountinfo` shows what is below that only. Ours comes first.
fn views(own: Vec<ViewedMount>, processes: &[Process]) -> Vec<View> {
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

/// Finds the mounts of overlays that have a layer in a tree, and tells the seeker of them: what is
/// open through such a mount is in use as much as what is open in the layer.
/// So it is with one that has a layer in which a tree lies, `above` being the directories above the trees.
fn overlays_within(views: &[View], seeker: &mut Seeker, above: &Above) -> HashSet<u64> {
    let mut mounts_of: HashMap<&str, Vec<u64>> = HashMap::new();
    for mount in views.iter().flat_map(|view| &view.mounts) {
        if mount.overlay.is_some() {
            mounts_of
                .entry(&mount.filesystem)
                .or_default()
                .push(mount.id);
        }
    }
    let own_root = open_directory(Path::new("/")).ok();
    let mut within = HashSet::new();
    for view in views {
        let root = open_directory(&view.thread.join("root")).ok();
        let roots: Vec<&OwnedFd> = own_root.iter().chain(&root).collect();
        for mount in &view.mounts {
            let Some(options) = &mount.overlay else {
                continue;
            };
            let is_new = !within.contains(&mount.id);
            if is_new && overlay::has_layer_that_meets(seeker, above, options, &mount.point, &roots)
            {
                for &id in &mounts_of[mount.filesystem.as_str()] {
                    seeker.know_mount(id, Containment::Within);
                    within.insert(id);
                }
            }
        }
    }
    within
}

/// Which mount is attached to which.
struct MountsById<'a>(HashMap<u64, &'a ViewedMount>);

impl<'a> MountsById<'a> {
    fn of(views: &'a [View]) -> MountsById<'a> {
        let mounts = views.iter().flat_map(|view| &view.mounts);
        MountsById(mounts.map(|mount| (mount.id, mount)).collect())
    }

    /// A mount and those above it, each by what it shows and where.
    ///
    /// A new mount namespace begins as a copy of its parent's, and many services have one. A mount
    /// in it with the same parents as one of ours is such a copy and no use of its own. A bind mount
    /// under the same name in a container differs in what it is attached to.
    fn mount_sources(&self, id: u64) -> Vec<MountSource<'a>> {
        let mut sources = Vec::new();
        let mut next = self.0.get(&id);
        while let Some(mount) = next {
            sources.push((
                mount.filesystem.as_str(),
                mount.root.as_path(),
                mount.point.as_path(),
            ));
            next = self
                .0
                .get(&mount.parent)
                .filter(|parent| parent.id != mount.id);
        }
        sources
    }
}

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
