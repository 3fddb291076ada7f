//! All files that a conversion adds, made in a directory of its own in the data-root before anything is changed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fill::fill;
use super::plan::Conversion;
use crate::docker::data_root::{CONVERTED, names};
use crate::docker::{DockerError, Reason};
use crate::engine::RunControl;
use crate::fs::dir::open_dir;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::{Identity, PinnedFile, file_ops, mountinfo, remove_tree};
use crate::journal::Journal;
use crate::journal::record::RunKind;
use crate::oci::digest::Digest;
use crate::ownership::Mode as Bits;

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
    /// The data-root.
    top: Arc<OwnedFd>,
    /// When the data-root was last modified, before.
    top_mtime_ns: i64,
    /// Its name in the data-root.
    pub name: String,
    /// It, and all in it: what is above comes before what is below.
    pub made: Vec<Made>,
    /// The ids of images that were made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Files of snapshots that are not as they are in the blobs of their layers.
    pub changed: Vec<PathBuf>,
}

/// The name for a range.
pub fn staging_name(range: &str) -> String {
    format!("{CONVERTED}{range}")
}

impl Staging {
    /// Whether nothing has its place.
    ///
    /// # Errors
    /// An earlier run that was cut short left it.
    pub fn check_is_free(top: &Path, range: &str) -> Result<(), DockerError> {
        let dir = top.join(staging_name(range));
        if let Some(reason) = Reason::of_mount_within(&dir) {
            return Err(DockerError::in_the_way(&dir, reason));
        }
        match dir.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(_) if holds_files(&dir) => Err(DockerError::in_the_way(
                &dir,
                format!(
                    "is left over from an earlier conversion, and has files in its overlay2. If that \
                    conversion was rolled back with --force, these may be the only copy of what containers \
                    wrote. Look at them. To keep them, move the directory out of the data-root: `mv {} \
                    /root/`. Then run this again",
                    shell_word(&dir)
                ),
            )),
            Ok(_) => Err(DockerError::in_the_way(
                &dir,
                format!(
                    "is left over from a conversion that ended before it changed anything, and is not \
                    needed. Remove it: `rm -rf {}`. Then run this again",
                    shell_word(&dir)
                ),
            )),
        }
    }

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
        Staging::check_is_free(top, range)?;
        if conversion.in_use {
            let path = &conversion.containerd.path;
            let why = "is in use by containerd. Stop it: `systemctl stop docker.socket docker containerd`";
            return Err(DockerError::in_the_way(path, why));
        }
        let name = staging_name(range);
        let dir = top.join(&name);
        let failed = DockerError::io(&dir);
        let above =
            open_dir(rustix::fs::CWD, top).map_err(|errno| DockerError::io(top)(errno.into()))?;
        let owner = file_ops::Owner {
            uid: 0,
            gid: root_gid,
            mode: Bits::from_st_mode(0o710),
        };
        let top_mtime_ns = file_ops::mtime_ns(&above).map_err(DockerError::io(top))?;
        file_ops::make_dir(above.as_fd(), name.as_bytes(), owner).map_err(failed)?;
        let own_mtime_ns = file_ops::mtime_ns(&above).map_err(DockerError::io(top))?;
        let mut staging = Staging {
            dir,
            top: Arc::new(above),
            top_mtime_ns,
            name,
            made: Vec::new(),
            images: BTreeMap::new(),
            changed: Vec::new(),
        };
        let filled = fill(&staging.dir, conversion, control);
        let listed = filled.and_then(|filled| {
            staging.images = filled.images;
            staging.changed = filled.changed;
            staging.list()
        });
        let synced = listed.and_then(|()| {
            let synced = rustix::fs::syncfs(&staging.top).map_err(std::io::Error::from);
            let synced = synced.and_then(|()| staging.set_time_back(own_mtime_ns));
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

    /// Removes it if no step was taken: every inode that was made, and files of layers that were
    /// copied or unpacked. Everything else in it stays, above all files of layers that were
    /// renamed.
    pub fn remove(&self) {
        for made in self.made.iter().rev() {
            // What is still there then is found in the way by the next run.
            let _ = self.remove_one(made);
        }
        self.reset_time();
    }

    fn remove_one(&self, made: &Made) -> io::Result<()> {
        let Some((name, above)) = made.path.split_last() else {
            return Ok(());
        };
        let top = open_dir(self.top.as_fd(), ".")?;
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
        let _ = remove_tree(self.top.as_fd(), self.name.as_bytes());
        self.reset_time();
    }

    /// As it was: a run that is undone leaves it so. When it is not what was made here that modified it last, a daemon
    /// was started meanwhile, and that must be seen.
    fn set_time_back(&self, own_mtime_ns: i64) -> io::Result<()> {
        match file_ops::mtime_ns(&self.top)? == own_mtime_ns {
            true => file_ops::set_mtime(&self.top, self.top_mtime_ns),
            false => Ok(()),
        }
    }

    /// The data-root was modified when it was before, unless something is left in it.
    fn reset_time(&self) {
        let left = file_ops::stat_entry(self.top.as_fd(), self.name.as_bytes());
        if let Ok(None) = left {
            let _ = file_ops::set_mtime(&self.top, self.top_mtime_ns);
        }
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

/// What a run has left that was killed before its journal knew what is to be done: only what had been made for it. In
/// words, with the command that removes it.
pub fn left(journal: &Journal) -> Option<String> {
    if journal.may_have_begun() || journal.header.command != RunKind::DockerMigrate {
        return None;
    }
    let top = journal.header.roots.first()?.path.as_path();
    let mut names = names(top).ok()?.into_iter();
    let dir = top.join(names.find(|name| name.starts_with(CONVERTED))?);
    let unmount = match mountinfo::first_within(&dir) {
        None => String::new(),
        Some(point) => format!(
            " Something is mounted in it: first `umount {}`.",
            shell_word(&point)
        ),
    };
    Some(format!(
        "What the conversion had made by then is left as {}; nothing of the store was changed. `rm -rf {}` removes it.{unmount}",
        escaped(&dir),
        shell_word(&dir)
    ))
}

/// Whether files of a layer or a container are in it, or nobody can tell.
fn holds_files(dir: &Path) -> bool {
    let layers = walkdir::WalkDir::new(dir.join("overlay2"))
        .min_depth(3)
        .max_depth(3);
    layers.into_iter().any(|entry| match entry {
        Ok(entry) => {
            let above = entry.path().parent().and_then(Path::file_name);
            above == Some("diff".as_ref())
        }
        Err(error) => error.io_error().map(io::Error::kind) != Some(io::ErrorKind::NotFound),
    })
}

#[cfg(test)]
mod tests;
