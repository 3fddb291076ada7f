//! Going on with a journal that was read: more frames behind its last one.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::claim::claim;
use super::error::JournalError;
use super::file::Journal;
use super::file_version::FileVersion;
use super::frame;
use super::run_lock::RunLock;
use super::safe_path;
use super::writer::Appender;

impl Journal {
    /// Opens the file to append frames after the last complete one, and truncates what follows it.
    /// The caller holds the lock of the trees ([`RunLock`]). Another run may have appended to the
    /// journal before that lock was taken.
    ///
    /// If only the first frames of a journal were opened, the complete file is kept
    /// ([`kept_whole`]).
    ///
    /// # Errors
    /// [`JournalError::GoneOn`]: the file has changed since it was read, another process has it
    /// open for appending, or another file is at its path.
    pub fn append(&self, _lock: &RunLock) -> Result<Appender, JournalError> {
        let io = |source| JournalError::Io {
            path: self.path.clone(),
            source,
        };
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&self.path)
            .map_err(io)?;
        let gone_on = || JournalError::GoneOn {
            path: self.path.clone(),
        };
        if !claim(&file).map_err(io)? {
            return Err(gone_on());
        }
        // Times can stand still for some milliseconds, so what was written is looked for too.
        let same = file.metadata().map_err(io)?;
        let more = !self.is_cut
            && frame::has_whole_frame(&file, self.frames(), self.bytes()).map_err(io)?;
        if FileVersion::of(&same) != self.as_of || more {
            return Err(gone_on());
        }
        if self.is_cut {
            let first = cut(&self.path, &file, self.bytes()).map_err(io)?;
            return self.append_to(first).map_err(io);
        }
        self.append_to(file).map_err(io)
    }

    /// Appends to this journal through a file that is open for writing already.
    pub fn append_to(&self, file: File) -> io::Result<Appender> {
        Appender::new(file, self.frames(), self.bytes(), self.named())
    }
}

/// The path of the complete journal that a rollback of its first frames keeps; `None` if there is
/// none.
pub fn kept_whole(path: &Path) -> Option<PathBuf> {
    let names = (1..).map(|n| whole_name(path, n));
    names.take_while(|name| name.exists()).last()
}

fn whole_name(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".whole");
    if n > 1 {
        name.push(n.to_string());
    }
    name.into()
}

/// Replaces the journal by a file with its first frames, and keeps the complete file beside it
/// under the first free name: the frames after a damaged one are the only record of their owners.
/// What follows the first frames is not read, because the disk may not be able to read it.
fn cut(path: &Path, journal: &File, bytes: u64) -> io::Result<File> {
    for n in 1.. {
        let whole = whole_name(path, n);
        let made = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&whole);
        let mut new = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        let mut first = journal.try_clone()?;
        first.rewind()?;
        let put = io::copy(&mut first.take(bytes), &mut new)
            .and_then(|_| new.sync_all())
            .and_then(|()| claim(&new))
            .and_then(|_| {
                Ok(renameat_with(
                    CWD,
                    &whole,
                    CWD,
                    path,
                    RenameFlags::EXCHANGE,
                )?)
            });
        if let Err(error) = put {
            let _ = std::fs::remove_file(&whole);
            return Err(error);
        }
        File::open(safe_path::directory_of(path))?.sync_all()?;
        return Ok(new);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
