//! The directory the journals are in.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::claim::claim;
use super::error::{JournalError, StoreError};
use super::file::Journal;
use super::id::{DEFAULT_PLACE, LATEST, SUFFIX, id_of, number_of};
use super::last_id::LastId;
use super::safe_path::{self, Distrust};
use crate::fs::source_path::SourcePath;
use crate::fs::{PinnedFile, Root, mountinfo, root};

/// Suffix of a journal file that has no header yet.
pub(super) const NEW: &str = ".new";

/// A directory of journals, one file each, `ID.jsonl.zst`.
///
/// An id is a number that counts up and the time, `0007-20260102T030405Z`: their order is that of
/// the runs even when the clock was set back.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) place: PathBuf,
}

impl Store {
    /// The store in this directory, which need not exist yet.
    pub fn at(place: impl Into<PathBuf>) -> Store {
        Store {
            place: place.into(),
        }
    }

    /// The directory.
    pub fn place(&self) -> &Path {
        &self.place
    }

    pub(super) fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io {
            path: self.place.clone(),
            source,
        }
    }

    /// Makes the directory where it is missing, and makes sure that nobody else can write to it or put
    /// another in its place.
    pub fn open_for_writing(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.place)
            .map_err(|error| self.io(error))?;
        self.check_private()
    }

    /// Checks that journals can be written here, also if the directory is missing. Creates nothing.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let there = self.nearest();
        rustix::fs::access(there, rustix::fs::Access::WRITE_OK)
            .map_err(|errno| self.io(errno.into()))?;
        match there == self.place && self.place.is_dir() {
            true => self.check_private(),
            false => {
                safe_path::check_above(&self.place).map_err(|distrust| self.distrust(distrust))
            }
        }
    }

    /// The directory, or the nearest one above it that exists.
    fn nearest(&self) -> &Path {
        let mut paths = self.place.ancestors();
        let there = paths.find(|path| path.as_os_str().is_empty() || path.exists());
        match there {
            Some(path) if !path.as_os_str().is_empty() => path,
            _ => Path::new("."),
        }
    }

    fn check_private(&self) -> Result<(), StoreError> {
        safe_path::check_directory(&self.place).map_err(|distrust| self.distrust(distrust))
    }

    fn distrust(&self, distrust: Distrust) -> StoreError {
        match distrust {
            Distrust::Io(error) => self.io(error),
            Distrust::Reason(reason) => StoreError::NotPrivate {
                path: self.place.clone(),
                reason,
            },
        }
    }

    /// Refuses a store inside one of the trees: it would be shifted, and journalled, itself.
    pub fn check_outside(&self, roots: &[Root]) -> Result<(), StoreError> {
        let real = std::fs::canonicalize(self.nearest()).map_err(|error| self.io(error))?;
        let ancestor_ids = root::ancestor_ids_of(&real).map_err(|error| self.io(error))?;
        let mounts = mountinfo::of_this_thread().map_err(|error| self.io(error))?;
        let source = PinnedFile::exactly(&real)
            .map_err(io::Error::from)
            .and_then(|pin| SourcePath::of(pin.as_fd(), &real, &mounts))
            .map_err(|error| self.io(error))?;
        for root in roots {
            let tree = SourcePath::of(root.pin.as_fd(), &root.path, &mounts);
            let tree = tree.map_err(|error| self.io(error))?;
            let shows_it = tree
                .zip(source.as_ref())
                .is_some_and(|(tree, source)| tree.holds(source));
            if shows_it || ancestor_ids.contains(&root.ancestor_ids[0]) {
                return Err(StoreError::InsideTree {
                    path: self.place.clone(),
                    tree: root.path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Makes sure that a directory that was named is there. The default one comes with the first run.
    pub fn check_there(&self) -> Result<(), StoreError> {
        match std::fs::metadata(&self.place) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(self.io(io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(error)),
            Err(_) if self.place == Path::new(DEFAULT_PLACE) => Ok(()),
            Err(_) => Err(StoreError::NoDirectory {
                path: self.place.clone(),
            }),
        }
    }

    /// The journal files, oldest run first. A store that does not exist has none.
    pub fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        if !self.place.exists() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.place).min_depth(1).max_depth(1) {
            let entry = entry.map_err(|error| self.io(error.into()))?;
            if id_of(entry.path()).is_some() {
                files.push(entry.into_path());
            }
        }
        files.sort_by_key(|path| (number_of(path), path.clone()));
        Ok(files)
    }

    /// The file that `latest`, an id, its number or a path means.
    pub fn find(&self, name: &Path) -> Result<PathBuf, StoreError> {
        if name == Path::new(LATEST) {
            self.check_there()?;
            return self.latest();
        }
        let mut file_name = name.as_os_str().to_os_string();
        file_name.push(SUFFIX);
        let by_id = self.place.join(file_name);
        // `7` and `0007` mean the journal whose id begins so.
        let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
        let number = number.filter(|number| *number > 0);
        let mut by_number = match number {
            Some(_) => self.files()?,
            None => Vec::new(),
        };
        by_number.retain(|path| Some(number_of(path)) == number);
        let is_one_name = !name.as_os_str().as_bytes().contains(&b'/');
        if is_one_name && by_id.exists() {
            Ok(by_id)
        } else if by_number.len() > 1 {
            let ids = by_number.iter().filter_map(|path| id_of(path));
            Err(StoreError::Ambiguous {
                name: name.to_path_buf(),
                ids: ids.collect::<Vec<_>>().join(", "),
            })
        } else if let Some(found) = by_number.pop() {
            Ok(found)
        } else if name.is_file() {
            Ok(name.to_path_buf())
        } else {
            self.check_there()?;
            Err(StoreError::NoSuchJournal {
                name: name.to_path_buf(),
                path: self.place.clone(),
            })
        }
    }

    /// The newest run's journal, whatever became of that run.
    ///
    /// # Errors
    /// Also when there is none.
    fn latest(&self) -> Result<PathBuf, StoreError> {
        for path in self.files()?.into_iter().rev() {
            match Journal::outline(&path) {
                // Its run ended before it began.
                Err(JournalError::Empty { .. }) => {}
                // One that cannot be read may be the one that is meant; who asks for it hears what is wrong.
                Ok(_) | Err(_) => return Ok(path),
            }
        }
        Err(StoreError::NoJournals {
            path: self.place.clone(),
        })
    }

    /// Removes a file if `is_unneeded` says so, before and after the file is locked. Returns
    /// whether it was removed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(path: &Path, is_unneeded: impl Fn(&Path) -> bool) -> io::Result<bool> {
        let file = File::options()
            .read(true)
            // Some network filesystems give the lock only to who may write.
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path);
        let file = match file {
            // Somebody else removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let is_free = claim(&file)? && is_unneeded(path);
        if is_free {
            LastId::lock(safe_path::directory_of(path))?.raise(number_of(path))?;
            std::fs::remove_file(path)?;
        }
        Ok(is_free)
    }

    /// Files of runs that were killed before their journal was in its place: nothing was done.
    pub fn never_begun(&self) -> Result<Vec<PathBuf>, StoreError> {
        let files = WalkDir::new(&self.place).min_depth(1).max_depth(1);
        let is_new = |path: &Path| path.to_string_lossy().ends_with(NEW);
        let mut found = Vec::new();
        for entry in files.into_iter().filter(|_| self.place.exists()) {
            let path = entry.map_err(|error| self.io(error.into()))?.into_path();
            let pid = path
                .to_string_lossy()
                .rsplit('.')
                .nth(1)
                .and_then(|pid| pid.parse::<i32>().ok());
            let lives = pid.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists());
            if is_new(&path) && !lives {
                found.push(path);
            }
        }
        Ok(found)
    }
}
