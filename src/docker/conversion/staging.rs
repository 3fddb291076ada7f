//! All files that a conversion adds, made in a directory of its own in the data-root before anything is changed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::fill::fill;
use super::leftover::{self, staging_name};
use super::plan::Conversion;
use crate::docker::DockerError;
use crate::engine::RunControl;
use crate::fs::dir::open_dir;
use crate::fs::{Identity, PinnedFile, file_ops, remove_tree};
use crate::oci::digest::Digest;
use crate::ownership::Mode as Bits;
use crate::store_move::top_time::TopTime;
use crate::store_move::unfinished_mark;

/// Something that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The names that lead there from the data-root.
    pub path: Vec<Vec<u8>>,
    /// Which inode it is.
    pub identity: Identity,
    /// It is the files of a layer, and goes with all of them.
    pub whole: bool,
}

/// The directory that becomes the remapped daemon's root.
#[derive(Clone, Debug)]
pub struct Staging {
    dir: PathBuf,
    /// The data-root, and when it was last modified, before.
    time: TopTime,
    /// Its name in the data-root.
    pub name: String,
    /// It, and all in it: what is above comes before what is below.
    pub made: Vec<Made>,
    /// The ids of images that were made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Files of snapshots that are not as they are in the blobs of their layers.
    pub changed: Vec<PathBuf>,
}

impl Staging {
    /// Makes it. If that fails, what was made is removed.
    ///
    /// # Errors
    /// The disk is full, a blob is damaged, or somebody asked to stop.
    pub fn make(
        conversion: &Conversion,
        top: &Path,
        range: &str,
        root_gid: u32,
        control: RunControl<'_>,
    ) -> Result<Staging, DockerError> {
        leftover::check_is_free(top, range)?;
        if conversion.in_use {
            let path = &conversion.containerd.path;
            let why = "is in use by containerd. Stop it: `systemctl stop docker.socket docker containerd`";
            return Err(DockerError::in_the_way(path, why));
        }
        let name = staging_name(range);
        let dir = top.join(&name);
        let mut time = TopTime::of(top).map_err(DockerError::io(top))?;
        let owner = file_ops::Owner {
            uid: 0,
            gid: root_gid,
            mode: Bits::from_st_mode(0o710),
        };
        let made = file_ops::make_dir(time.top.as_fd(), name.as_bytes(), owner);
        made.map_err(DockerError::io(&dir))?;
        time.note().map_err(DockerError::io(top))?;
        let mut staging = Staging {
            dir,
            time,
            name,
            made: Vec::new(),
            images: BTreeMap::new(),
            changed: Vec::new(),
        };
        let marked = staging.open().and_then(|dir| unfinished_mark::mark(&dir));
        let filled = marked.map_err(DockerError::io(&staging.dir));
        let filled = filled.and_then(|()| fill(&staging.dir, conversion, control));
        let listed = filled.and_then(|filled| {
            staging.images = filled.images;
            staging.changed = filled.changed;
            staging.list()
        });
        let synced = listed.and_then(|()| {
            let synced = rustix::fs::syncfs(&staging.time.top).map_err(std::io::Error::from);
            let synced = synced.and_then(|()| staging.time.put_back());
            synced.map_err(DockerError::io(&staging.dir))
        });
        match synced {
            Ok(()) => Ok(staging),
            Err(error) => {
                staging.remove_unfinished();
                Err(error)
            }
        }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        Ok(open_dir(self.time.top.as_fd(), &*self.name)?)
    }

    /// From now on it may be used: what is in it then may be all that there is of it.
    ///
    /// # Errors
    /// The disk does not have that.
    pub fn begin(&self) -> io::Result<()> {
        self.open().and_then(|dir| unfinished_mark::unmark(&dir))
    }

    /// Removes it if no step was taken: every inode that was made, and files of layers that were
    /// copied or unpacked. Everything else in it stays, above all files of layers that were
    /// renamed.
    pub fn remove(&self) {
        self.time.removing(|| {
            for made in self.made.iter().rev() {
                // What is still there then is found in the way by the next run.
                let _ = self.remove_one(made);
            }
        });
    }

    fn remove_one(&self, made: &Made) -> io::Result<()> {
        let Some((name, above)) = made.path.split_last() else {
            return Ok(());
        };
        let top = open_dir(self.time.top.as_fd(), ".")?;
        let mut above = above.iter();
        let above = above.try_fold(top, |dir, name| open_dir(dir.as_fd(), &name[..]))?;
        match file_ops::stat_entry(above.as_fd(), name)? {
            Some(stat) if stat.identity != made.identity => Ok(()),
            Some(_) if made.whole => remove_tree(above.as_fd(), name),
            Some(stat) if stat.is_dir() => file_ops::remove_dir(above.as_fd(), name),
            Some(_) => file_ops::remove_file(above.as_fd(), name),
            None => Ok(()),
        }
    }

    /// Removes what is half made, before the journal names it.
    fn remove_unfinished(&self) {
        let remove = || remove_tree(self.time.top.as_fd(), self.name.as_bytes());
        let _ = self.time.removing(remove);
    }

    /// Notes what was made.
    fn list(&mut self) -> Result<(), DockerError> {
        let above = self.dir.parent().unwrap_or(&self.dir).to_path_buf();
        let mut entries = walkdir::WalkDir::new(&self.dir)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| DockerError::io(&self.dir)(error.into()))?;
            let pinned = PinnedFile::path(entry.path()).and_then(|pin| pin.stat());
            let stat = pinned.map_err(|errno| DockerError::io(entry.path())(errno.into()))?;
            let below = entry.path().strip_prefix(&above).unwrap_or(entry.path());
            let names = below.iter().map(|name| name.as_bytes().to_vec());
            let path: Vec<Vec<u8>> = names.collect();
            let names: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            let whole = matches!(names[..], [_, b"overlay2", _, b"diff"]);
            if whole {
                entries.skip_current_dir();
            }
            self.made.push(Made {
                path,
                identity: stat.identity,
                whole,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
