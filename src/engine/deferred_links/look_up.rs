//! Looking up all names of some inodes: whether all of them are in the trees at one moment.

mod dirs;

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use self::dirs::Dirs;
use crate::engine::context::WalkContext;
use crate::engine::hardlinks::{Deferred, Key, key};
use crate::fs::dir_guard::{CtimeStamp, settles_in};
use crate::fs::stat::stat;
use crate::fs::{Dir, DirPath, PinnedFile, Stat};

/// The result of looking up an inode's names.
pub(super) enum Verified {
    /// Names were renamed meanwhile, or just before.
    Moving,
    /// None of its names is there any more.
    Gone,
    /// A name could not be opened.
    Failed(Arc<DirPath>, Box<[u8]>, Errno),
    Here(StableInode),
}

/// An inode whose names did not change meanwhile.
pub(super) struct StableInode {
    pub dir: Arc<DirPath>,
    pub name: Box<[u8]>,
    pub pin: PinnedFile,
    pub stat: Stat,
    /// How many of its names are in the trees.
    pub names: u32,
}

/// A directory in which names are looked up.
struct NamesToVerify<'p> {
    path: &'p Arc<DirPath>,
    /// Its position in the order of the walk.
    nth: usize,
    /// Its ctime before its names were looked up; `None` if it was changed just before.
    ctime: Option<CtimeStamp>,
    still: bool,
    /// Number of the inode, and one of its names.
    names: Vec<(usize, &'p [u8])>,
}

/// What is known of an inode on the way.
#[derive(Default)]
struct KnownName<'p> {
    names: u32,
    /// A place and a name that meant it.
    first: Option<(usize, &'p [u8])>,
    read: Option<(PinnedFile, Stat)>,
    failed: Option<(usize, &'p [u8], Errno)>,
    moved: bool,
}

/// What came of each, and how long the directories take until it can be told of all.
pub(super) fn look_up_names(
    walk: &WalkContext<'_>,
    inodes: &[&Deferred],
) -> (Vec<Verified>, Duration) {
    let mut places = places(inodes);
    let mut known: Vec<KnownName<'_>> = inodes.iter().map(|_| KnownName::default()).collect();
    let mut dirs = Dirs::new(walk, places.len());
    let settling = count_names(inodes, &mut places, &mut known, &mut dirs);
    dirs.forget();
    read_inodes(inodes, &places, &mut known, &mut dirs);
    dirs.forget();
    check_still(&mut places, &mut known, &mut dirs);
    let found = known.into_iter().map(|known| known.verdict(&places));
    (found.collect(), settling)
}

/// Notes the ctime of each directory, and looks each name up in it. Gives how long they take to settle.
fn count_names<'p>(
    inodes: &[&Deferred],
    places: &mut [NamesToVerify<'p>],
    known: &mut [KnownName<'p>],
    dirs: &mut Dirs<'_>,
) -> Duration {
    let mut settling = Duration::ZERO;
    for (p, place) in places.iter_mut().enumerate() {
        let dir = match dirs.open(p, place.path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => {
                // It is gone: then no name is in it.
                place.still = true;
                continue;
            }
            // Something else has its name: it was moved, and may come back.
            Err(Errno::STALE | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => {
                for &(i, name) in &place.names {
                    known[i].failed = Some((p, name, errno));
                }
                continue;
            }
        };
        dir.guard.begin(dir.as_fd());
        place.ctime = dir.guard.since();
        if place.ctime.is_none()
            && let Ok(stat) = stat(&*dir)
        {
            settling = settling.max(settles_in(&stat));
        }
        for &(i, name) in &place.names {
            let known = &mut known[i];
            match pin(dirs.walk, place.path, &dir, name) {
                Ok((_, stat)) if key(&stat) == inodes[i].inode => {
                    known.names += 1;
                    known.first.get_or_insert((p, name));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => known.failed = Some((p, name, errno)),
            }
        }
    }
    settling
}

/// Reads each inode, with its number of names, through the first of them.
fn read_inodes<'p>(
    inodes: &[&Deferred],
    places: &[NamesToVerify<'p>],
    known: &mut [KnownName<'p>],
    dirs: &mut Dirs<'_>,
) {
    for (p, place) in places.iter().enumerate() {
        let is_first = |&&(i, name): &&(usize, &'p [u8])| known[i].first == Some((p, name));
        let firsts: Vec<_> = place.names.iter().filter(is_first).copied().collect();
        if firsts.is_empty() {
            continue;
        }
        let walk = dirs.walk;
        let dir = dirs.open(p, place.path);
        for (i, name) in firsts {
            let dir = dir.as_ref().map_err(|errno| *errno);
            match dir.and_then(|dir| pin(walk, place.path, dir, name)) {
                Ok((pin, stat)) if key(&stat) == inodes[i].inode => {
                    known[i].read = Some((pin, stat));
                }
                _ => known[i].moved = true,
            }
        }
    }
}

/// Compares the ctime of each directory with what it was.
fn check_still(places: &mut [NamesToVerify<'_>], known: &mut [KnownName<'_>], dirs: &mut Dirs<'_>) {
    for (p, place) in places.iter_mut().enumerate() {
        if let Some(ctime) = &place.ctime {
            let dir = dirs.open(p, place.path);
            place.still = dir.is_ok_and(|dir| ctime.is_still(dir.as_fd()));
        }
        for &(i, _) in &place.names {
            known[i].moved |= !place.still;
        }
    }
}

impl KnownName<'_> {
    fn verdict(self, places: &[NamesToVerify<'_>]) -> Verified {
        let dir = |p: usize| Arc::clone(places[p].path);
        match self {
            KnownName {
                failed: Some((p, name, errno)),
                ..
            } => Verified::Failed(dir(p), name.into(), errno),
            KnownName { moved: true, .. } => Verified::Moving,
            KnownName {
                first: Some((p, name)),
                read: Some((pin, stat)),
                names,
                ..
            } => match names > stat.nlink {
                // A name went between the looks.
                true => Verified::Moving,
                false => Verified::Here(StableInode {
                    dir: dir(p),
                    name: name.into(),
                    pin,
                    stat,
                    names,
                }),
            },
            KnownName { .. } => Verified::Gone,
        }
    }
}

/// The directories of all names, and each name once, also where its directory was met on two ways.
fn places<'p>(inodes: &[&'p Deferred]) -> Vec<NamesToVerify<'p>> {
    let mut places: Vec<NamesToVerify<'p>> = Vec::new();
    let mut number: HashMap<Key, usize> = HashMap::new();
    for (i, inode) in inodes.iter().enumerate() {
        for some in &inode.names {
            let key = (some.dir.dev, some.dir.identity.ino);
            let p = *number.entry(key).or_insert_with(|| {
                places.push(NamesToVerify {
                    path: &some.dir,
                    nth: some.nth,
                    ctime: None,
                    still: false,
                    names: Vec::new(),
                });
                places.len() - 1
            });
            places[p].names.extend(some.iter().map(|name| (i, name)));
        }
    }
    // As the walk met them, so that the next one is not far from the one before.
    places.sort_unstable_by_key(|place| place.nth);
    for place in &mut places {
        place.names.sort_unstable();
        place.names.dedup();
    }
    places
}

/// `place`: where the name is, as the walk met it. A file that is a tree itself is met as `.`.
///
/// `EXDEV`: a mount has come over it, which may show the very same inode.
fn pin(
    walk: &WalkContext<'_>,
    place: &DirPath,
    dir: &Dir,
    name: &[u8],
) -> rustix::io::Result<(PinnedFile, Stat)> {
    let root = &walk.roots[place.root];
    let name = match root.is_dir() {
        true => name,
        false => root.path.file_name().map_or(name, OsStr::as_bytes),
    };
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let pin = PinnedFile::at(dir.as_fd(), &name)?;
    let stat = pin.stat()?;
    if stat.crosses_mount(dir.path.dev) {
        let known = walk.scope.known_mounts.as_ref();
        let is_known = known.is_some_and(|known| known.check(&pin).is_ok());
        is_known.then_some(()).ok_or(Errno::XDEV)?;
    }
    Ok((pin, stat))
}
