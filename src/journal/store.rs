//! The directory the journals are in.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;
use walkdir::WalkDir;

use super::file::{Journal, JournalError, JournalState};
use super::last_id::LastId;
use super::record::{Header, NameCounts, Record};
use super::run_lock::{self, RunLock};
use super::safe_path::{self, Distrust};
use super::writer::Appender;
use crate::fs::escape::{escaped, one_line, shell_word};
use crate::fs::source_path::SourcePath;
use crate::fs::{PinnedFile, Root, mountinfo, root};

/// Where journals are kept unless `--journal-dir` says otherwise.
pub const DEFAULT_PLACE: &str = "/var/lib/idshift";

/// The name of the newest run's journal.
pub const LATEST: &str = "latest";

const SUFFIX: &str = ".jsonl.zst";

/// Of a journal that is not in its place yet.
const NEW: &str = ".new";

/// A directory of journals, one file each, `ID.jsonl.zst`.
///
/// An id is a number that counts up and the time, `0007-20260102T030405Z`: their order is that of
/// the runs even when the clock was set back.
#[derive(Clone, Debug)]
pub struct Store {
    place: PathBuf,
}

/// What is wrong with the journal directory, or with what was asked of it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be made, read or written.
    #[error("{path}: {source}. Name another place with --journal-dir DIR", path = escaped(path))]
    Io {
        /// The directory or the journal file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could write in it.
    #[error(
        "{path}: {reason}, so others could put journals there. `chown root: {path} && chmod 0700 {path}` helps where it is this directory itself; else name another place with --journal-dir DIR",
        path = escaped(path)
    )]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What makes it so.
        reason: String,
    },
    /// It lies in a tree that is to be shifted.
    #[error(
        "{path}: the journal directory lies inside {tree}, which is to be shifted. Name another place with --journal-dir DIR",
        path = escaped(path), tree = escaped(tree)
    )]
    InsideTree {
        /// The directory.
        path: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// No journal has this name.
    #[error(
        "no journal {name} in {path}; `idshift journal list --journal-dir {word}` shows what is there",
        name = one_line(name), path = escaped(path), word = shell_word(path)
    )]
    NoSuchJournal {
        /// What was asked for.
        name: String,
        /// The directory.
        path: PathBuf,
    },
    /// A number that several journals have.
    #[error("{name} could be any of {ids}. Name it by its whole id", name = one_line(name), ids = one_line(ids))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Their ids.
        ids: String,
    },
    /// The directory that was named is not there.
    #[error(
        "{path}: there is no such journal directory. Name the directory that the run was given with \
         --journal-dir DIR; where it was given none, that is {DEFAULT_PLACE}",
        path = escaped(path)
    )]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// There is none that `latest` could mean.
    #[error(
        "{path}: there are no journals here. Name the directory that the run was given with --journal-dir DIR",
        path = escaped(path)
    )]
    NoJournals {
        /// The directory.
        path: PathBuf,
    },
    /// A run that was not ended covers the same tree.
    #[error(
        "{tree}: journal {id} covers it and is {state}. {ways_on}",
        tree = escaped(tree)
    )]
    Unfinished {
        /// The tree.
        tree: PathBuf,
        /// The journal's id.
        id: String,
        /// How far it is.
        state: JournalState,
        /// What helps.
        ways_on: String,
    },
    /// A journal that could cover the same tree cannot be read.
    #[error(
        "cannot tell whether a run on this tree was left unfinished: {0}. If the journal is of no more use, move it out of its directory"
    )]
    Unreadable(#[from] JournalError),
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

    fn io(&self, source: io::Error) -> StoreError {
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

    /// Makes sure that journals can be kept here, where the directory is missing too; makes nothing.
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

    /// The directory, or the last one on the way to it that is there.
    fn nearest(&self) -> &Path {
        let mut ways = self.place.ancestors();
        let there = ways.find(|way| way.as_os_str().is_empty() || way.exists());
        match there {
            Some(way) if !way.as_os_str().is_empty() => way,
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
        match roots
            .iter()
            .find(|root| ancestor_ids.contains(&root.ancestor_ids[0]))
        {
            Some(root) => Err(StoreError::InsideTree {
                path: self.place.clone(),
                tree: root.path.clone(),
            }),
            None => Ok(()),
        }
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
    pub fn find(&self, name: &str) -> Result<PathBuf, StoreError> {
        if name == LATEST {
            self.check_there()?;
            return self.latest();
        }
        let by_id = self.place.join(format!("{name}{SUFFIX}"));
        let by_path = PathBuf::from(name);
        // `7` and `0007` mean the journal whose id begins so.
        let number = name.parse::<u64>().ok().filter(|number| *number > 0);
        let mut by_number = match number {
            Some(_) => self.files()?,
            None => Vec::new(),
        };
        by_number.retain(|path| Some(number_of(path)) == number);
        if !name.contains('/') && by_id.exists() {
            Ok(by_id)
        } else if by_number.len() > 1 {
            let ids = by_number.iter().filter_map(|path| id_of(path));
            Err(StoreError::Ambiguous {
                name: name.to_string(),
                ids: ids.collect::<Vec<_>>().join(", "),
            })
        } else if let Some(found) = by_number.pop() {
            Ok(found)
        } else if by_path.is_file() {
            Ok(by_path)
        } else {
            self.check_there()?;
            Err(StoreError::NoSuchJournal {
                name: name.to_string(),
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

    /// Refuses when a run on one of these trees was begun and not ended.
    pub fn check_no_unfinished(&self, roots: &[Root]) -> Result<(), StoreError> {
        for path in self.files()? {
            let journal = match Journal::outline(&path) {
                Ok(journal) => journal,
                Err(JournalError::Empty { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(ways_on) = journal.how_to_end(&path) else {
                continue;
            };
            let trees = journal.header.roots.iter().filter(|root| !root.steps_only);
            for theirs in trees {
                if let Some(ours) = roots
                    .iter()
                    .find(|ours| covers(ours, theirs.path.as_path()))
                {
                    return Err(StoreError::Unfinished {
                        tree: ours.path.clone(),
                        id: journal.header.id,
                        state: journal.state,
                        ways_on,
                    });
                }
            }
        }
        Ok(())
    }

    /// Begins a journal under a new id, for a run that holds the lock of its trees. Its file is made beside its place and put there once the
    /// header is durable: whoever sees a journal sees its header.
    pub fn create(
        &self,
        _lock: &RunLock,
        mut header: Header,
    ) -> Result<(Appender, PathBuf), StoreError> {
        self.open_for_writing()?;
        let last_id = LastId::lock(&self.place).map_err(|error| self.io(error))?;
        for tries in 0.. {
            let number = self.next_number(&last_id)?;
            let time = header.time.strftime("%Y%m%dT%H%M%SZ");
            header.id = format!("{number:04}-{time}");
            let path = self.place.join(format!("{}{SUFFIX}", header.id));
            let unfinished =
                self.place
                    .join(format!("{}.{tries}.{}{NEW}", header.id, std::process::id()));
            let file = match new_file(&unfinished) {
                // In another container, a process of this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| StoreError::Io {
                    path: unfinished.clone(),
                    source,
                })?,
            };
            match self.begin(&header, file, &unfinished, &path) {
                Ok(appender) => return Ok((appender, path)),
                // Nothing was done under it.
                Err(error) => {
                    let _ = std::fs::remove_file(&unfinished);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(StoreError::Io {
                            path,
                            source: error,
                        });
                    }
                    // Another run took the number; there is a next one.
                }
            }
        }
        Err(self.io(io::ErrorKind::AlreadyExists.into()))
    }

    /// A number that no journal had yet, and from now on none gets.
    fn next_number(&self, last_id: &LastId) -> Result<u64, StoreError> {
        let newest = self.files()?.last().map_or(0, |path| number_of(path));
        let io = |error| self.io(error);
        let last = newest.max(last_id.read().map_err(io)?);
        let used_up = || self.io(io::Error::other("all journal numbers are used up"));
        let number = last.checked_add(1).ok_or_else(used_up)?;
        last_id.raise(number).map_err(io)?;
        Ok(number)
    }

    fn begin(
        &self,
        header: &Header,
        file: File,
        unfinished: &Path,
        path: &Path,
    ) -> io::Result<Appender> {
        run_lock::claim(&file)?;
        let mut appender = Appender::new(file, 0, 0, NameCounts::default())?;
        let line = Record::Header(Box::new(header.clone()));
        appender.append(&line.to_bytes(), NameCounts::default())?;
        put_in_place(unfinished, path)?;
        File::open(&self.place)?.sync_all()?;
        Ok(appender)
    }

    /// Removes a file that `goes` says is of no more use, and still says so once no idshift is at work on it;
    /// whether it is gone.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(path: &Path, goes: impl Fn(&Path) -> bool) -> io::Result<bool> {
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
        let is_free = run_lock::claim(&file)? && goes(path);
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

fn new_file(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Gives a file its name, which nobody must have yet.
fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A filesystem that cannot: a link takes nobody's place either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        result => Ok(result?),
    }
}

/// The journal id in a file's name.
pub fn id_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)
}

/// How a journal is named on a command line: by its id where the program looks for it there anyway, else by
/// its path.
pub fn argument(journal: &Path) -> String {
    match (id_of(journal), journal.parent()) {
        (Some(id), Some(place)) if place == Path::new(DEFAULT_PLACE) => shell_word(Path::new(id)),
        _ => shell_word(journal),
    }
}

/// The number an id begins with; 0 for a file somebody named otherwise.
fn number_of(path: &Path) -> u64 {
    let id = id_of(path).unwrap_or_default();
    let digits = id.split('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Whether one of the two shows a part of the other by a bind mount.
fn is_bind_mount(ours: &Root, theirs: &Path) -> io::Result<bool> {
    let mounts = mountinfo::of_this_thread()?;
    let ours = SourcePath::of(ours.pin.as_fd(), &ours.path, &mounts)?;
    let theirs = SourcePath::of(PinnedFile::exactly(theirs)?.as_fd(), theirs, &mounts)?;
    Ok(ours
        .zip(theirs)
        .is_some_and(|(ours, theirs)| ours.meets(&theirs)))
}

/// Whether a tree of a journal and a tree that is asked for now hold one another.
fn covers(ours: &Root, theirs: &Path) -> bool {
    match root::ancestor_ids_of(theirs) {
        Ok(ancestor_ids) => {
            ours.overlaps(&ancestor_ids) || is_bind_mount(ours, theirs).unwrap_or(false)
        }
        // It is gone, or cannot be reached: only its path is left to go by.
        Err(_) => ours.path.starts_with(theirs) || theirs.starts_with(&ours.path),
    }
}
