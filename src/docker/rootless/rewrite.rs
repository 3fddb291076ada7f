//! Files and symlinks that are written anew: metadata of containers, options and symlinks of volumes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::metadata::Rewritten;
use super::steps::RootlessSteps;
use crate::docker::DockerError;
use crate::docker::inventory::volumes::Edit;
use crate::docker::steps::CONTAINERS;
use crate::fs::PinnedFile;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::{read_file, read_link};
use crate::journal::step::{FileContent, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::{Mapping, Ownership, OwnershipXattrs, map_all_of_ownership};
use crate::store_move::mtime::mtime_step;

impl RootlessSteps<'_> {
    /// Metadata files of containers.
    pub fn rewrite(&mut self, file: Rewritten) -> Result<(), DockerError> {
        let dir = self.list.from.path.join(CONTAINERS).join(&file.id);
        let mtime_ns = mtime_of(&dir, file.name)?;
        self.times_once(self.hidden(&[&file.id]), &dir)?;
        let names = [CONTAINERS, &file.id, file.name];
        let names = names.map(|name| name.as_bytes().to_vec());
        self.list.rewritten.insert(names.to_vec());
        let [owner, new_owner] = self.owners(&dir.join(file.name))?;
        self.list.late.push(Step::Rewrite {
            at: self.hidden(&[&file.id, file.name]),
            before: FileContent {
                text: file.before,
                mtime_ns: Some(mtime_ns),
                owner: Some(owner),
            },
            after: FileContent {
                text: file.after,
                mtime_ns: None,
                owner: Some(new_owner),
            },
        });
        Ok(())
    }

    /// The symlink or the options of a volume; `top`: the docker root that it is told of.
    pub fn edit(&mut self, edit: &Edit, top: &Path) -> Result<(), DockerError> {
        let (Edit::Link { at, .. } | Edit::Options { at, .. }) = edit;
        let below = at.strip_prefix(top).unwrap_or(at);
        let at = &self.list.from.path.join(below);
        let names: Vec<&[u8]> = below.iter().map(OsStr::as_bytes).collect();
        let (Some(dir), Some((name, above))) = (at.parent(), names.split_last()) else {
            return Ok(());
        };
        self.times_once(self.list.holder(above), dir)?;
        let place = self.list.holder(&names);
        let owned = names.iter().map(|name| name.to_vec());
        self.list.rewritten.insert(owned.collect());
        let [owner, new_owner] = self.owners(at)?;
        self.list.late.push(match edit {
            Edit::Link { target, .. } => {
                let handle = open(dir)?;
                let (before, mtime_ns) =
                    read_link(handle.as_fd(), name).map_err(DockerError::io(at))?;
                Step::Relink {
                    at: place,
                    before: Name(before),
                    after: Name::from(target.as_path()),
                    mtime_ns,
                    owners: Some([owner, new_owner]),
                }
            }
            Edit::Options { before, after, .. } => {
                let name = OsStr::from_bytes(name);
                Step::Rewrite {
                    at: place,
                    before: FileContent {
                        text: before.clone(),
                        mtime_ns: Some(mtime_of(dir, name)?),
                        owner: Some(owner),
                    },
                    after: FileContent {
                        text: after.clone(),
                        mtime_ns: None,
                        owner: Some(new_owner),
                    },
                }
            }
        });
        Ok(())
    }

    /// Owner and group of what is written anew, and those it gets.
    fn owners(&self, path: &Path) -> Result<[(u32, u32); 2], DockerError> {
        let pin = PinnedFile::path(path);
        let stat = pin.and_then(|pin| pin.stat());
        let stat = stat.map_err(DockerError::errno(path))?;
        let now = Ownership::new(stat.uid, stat.gid, stat.mode, OwnershipXattrs::default());
        match map_all_of_ownership(&now, self.map.0, self.map.1) {
            Mapping::Change(new) => Ok([(now.uid, now.gid), (new.uid, new.gid)]),
            Mapping::Already => Ok([(now.uid, now.gid); 2]),
            Mapping::Unmapped(why) => Err(DockerError::in_the_way(path, why.to_string())),
        }
    }

    /// A directory in which a file is written anew gets its time back when that is undone.
    fn times_once(&mut self, at: StepPath, dir: &Path) -> Result<(), DockerError> {
        let step = mtime_step(at, dir)?;
        // Both files of a container come one after the other.
        if !self
            .list
            .late
            .iter()
            .rev()
            .take(2)
            .any(|other| *other == step)
        {
            self.list.late.push(step);
        }
        Ok(())
    }
}

fn open(dir: &Path) -> Result<OwnedFd, DockerError> {
    open_dir(rustix::fs::CWD, dir).map_err(DockerError::errno(dir))
}

fn mtime_of(dir: &Path, name: impl AsRef<OsStr>) -> Result<i64, DockerError> {
    let name = name.as_ref();
    let path = dir.join(name);
    let read = read_file(open(dir)?.as_fd(), name.as_bytes());
    read.map(|(_, mtime)| mtime).map_err(DockerError::io(path))
}
