//! Files and symlinks are rewritten: a container's metadata, a volume's symlink or options.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{CONTAINERS, StepList, stat};
use crate::docker::DockerError;
use crate::docker::inventory::volumes::Edit;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::{read_file, read_link};
use crate::idmap::Direction;
use crate::journal::step::{FileContent, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::{Mapping, Ownership, OwnershipXattrs};
use crate::store_move::mtime::mtime_step;

/// Owner and group of a file before and after it is rewritten; none where they stay.
type MetadataOwners = [Option<(u32, u32)>; 2];

impl StepList<'_> {
    /// A metadata file of a container is rewritten, if its text changes. `dir`: the container's directory today.
    pub fn rewrite_container_file(
        &mut self,
        dir: &Path,
        id: &str,
        file: &str,
        before: &str,
        after: String,
    ) -> Result<(), DockerError> {
        if before == after {
            return Ok(());
        }
        let parked = self.parked_containers.iter().map(String::as_str);
        let step_dir: Vec<&str> = parked.chain([id]).collect();
        let mtime = mtime_step(StepPath::new(0, &step_dir), dir)?;
        // Both files of a container come one after the other.
        if !self.late.iter().rev().take(2).any(|step| *step == mtime) {
            self.late.push(mtime);
        }
        let at = StepPath::new(0, step_dir.into_iter().chain([file]));
        let step = self.rewrite(at, &dir.join(file), before, after)?;
        self.late.push(step);
        Ok(())
    }

    /// What a volume needs to keep its content: its symlink or its options are rewritten. `metadata_root`: the docker
    /// root as paths in metadata have it; `source`: where it is today; `target`: the names that lead from the data-root
    /// to where it is after the renames.
    pub fn edit_volume(
        &mut self,
        edit: &Edit,
        (metadata_root, source): (&Path, &Path),
        target: &[&str],
    ) -> Result<(), DockerError> {
        let (Edit::Link { at, .. } | Edit::Options { at, .. }) = edit;
        let below = at.strip_prefix(metadata_root).unwrap_or(at);
        let path = source.join(below);
        let Some(dir) = path.parent().filter(|_| path.file_name().is_some()) else {
            return Ok(());
        };
        let names = target.iter().map(OsStr::new).chain(below);
        let names: Vec<&[u8]> = names.map(OsStrExt::as_bytes).collect();
        let step_dir = StepPath::new(0, &names[..names.len() - 1]);
        self.late.push(mtime_step(step_dir, dir)?);
        let at = StepPath::new(0, names);
        let step = match edit {
            Edit::Link { target, .. } => self.relink(at, &path, target)?,
            Edit::Options { before, after, .. } => {
                self.rewrite(at, &path, before, after.clone())?
            }
        };
        self.late.push(step);
        Ok(())
    }

    /// The file `path` is rewritten, once it is at `at`.
    fn rewrite(
        &self,
        at: StepPath,
        path: &Path,
        before: &str,
        after: String,
    ) -> Result<Step, DockerError> {
        let (dir, name) = split(path);
        let dir = open_dir(rustix::fs::CWD, dir).map_err(DockerError::errno(dir))?;
        let (_, mtime_ns) = read_file(dir.as_fd(), name).map_err(DockerError::io(path))?;
        let [owner, new_owner] = self.owners(path)?;
        Ok(Step::Rewrite {
            at,
            before: FileContent {
                text: before.to_string(),
                mtime_ns: Some(mtime_ns),
                owner,
            },
            after: FileContent {
                text: after,
                mtime_ns: None,
                owner: new_owner,
            },
        })
    }

    /// The symlink `path` is given another target, once it is at `at`.
    fn relink(&self, at: StepPath, path: &Path, target: &Path) -> Result<Step, DockerError> {
        let (dir, name) = split(path);
        let dir = open_dir(rustix::fs::CWD, dir).map_err(DockerError::errno(dir))?;
        let (before, mtime_ns) = read_link(dir.as_fd(), name).map_err(DockerError::io(path))?;
        let [owner, new_owner] = self.owners(path)?;
        Ok(Step::Relink {
            at,
            before: Name(before),
            after: Name::from(target),
            mtime_ns,
            owners: owner.zip(new_owner).map(|(owner, new)| [owner, new]),
        })
    }

    fn owners(&self, path: &Path) -> Result<MetadataOwners, DockerError> {
        let Some((rule, map)) = &self.owners else {
            return Ok([None, None]);
        };
        let stat = stat(path)?;
        let before = Ownership::new(stat.uid, stat.gid, stat.mode, OwnershipXattrs::default());
        Ok(
            match rule.outcome(&before, stat.file_type, map, Direction::Into) {
                Mapping::Change(after) => {
                    [Some((before.uid, before.gid)), Some((after.uid, after.gid))]
                }
                Mapping::Unmapped(why) => {
                    return Err(DockerError::in_the_way(path, why.to_string()));
                }
                Mapping::Already => [None, None],
            },
        )
    }

    /// The files and symlinks that are rewritten, each as the names that lead to it from the docker root of today.
    /// `target`: the names that lead from the data-root to where that is after the renames.
    pub fn rewritten(&self, target: &[&str]) -> HashSet<Vec<Vec<u8>>> {
        let target: Vec<&[u8]> = target.iter().map(|name| name.as_bytes()).collect();
        let parked: Vec<&[u8]> = self
            .parked_containers
            .iter()
            .map(|name| name.as_bytes())
            .collect();
        let names_of = |step: &Step| {
            let (Step::Rewrite { at, .. } | Step::Relink { at, .. }) = step else {
                return None;
            };
            let path: Vec<&[u8]> = at.path.iter().map(|name| &name.0[..]).collect();
            let path = match path.strip_prefix(&parked[..]) {
                Some(below) => [&[CONTAINERS.as_bytes()], below].concat(),
                None => path.strip_prefix(&target[..])?.to_vec(),
            };
            let path = path.into_iter().map(<[u8]>::to_vec);
            (at.root == 0).then(|| path.collect())
        };
        self.late.iter().filter_map(names_of).collect()
    }
}

/// The directory and the name of a file.
fn split(path: &Path) -> (&Path, &[u8]) {
    let dir = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    (dir, name.as_bytes())
}
