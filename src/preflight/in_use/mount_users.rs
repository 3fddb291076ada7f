//! Every mount in every mount namespace, and which of them show part of a tree.
//!
//! A mount shows one directory of a filesystem, its root (`mountinfo` in `proc(5)`,
//! `mount_namespaces(7)`). The kernel writes both the root and the place of a tree in its
//! filesystem from the same directory entries, so comparing the two tells for certain which contains
//! the other; where the mount is attached, and under which name, plays no part.

mod shown_tree;
mod tree_mount;
mod viewed_mount;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub use self::shown_tree::{IDMAPPED_CONTENT, IDMAPPED_ROOT};
pub(super) use self::tree_mount::TreeMount;
use self::tree_mount::above;
use self::viewed_mount::{View, views};
pub(super) use self::viewed_mount::{ViewedMount, of_this_thread};
use super::containment::{Above, Containment, Seeker, open_directory};
use super::overlay;
use super::processes::Process;
use crate::fs::mountinfo;

const THIS_THREAD: &str = "/proc/thread-self";

/// What makes a mount the same as another in a copy of its namespace.
type MountSource<'a> = (&'a str, &'a Path, &'a Path);

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
        // One that shows the tree as a part of more, with other owners: its users would see the change, and wrongly.
        let shows_others = mount.idmapped && containment == Containment::Around;
        if containment == Containment::Within || shows_others {
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
