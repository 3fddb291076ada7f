//! What in a plain data-root the mount would show with other owners than its users expect: what somebody keeps among the
//! daemon's directories, and what has ids of the range already.
//!
//! All of it works as before once it is plain again, and no owner on disk changes. But whoever uses such files meanwhile, through
//! the path of the mount or in a container, sees them as somebody else's.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::AtFlags;
use serde::Serialize;

use crate::docker::DockerError;
use crate::docker::data_root::plain_names;
use crate::docker::path_owner::{PathOwner, is_daemon_file, owner_of};
use crate::engine::RunControl;
use crate::fs::dir::NameKind;
use crate::fs::escape::escaped;
use crate::fs::stat::stat_at;
use crate::fs::walk::{Visit, walk};
use crate::fs::{Dir, DirPath, Names, Root, Stat};
use crate::idmap::{Direction, IdMap, Mapped, MountMap, RangeMap};
use crate::journal::name;

/// Why the mount shows it with other owners than expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangedKind {
    /// It is no part of what a daemon keeps in its data-root.
    NotOfDocker,
    /// It is a layer's or a volume's, and has ids of the range before anything is remapped.
    InRange,
}

/// One such place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExchangedData {
    /// From the data-root: `backup`, `volumes/NAME`, `overlay2/LAYER`.
    #[serde(serialize_with = "name::serialize_path")]
    pub path: PathBuf,
    /// Why.
    pub kind: ExchangedKind,
    /// How many inodes are shown with other ids; of a layer or volume, only those with ids of the range.
    pub inodes: u64,
    /// Not all below it was looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// The owner on disk of most of them, `uid:gid`.
    pub on_disk: String,
    /// As what the mount shows that.
    pub seen_as: String,
}

/// How much of a data-root is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The top of each layer, and the names at the top of each volume and of what is not Docker's: takes no time.
    Tops,
    /// The top of each layer and volume, and all of what is not Docker's: where it is known that nothing in layers and volumes
    /// has an id of the range.
    NotOfDocker,
    /// Every inode of layers and volumes, and of what is not Docker's.
    All,
}

/// Finds it in a plain data-root that is to be mounted with these ids exchanged.
///
/// # Errors
/// The data-root cannot be read.
pub fn exchanged_data(
    data_root: &Path,
    map: &IdMap,
    reach: Reach,
    jobs: usize,
    control: RunControl<'_>,
) -> Result<Vec<ExchangedData>, DockerError> {
    let (plain, _) = plain_names(data_root)?;
    let plain: HashSet<Vec<u8>> = plain.into_iter().map(String::into_bytes).collect();
    let root = Root::open(data_root)
        .map_err(|error| DockerError::in_the_way(data_root, error.to_string()))?;
    let shown = MountMap::exchange(map);
    let found = walk(std::slice::from_ref(&root), jobs, || Count {
        plain: &plain,
        map,
        shown: &shown,
        reach,
        control,
        areas: BTreeMap::new(),
    });
    let mut areas: BTreeMap<PathBuf, Area> = BTreeMap::new();
    for (path, of_thread) in found.into_iter().flatten() {
        areas.entry(path).or_default().add(of_thread);
    }
    let all = areas.into_iter();
    Ok(all
        .filter_map(|(path, area)| area.data(path, &shown, reach))
        .collect())
}

/// What a path from the data-root is, as far as this is about.
enum Class {
    /// So many of its names are the place that is told.
    Is(ExchangedKind, usize),
    /// A directory on the way to such places.
    Way,
    /// Something else.
    Other,
}

fn class(names: &[&[u8]]) -> Class {
    use ExchangedKind::{InRange, NotOfDocker};
    match owner_of(names) {
        PathOwner::Own if names[0] == b"volumes" => return Class::Is(NotOfDocker, 3),
        PathOwner::Own => return Class::Is(NotOfDocker, 1),
        PathOwner::Content => return Class::Is(InRange, 2),
        PathOwner::Daemon => {}
    }
    match names {
        [b"volumes", name] if is_daemon_file(name) => Class::Other,
        [b"volumes" | b"overlay2" | b"containers"]
        | [b"volumes" | b"overlay2" | b"containers", _] => Class::Way,
        [b"containers", _, b"mounts"] => Class::Way,
        _ => Class::Other,
    }
}

/// What was counted of one place.
#[derive(Default)]
struct Area {
    kind: Option<ExchangedKind>,
    owners: BTreeMap<(u32, u32), u64>,
    inodes: u64,
    more: bool,
}

/// So many owners of a place are told apart.
const OWNERS: usize = 1_000;

impl Area {
    fn add(&mut self, other: Area) {
        self.kind = self.kind.or(other.kind);
        self.inodes += other.inodes;
        self.more |= other.more;
        for (owner, count) in other.owners {
            *self.owners.entry(owner).or_default() += count;
        }
    }

    fn count(&mut self, stat: &Stat) {
        self.inodes += 1;
        let owner = (stat.uid, stat.gid);
        if self.owners.len() < OWNERS || self.owners.contains_key(&owner) {
            *self.owners.entry(owner).or_default() += 1;
        }
    }

    /// What is told of it; `None`: nothing in it is shown with other owners than expected.
    fn data(self, path: PathBuf, shown: &MountMap, reach: Reach) -> Option<ExchangedData> {
        let kind = self.kind?;
        let most = self
            .owners
            .iter()
            .max_by_key(|(owner, count)| (**count, std::cmp::Reverse(**owner)));
        let ((uid, gid), _) = most?;
        let id = |id: Option<u32>| id.map_or("nobody".into(), |id| id.to_string());
        let (seen_uid, seen_gid) = shown.visible(*uid, *gid);
        Some(ExchangedData {
            path,
            kind,
            inodes: self.inodes,
            more: self.more || kind == ExchangedKind::InRange && reach != Reach::All,
            on_disk: format!("{uid}:{gid}"),
            seen_as: format!("{}:{}", id(seen_uid), id(seen_gid)),
        })
    }
}

struct Count<'a> {
    plain: &'a HashSet<Vec<u8>>,
    map: &'a IdMap,
    shown: &'a MountMap,
    reach: Reach,
    control: RunControl<'a>,
    areas: BTreeMap<PathBuf, Area>,
}

impl Count<'_> {
    /// Whether the mount shows this inode with ids that its users do not expect.
    fn is_exchanged(&self, kind: ExchangedKind, stat: &Stat) -> bool {
        let in_range = |map: &RangeMap, id| matches!(map.map(id, Direction::OutOf), Mapped::To(_));
        match kind {
            ExchangedKind::InRange => {
                in_range(&self.map.uids, stat.uid) || in_range(&self.map.gids, stat.gid)
            }
            ExchangedKind::NotOfDocker => {
                self.shown.visible(stat.uid, stat.gid) != (Some(stat.uid), Some(stat.gid))
            }
        }
    }

    /// Whether what is in a directory is looked at; the place that it is in has so many names.
    fn enters(&self, names: &[&[u8]], (kind, place): (ExchangedKind, usize)) -> bool {
        match (self.reach, kind) {
            (Reach::All, _) | (Reach::NotOfDocker, ExchangedKind::NotOfDocker) => true,
            // The top of a volume is its `_data`.
            _ => names.len() == place || matches!(names, [b"volumes", _, b"_data"]),
        }
    }
}

impl Visit for Count<'_> {
    type Output = BTreeMap<PathBuf, Area>;

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        self.control.wait_turn(names.len());
        if self.control.is_cancelled() {
            return ControlFlow::Break(());
        }
        let above = dir.path.tail(dir.path.depth);
        for (name, kind) in names.with_kinds() {
            let path = [&above[..], &[name.to_bytes()]].concat();
            let class = class(&path);
            let is_plain = self.plain.contains(path[0]);
            let is_wanted = match class {
                Class::Is(..) => true,
                Class::Way => kind == NameKind::MaybeDirectory,
                Class::Other => false,
            };
            if !is_plain || !is_wanted {
                continue;
            }
            let Ok(stat) = stat_at(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.crosses_mount(dir.path.dev) {
                continue;
            }
            let mut enters = true;
            if let Class::Is(kind, place) = class {
                enters = self.enters(&path, (kind, place));
                let is_exchanged = self.is_exchanged(kind, &stat);
                let is_cut = stat.is_dir() && !enters && kind == ExchangedKind::NotOfDocker;
                if is_exchanged || is_cut {
                    let path: PathBuf = path[..place.min(path.len())]
                        .iter()
                        .map(|name| OsStr::from_bytes(name))
                        .collect();
                    let area = self.areas.entry(path).or_default();
                    area.kind = Some(kind);
                    area.more |= is_cut;
                    if is_exchanged {
                        area.count(&stat);
                    }
                }
            }
            if stat.is_dir() && enters {
                found.push(dir.path.met(name.to_bytes(), &stat));
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(self) -> Self::Output {
        self.areas
    }
}

impl ExchangedData {
    /// What it is and what it means, for people; `point`: where the mount is to be.
    pub fn describe(&self, data_root: &Path, point: &Path) -> String {
        let at_least = if self.more { "at least " } else { "" };
        let inodes = match self.inodes {
            1 => "1 inode".to_string(),
            n => format!("{n} inodes"),
        };
        let (on_disk, seen_as) = (&self.on_disk, &self.seen_as);
        let place = escaped(&data_root.join(&self.path)).to_string();
        match self.kind {
            ExchangedKind::NotOfDocker => format!(
                "{place} is no part of Docker ({at_least}{inodes}). It goes to {}, where its owners are exchanged: {on_disk} \
                 on disk is seen as {seen_as}. Move it out of the data-root first if the host uses it",
                escaped(&point.join(&self.path))
            ),
            ExchangedKind::InRange => format!(
                "{place}: {at_least}{inodes} of it {} an id of the range on disk already. The mount shows {on_disk} as \
                 {seen_as} of the host, and containers see it as nobody's (65534). docker revert leaves it as it is",
                if self.inodes == 1 { "has" } else { "have" }
            ),
        }
    }
}
