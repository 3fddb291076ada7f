//! A new journal in its directory.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use super::claim::claim;
use super::error::StoreError;
use super::id::{SUFFIX, number_of};
use super::last_id::LastId;
use super::record::{Header, NameCounts, Record};
use super::run_lock::RunLock;
use super::store::{NEW, Store};
use super::writer::Appender;

/// The journal number cannot be increased any more.
#[derive(Debug, Error)]
#[error("all journal numbers are used up")]
struct NumbersUsedUp;

impl Store {
    /// Begins a journal under a new id, for a run that holds the lock of its trees. Its file has a
    /// temporary name until the header is durable, so every visible journal has its header.
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

    /// Reserves a number that no journal has had.
    fn next_number(&self, last_id: &LastId) -> Result<u64, StoreError> {
        let newest = self.files()?.last().map_or(0, |path| number_of(path));
        let io = |error| self.io(error);
        let last = newest.max(last_id.read().map_err(io)?);
        let used_up = || self.io(io::Error::other(NumbersUsedUp));
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
        claim(&file)?;
        let mut appender = Appender::new(file, 0, 0, NameCounts::default())?;
        let line = Record::Header(Box::new(header.clone()));
        appender.append(&line.to_bytes(), NameCounts::default())?;
        put_in_place(unfinished, path)?;
        File::open(&self.place)?.sync_all()?;
        Ok(appender)
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

/// Renames a file to its final name, which must not exist yet.
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
