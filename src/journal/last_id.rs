//! The highest number that a journal of a directory ever had: none is given to a second run, also when the
//! first one's journal was removed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// The file with the number, in decimal.
const NAME: &str = "last-id";

/// The number, locked until dropped: no other process reads or changes it.
pub(super) struct LastId {
    place: PathBuf,
    _lock: File,
}

impl LastId {
    /// Waits for the journal directory's lock (`flock(2)`). On a filesystem without locks, other
    /// processes are not kept out.
    pub(super) fn lock(place: &Path) -> io::Result<LastId> {
        let dir = File::open(place)?;
        loop {
            match rustix::fs::flock(&dir, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                Ok(())
                | Err(
                    Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF | Errno::INVAL,
                ) => {
                    return Ok(LastId {
                        place: place.to_path_buf(),
                        _lock: dir,
                    });
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The number; 0 if there was no journal yet.
    ///
    /// # Errors
    /// Also if the file does not hold a number: a guess could use a number twice.
    pub(super) fn read(&self) -> io::Result<u64> {
        let path = self.place.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            text => text?,
        };
        text.trim().parse().map_err(|_| {
            let what = format!(
                "{} does not hold a number. Write the highest number that a journal ever had into it",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    /// Makes it at least `number`, durably.
    pub(super) fn raise(&self, number: u64) -> io::Result<()> {
        if self.read()? >= number {
            return Ok(());
        }
        let new = self.place.join(format!("{NAME}.tmp"));
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        std::fs::rename(new, self.place.join(NAME))?;
        File::open(&self.place)?.sync_all()
    }
}
