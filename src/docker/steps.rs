//! The steps of a migration as they come together.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::conversion::plan::{Conversion, Transfer};
use super::conversion::staging::Staging;
use super::data_root::{ASIDE, DockerRoot, MOVING, names, read_text};
use super::idmapped::{self, IdmappedRoot};
use super::image_store;
use super::inventory::volumes::Edit;
use super::layout::SnapshotTrees;
use super::remap::Remap;
use crate::engine::Rule;
use crate::fs::dir::open_dir;
use crate::fs::escape::escaped;
use crate::fs::file_ops::{mtime_ns, read_file, read_link};
use crate::fs::{PinnedFile, Stat, attributes};
use crate::idmap::IdMap;
use crate::journal::step::{FileContent, NewDirectory, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::{Extra, FileType, Mapping, Mode, Ownership, give_back_ownership};

/// Why an entry of a data-root cannot be carried by renaming it; `None` when it can.
pub fn not_renamed(path: &Path, stat: &Stat) -> Option<String> {
    if stat.mount_root {
        return Some("is a mount point, and a data-root across several filesystems is not carried by renaming".into());
    }
    (stat.file_type == FileType::Symlink).then(|| {
        let target = std::fs::read_link(path).unwrap_or_default();
        format!(
            "is a symlink to {}: what is there is not followed",
            escaped(&target)
        )
    })
}

/// What keeps a daemon from starting on half of its data: a file where it needs its directory `containers`.
pub(super) const GUARDED: &str = "containers";

/// What that file holds.
const GUARD: &str = "idshift is moving this Docker data-root, or was interrupted while it did.\n\
    This file keeps a Docker daemon from starting on half of its data. Do not remove it.\n\
    `idshift resume` finishes the move and `idshift rollback` undoes it; both remove this file.\n";

/// Steps as they come together; their root 0 is the data-root.
///
/// The order: the docker root's `containers` gives its place to a guard, and so is `containers` where the other
/// daemon would look for it; everything else is renamed. Then owners change, metadata is rewritten, and `containers`
/// takes its new place last. At any moment no daemon starts, or one does that finds everything.
pub(super) struct StepList<'a> {
    pub top: &'a Path,
    /// Where `containers` is while the owners change, in the data-root.
    pub hidden: Vec<String>,
    /// What is written anew is given back to container ids through this map.
    pub give_back: Option<IdMap>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
}

impl<'a> StepList<'a> {
    /// For a docker root that is carried itself, or for a copy of it.
    pub fn new(
        top: &'a Path,
        copy: Option<&str>,
        inner: &str,
    ) -> Result<StepList<'a>, DockerError> {
        let mut steps = StepList {
            top,
            hidden: match copy {
                Some(copy) => vec![copy.to_string(), GUARDED.to_string()],
                None => vec![format!("{MOVING}{inner}")],
            },
            give_back: None,
            early: Vec::new(),
            late: Vec::new(),
        };
        steps.early.push(times(StepPath::new(0, [""; 0]), top)?);
        Ok(steps)
    }

    /// A metadata file of a container, if it changes.
    pub fn rewrite(
        &mut self,
        dir: &Path,
        id: &str,
        name: &str,
        before: &str,
        after: String,
    ) -> Result<(), DockerError> {
        if before == after {
            return Ok(());
        }
        let failed = |errno: rustix::io::Errno| DockerError::io(dir)(errno.into());
        let handle = open_dir(rustix::fs::CWD, dir).map_err(failed)?;
        let (_, mtime) =
            read_file(handle.as_fd(), name.as_bytes()).map_err(DockerError::io(dir.join(name)))?;
        let [owner, given] = self.owners(&dir.join(name))?;
        let hidden = self.hidden.iter().map(String::as_str);
        let way: Vec<&str> = hidden.chain([id]).collect();
        let times = times(StepPath::new(0, &way), dir)?;
        // Both files of a container come one after the other.
        if !self.late.iter().rev().take(2).any(|step| *step == times) {
            self.late.push(times);
        }
        self.late.push(Step::Rewrite {
            at: StepPath::new(0, way.into_iter().chain([name])),
            before: FileContent {
                text: before.to_string(),
                mtime_ns: Some(mtime),
                owner,
            },
            after: FileContent {
                text: after,
                mtime_ns: None,
                owner: given,
            },
        });
        Ok(())
    }

    /// What a volume needs to keep its content: its symlink or its options. `from` is the docker root
    /// that was looked at, `now` where it is, `to` its place in the data-root when the other renames are done.
    pub fn edit(
        &mut self,
        edit: &Edit,
        from: &Path,
        now: &Path,
        to: &[&str],
    ) -> Result<(), DockerError> {
        let (Edit::Link { at, .. } | Edit::Options { at, .. }) = edit;
        let below = at.strip_prefix(from).unwrap_or(at);
        let path = now.join(below);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let name = name.as_bytes();
        let failed = |errno: rustix::io::Errno| DockerError::io(dir)(errno.into());
        let handle = open_dir(rustix::fs::CWD, dir).map_err(failed)?;
        let to = to.iter().map(OsStr::new);
        let way: Vec<&OsStr> = to.chain(below).collect();
        let way: Vec<&[u8]> = way.into_iter().map(OsStrExt::as_bytes).collect();
        let times = times(StepPath::new(0, &way[..way.len() - 1]), dir)?;
        self.late.push(times);
        let at = StepPath::new(0, way);
        let io = DockerError::io(&path);
        let [owner, given] = self.owners(&path)?;
        self.late.push(match edit {
            Edit::Link { target, .. } => {
                let (before, mtime_ns) = read_link(handle.as_fd(), name).map_err(io)?;
                Step::Relink {
                    at,
                    before: Name(before),
                    after: Name::from(target.as_path()),
                    mtime_ns,
                    owners: owner.zip(given).map(|(owner, given)| [owner, given]),
                }
            }
            Edit::Options { before, after, .. } => {
                let (_, mtime) = read_file(handle.as_fd(), name).map_err(io)?;
                Step::Rewrite {
                    at,
                    before: FileContent {
                        text: before.clone(),
                        mtime_ns: Some(mtime),
                        owner,
                    },
                    after: FileContent {
                        text: after.clone(),
                        mtime_ns: None,
                        owner: given,
                    },
                }
            }
        });
        Ok(())
    }

    /// Owner and group of what is written anew, and those it gets; none where they stay.
    fn owners(&self, path: &Path) -> Result<[Option<(u32, u32)>; 2], DockerError> {
        let Some(map) = &self.give_back else {
            return Ok([None, None]);
        };
        let failed = |errno: rustix::io::Errno| DockerError::io(path)(errno.into());
        let stat = PinnedFile::path(path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        let now = Ownership::new(stat.uid, stat.gid, stat.mode, Extra::default());
        Ok(match give_back_ownership(&now, map) {
            Mapping::Change(given) => [Some((now.uid, now.gid)), Some((given.uid, given.gid))],
            _ => [None, None],
        })
    }

    /// Files and symlinks that are written anew, by the names that lead to them from the docker root as it is.
    pub fn rewritten(&self) -> HashSet<Vec<Vec<u8>>> {
        let hidden = self.hidden.iter().map(|name| name.as_bytes());
        let hidden: Vec<&[u8]> = hidden.collect();
        let way = |step: &Step| {
            let (Step::Rewrite { at, .. } | Step::Relink { at, .. }) = step else {
                return None;
            };
            let path: Vec<&[u8]> = at.path.iter().map(|name| &name.0[..]).collect();
            let path = match path.strip_prefix(&hidden[..]) {
                Some(below) => [&[GUARDED.as_bytes()], below].concat(),
                None => path,
            };
            let path = path.into_iter().map(<[u8]>::to_vec);
            (at.root == 0).then(|| path.collect())
        };
        self.late.iter().filter_map(way).collect()
    }

    fn path(&self, names: &[&str]) -> PathBuf {
        names
            .iter()
            .fold(self.top.to_path_buf(), |path, name| path.join(name))
    }

    /// What is at a path, if it can be carried by renaming it.
    fn carried(&self, path: &Path) -> Result<Stat, DockerError> {
        let failed = |errno: rustix::io::Errno| DockerError::io(path)(errno.into());
        let stat = PinnedFile::path(path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        match not_renamed(path, &stat) {
            None => Ok(stat),
            Some(why) => {
                let help =
                    "Move it into the data-root's filesystem first; docs/docker.md has another way";
                Err(DockerError::in_the_way(path, format!("{why}. {help}")))
            }
        }
    }

    /// An entry goes from one place in the data-root to another.
    pub fn rename(&mut self, from: &[&str], to: &[&str]) -> Result<(), DockerError> {
        let stat = self.carried(&self.path(from))?;
        self.early.push(Step::Rename {
            from: StepPath::new(0, from),
            to: StepPath::new(0, to),
            identity: stat.identity,
        });
        Ok(())
    }

    /// The files of all snapshots that are not copied become those of layers.
    pub fn rename_snapshots(
        &mut self,
        conversion: &Conversion,
        trees: &SnapshotTrees,
        staging: &str,
    ) -> Result<(), DockerError> {
        if conversion.transfer == Transfer::Copy {
            return Ok(());
        }
        for (id, layer) in conversion.snapshots() {
            let files = conversion.snapshot_dir(id);
            self.rename_snapshot((trees.root, &trees.way), (id, &files), staging, layer)?;
        }
        Ok(())
    }

    /// What was made for a conversion; undone, it goes.
    pub fn use_staging(&mut self, staging: Option<&Staging>) {
        let made = staging.into_iter().flat_map(|it| &it.made);
        self.early.extend(made.map(|made| Step::Staged {
            at: StepPath::new(0, &made.path),
            identity: made.identity,
            whole: made.whole,
        }));
    }

    /// The files of a snapshot become those of a layer in the directory that is made for a conversion. `root` and
    /// `way`: where the snapshots are.
    fn rename_snapshot(
        &mut self,
        (root, way): (usize, &[Vec<u8>]),
        (id, files): (u64, &Path),
        staging: &str,
        layer: &str,
    ) -> Result<(), DockerError> {
        let stat = self.carried(files)?;
        let id = id.to_string().into_bytes();
        let dir: Vec<&[u8]> = way.iter().map(Vec::as_slice).chain([&id[..]]).collect();
        let above = files.parent().unwrap_or(files);
        self.early.push(times(StepPath::new(root, &dir), above)?);
        let from = dir.iter().copied().chain([&b"fs"[..]]);
        self.early.push(Step::Rename {
            from: StepPath::new(root, from),
            to: StepPath::new(0, [staging, "overlay2", layer, "diff"]),
            identity: stat.identity,
        });
        Ok(())
    }

    /// The directory that was made for a conversion becomes the docker root of a remapped daemon. What the plain
    /// daemon has in `image` beside storage drivers goes along. `from`: the names of the docker root that is carried.
    pub fn make_root_of(
        &mut self,
        staging: &Staging,
        from: &[&str],
        inner: &str,
    ) -> Result<(), DockerError> {
        self.rename(&[&staging.name], &[inner])?;
        self.guard(&[inner]);
        let way = [from, &["image"]].concat();
        let image = self.path(&way);
        if image.symlink_metadata().is_err() {
            return Ok(());
        }
        self.early.push(times(StepPath::new(0, &way), &image)?);
        for name in names(&image)? {
            if !image.join(&name).is_dir() {
                let at = [&way[..], &[&name]].concat();
                self.rename(&at, &[inner, "image", &name])?;
            }
        }
        let stat = self.carried(&image)?;
        self.early.push(Step::RemoveDir {
            at: StepPath::new(0, way),
            made: NewDirectory {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }

    /// `containers` of the docker root at `root` gives its place to a guard and goes to `to`. Where there is none, a
    /// guard is made.
    pub fn block(&mut self, root: &[&str], to: &[&str]) -> Result<(), DockerError> {
        let from: Vec<&str> = root.iter().copied().chain([GUARDED]).collect();
        if self.path(&from).symlink_metadata().is_err() {
            self.guard(root);
            return Ok(());
        }
        let stat = self.carried(&self.path(&from))?;
        self.early
            .push(times(StepPath::new(0, &from), &self.path(&from))?);
        self.early.push(Step::Block {
            from: StepPath::new(0, from),
            to: StepPath::new(0, to),
            identity: stat.identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// A guard where a daemon would make `containers`.
    pub fn guard(&mut self, root: &[&str]) {
        let at = root.iter().copied().chain([GUARDED]);
        self.early.push(Step::Create {
            at: StepPath::new(0, at),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
    }

    /// `containers`, which is at `now`, goes from its hidden place to where a guard is in `root`. Where there is
    /// none, the guard goes.
    pub fn unblock(&mut self, now: &Path, root: &[&str]) -> Result<(), DockerError> {
        if now.symlink_metadata().is_err() {
            self.remove_guard(root);
            return Ok(());
        }
        let stat = self.carried(now)?;
        let to = root.iter().copied().chain([GUARDED]);
        self.late.push(Step::Unblock {
            from: StepPath::new(0, &self.hidden),
            to: StepPath::new(0, to),
            identity: stat.identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// The guard of a docker root that is no more.
    pub fn remove_guard(&mut self, root: &[&str]) {
        let at = root.iter().copied().chain([GUARDED]);
        self.late.push(Step::Remove {
            at: StepPath::new(0, at),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
    }

    /// The docker root of a remapped daemon comes into being.
    pub fn make_root(&mut self, inner: &str, root_gid: u32) {
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, [inner]),
            made: NewDirectory {
                uid: 0,
                gid: root_gid,
                mode: Mode::from_st_mode(0o710),
            },
        });
    }

    /// A root that is remapped by a mount comes into being: the mount point, empty and immutable, and what is to be
    /// mounted there.
    pub fn make_idmapped_root(&mut self, inner: &str, remap: &Remap) {
        let [dir, content] = idmapped::place(inner);
        self.early.push(Step::MakeMountPoint {
            at: StepPath::new(0, [inner]),
            made: MOUNT_POINT,
        });
        // On disk, what containers own has their ids: nobody but root may come near it by this path.
        self.make_dir(&[&dir]);
        self.early.push(Step::Create {
            at: StepPath::new(0, [&dir[..], idmapped::MAP]),
            content: idmapped::record(&remap.map, jiff::Timestamp::now()),
            made: GUARD_OWNER,
        });
        // Seen through the mount: 0, and the group of the container's root.
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, [&dir, &content]),
            made: NewDirectory {
                uid: remap.root.0,
                gid: 0,
                mode: Mode::from_st_mode(0o710),
            },
        });
        self.guard(&[&dir, &content]);
    }

    /// It is mounted.
    pub fn mount(&mut self, inner: &str) -> Result<(), DockerError> {
        let mtime_ns = idmapped::unit::modified(self.top)?;
        self.late.push(Step::MountExchanged {
            source: StepPath::new(0, idmapped::place(inner)),
            at: StepPath::new(0, [inner]),
            mtime_ns,
        });
        Ok(())
    }

    /// It is unmounted, before anything in it gets another place.
    pub fn unmount(&mut self, inner: &str) {
        self.early.push(Step::UnmountExchanged {
            source: StepPath::new(0, idmapped::place(inner)),
            at: StepPath::new(0, [inner]),
        });
    }

    /// Its mount point goes.
    pub fn remove_mount_point(&mut self, inner: &str) {
        self.late.push(Step::RemoveMountPoint {
            at: StepPath::new(0, [inner]),
            made: MOUNT_POINT,
        });
    }

    /// What held it goes, with the record beside it.
    pub fn remove_idmapped_holder(&mut self, root: &IdmappedRoot) -> Result<(), DockerError> {
        let [dir, _] = idmapped::place(&root.range);
        let path = root.holder().join(idmapped::MAP);
        if let Some(content) = read_text(&path)? {
            self.late.push(Step::Remove {
                at: StepPath::new(0, [&dir[..], idmapped::MAP]),
                content,
                made: GUARD_OWNER,
            });
        }
        self.remove_dir(&[&dir])
    }

    /// The data-root itself gets the owner that this daemon gives it.
    pub fn own_top(&mut self, rule: Rule) -> Result<(), DockerError> {
        let Rule::Set { uid, gid, at_least } = rule else {
            return Ok(());
        };
        let failed = |errno: rustix::io::Errno| DockerError::io(self.top)(errno.into());
        let pin = PinnedFile::path(self.top).map_err(failed)?;
        let stat = pin.stat().map_err(failed)?;
        let before = attributes::read(&pin, &stat)
            .map_err(|error| DockerError::in_the_way(self.top, error.to_string()))?;
        let after = Ownership {
            uid,
            gid,
            mode: before.mode.with(at_least),
            extra: before.extra.clone(),
        };
        if before != after {
            self.late.push(Step::SetOwnership {
                at: StepPath::new(0, [""; 0]),
                identity: stat.identity,
                before,
                after,
            });
        }
        Ok(())
    }

    pub fn remove_dir(&mut self, at: &[&str]) -> Result<(), DockerError> {
        let path = self.path(at);
        let failed = |errno: rustix::io::Errno| DockerError::io(&path)(errno.into());
        let stat = PinnedFile::path(&path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        self.late.push(Step::RemoveDir {
            at: StepPath::new(0, at),
            made: NewDirectory {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }

    /// A name for what is set aside that nothing has.
    fn aside_name(&self, what: &str) -> String {
        let first = format!("{ASIDE}{what}");
        let mut name = first.clone();
        let mut n = 1;
        while self.top.join(&name).symlink_metadata().is_ok() {
            n += 1;
            name = format!("{first}-{n}");
        }
        name
    }

    /// Makes room for `<uid>.<gid>`: somebody tried the option before, and made nothing with it.
    pub fn set_shell_aside(&mut self, inner: &str) -> Result<Option<String>, DockerError> {
        let path = self.top.join(inner);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let root = DockerRoot::at(&path);
        let holds = root.holds()?;
        if !holds.is_shell() || image_store::has_images(&root) {
            return Err(DockerError::in_the_way(
                path,
                format!(
                    "holds {holds} of a daemon that ran remapped. Two roots cannot be made one: start that daemon and \
                     save what you need of it, then move the directory away"
                ),
            ));
        }
        let aside = self.aside_name(inner);
        self.rename(&[inner], &[&aside])?;
        Ok(Some(aside))
    }

    /// Sets the empty directories of storage drivers in a docker root aside, and says where they are then.
    pub fn set_drivers_aside(
        &mut self,
        root: &[&str],
        what: &str,
        drivers: &[String],
    ) -> Result<Option<String>, DockerError> {
        if drivers.is_empty() {
            return Ok(None);
        }
        let aside = self.aside_name(what);
        let in_root = |names: &[&'static str]| [root, names].concat();
        let image = in_root(&["image"]);
        self.early
            .push(times(StepPath::new(0, &image), &self.path(&image))?);
        self.make_dir(&[&aside]);
        self.make_dir(&[&aside, "image"]);
        for driver in drivers {
            let of_image = [&image[..], &[driver]].concat();
            self.rename(&of_image, &[&aside, "image", driver])?;
            let own = [root, &[driver]].concat();
            if self.path(&own).is_dir() {
                self.rename(&own, &[&aside, driver])?;
            }
        }
        Ok(Some(aside))
    }

    /// A directory that is root's alone.
    fn make_dir(&mut self, way: &[&str]) {
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, way),
            made: NewDirectory {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0o700),
            },
        });
    }

    /// The same for a plain daemon's names in the data-root; a guard is in the place of its `containers`.
    pub fn set_plain_shell_aside(
        &mut self,
        plain: &[String],
    ) -> Result<Option<String>, DockerError> {
        if plain.is_empty() {
            self.guard(&[]);
            return Ok(None);
        }
        let holds = DockerRoot::at(self.top).holds()?;
        if !holds.is_shell() {
            return Err(DockerError::in_the_way(
                self.top,
                format!(
                    "holds {holds} of a plain daemon. Two roots cannot be made one: start a plain daemon and save \
                     what you need of it, then remove them"
                ),
            ));
        }
        let aside = self.aside_name("plain");
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, [&aside]),
            made: NewDirectory {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0o700),
            },
        });
        self.block(&[], &[&aside, GUARDED])?;
        for name in plain.iter().filter(|name| *name != GUARDED) {
            self.rename(&[name], &[&aside, name])?;
        }
        Ok(Some(aside))
    }
}

/// The directory at `path`, which steps know as `at`, gets its time back when they are undone.
pub(super) fn times(at: StepPath, path: &Path) -> Result<Step, DockerError> {
    let failed = |errno: rustix::io::Errno| DockerError::io(path)(errno.into());
    let dir = open_dir(rustix::fs::CWD, path).map_err(failed)?;
    let mtime_ns = mtime_ns(dir).map_err(DockerError::io(path))?;
    Ok(Step::Times { at, mtime_ns })
}

/// Nobody needs to enter it, nor can put anything into it.
pub(super) const MOUNT_POINT: NewDirectory = NewDirectory {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o700),
};

const GUARD_OWNER: NewDirectory = NewDirectory {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o644),
};
