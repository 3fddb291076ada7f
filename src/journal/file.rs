//! A journal read back, whole or torn.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use thiserror::Error;

use super::frame::{self, NextFrame};
use super::reader::{FileVersion, Reader, has_frame, split_lines};
use super::record::{self, DirLine, Header, Mark, MarkLine, NameCounts, Record};
use super::run_lock::{self, RunLock};
use super::store::argument;
use super::writer::Appender;
use super::{Step, Transition, safe_path};
use crate::fs::escape::{escaped, shell_word};

/// How far the run of a journal got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// Begun and not ended: interrupted, killed, or still running.
    Unfinished,
    /// Everything was done.
    Finished,
    /// A rollback was begun and not ended.
    Undoing,
    /// Rolled back.
    Undone,
}

impl JournalState {
    /// Whether the tree is between two states, so that nothing else may start on it.
    pub fn is_open(self) -> bool {
        matches!(self, JournalState::Unfinished | JournalState::Undoing)
    }
}

impl std::fmt::Display for JournalState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            JournalState::Unfinished => "unfinished",
            JournalState::Finished => "finished",
            JournalState::Undoing => "rollback unfinished",
            JournalState::Undone => "rolled back",
        })
    }
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// The journal file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error(
        "{path}: {reason}, so somebody else could have written it, and a rollback would do what it \
         says. If you know that it is genuine: chown it to the user that runs idshift, chmod it to 0600, and \
         keep it in a directory that nobody else can write to",
        path = escaped(path)
    )]
    NotTrusted {
        /// The journal file.
        path: PathBuf,
        /// What makes it so.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "{path}: is in format {format}; this idshift reads up to format {known}. Use the version that wrote it ({tool}) or a later one",
        path = escaped(path), known = record::FORMAT
    )]
    Newer {
        /// The journal file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// Who wrote it.
        tool: String,
    },
    /// A frame is damaged.
    #[error(
        "{path}: frame {frame} at byte {offset} is damaged: {reason}. The {frame} frames before it \
         are whole: `idshift rollback --up-to {frame} {word}` undoes just these",
        path = escaped(path), word = shell_word(path)
    )]
    Damaged {
        /// The journal file.
        path: PathBuf,
        /// Number of the frame, from 0: how many are whole before it.
        frame: u32,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Not even the header is there: nothing was done under this journal.
    #[error(
        "{path}: holds no whole header. The run ended before it changed anything; \
         `idshift journal prune --journal-dir {dir}` removes the file",
        path = escaped(path), dir = shell_word(safe_path::directory_of(path))
    )]
    Empty {
        /// The journal file.
        path: PathBuf,
    },
    /// Somebody went on with it.
    #[error(
        "{path}: another idshift is at work on it, or was since it was read; nothing was done. \
         `idshift journal show {word}` says how it stands",
        path = escaped(path), word = shell_word(path)
    )]
    GoneOn {
        /// The journal file.
        path: PathBuf,
    },
    /// It is no journal.
    #[error("{path}: is not a journal of idshift: {reason}", path = escaped(path))]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Where one frame lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLocation {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// It may name inodes.
    pub(super) inodes: bool,
}

/// A journal whose every frame has been read and found whole.
#[derive(Debug)]
pub struct Journal {
    /// The file.
    pub path: PathBuf,
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: JournalState,
    /// What it does besides changing owners, in order.
    pub steps: Vec<Step>,
    /// The turns of its life.
    pub marks: Vec<MarkLine>,
    /// Inodes it names.
    pub inodes: u64,
    /// Bytes of a last frame whose writing was cut short, and of unused room.
    pub tail_bytes: u64,
    /// Whether the tail is a torn frame.
    pub torn: bool,
    pub(super) file: File,
    pub(super) frames: Vec<FrameLocation>,
    pub(super) as_of: FileVersion,
    /// Only its first frames were asked for, and it has more.
    pub(super) is_cut: bool,
}

/// What a journal says of itself, without its changes: quickly read, however long it is.
#[derive(Debug)]
pub struct Outline {
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: JournalState,
    /// Whether there is anything that a resume could go on with.
    pub can_resume: bool,
}

impl Outline {
    /// How its run is ended, for people: commands that work. `None` where it is over.
    pub fn how_to_end(&self, path: &Path) -> Option<String> {
        let word = argument(path);
        match self.state {
            JournalState::Undoing => Some(format!(
                "Finish its rollback with `idshift rollback {word}` first"
            )),
            JournalState::Unfinished if self.can_resume => Some(format!(
                "Finish it with `idshift resume {word}` or undo it with `idshift rollback {word}` first"
            )),
            JournalState::Unfinished => {
                Some(format!("Undo it with `idshift rollback {word}` first"))
            }
            JournalState::Finished | JournalState::Undone => None,
        }
    }
}

/// What is told of a journal in a list.
#[derive(Debug)]
pub struct Overview {
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: JournalState,
    /// Inodes that the last turn left as they were.
    pub left: u64,
    /// What it names.
    pub named: NameCounts,
    /// Its frames.
    pub frames: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Whether a last frame was cut off.
    pub torn: bool,
}

impl Overview {
    pub(super) fn of(journal: &Journal, named: NameCounts, frames: u32, bytes: u64) -> Overview {
        Overview {
            state: journal.state,
            left: journal.left(),
            torn: journal.torn,
            header: journal.header.clone(),
            named,
            frames,
            bytes,
        }
    }
}

impl From<&Journal> for Overview {
    fn from(journal: &Journal) -> Overview {
        Overview::of(journal, journal.named(), journal.frames(), journal.bytes())
    }
}

/// One piece of a frame's content, in order.
pub enum Section {
    /// Defines or redefines a numbered change.
    Own(u32, Transition),
    /// Inodes of one directory.
    Dir(DirLine),
}

impl Journal {
    /// Opens a journal and reads it to its end. Nothing of it is acted on before all of it has
    /// been found whole, but for a torn last frame, which was never acted on.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::open_up_to(path, u32::MAX)
    }

    /// The same, of a file that is open for reading and writing: one that was removed meanwhile can
    /// still be undone.
    pub fn read_from(path: &Path, file: File) -> Result<Journal, JournalError> {
        Reader::of(path, file)?.up_to(u32::MAX)
    }

    /// Opens only the first `most` frames, for a journal that is damaged behind them.
    pub fn open_up_to(path: &Path, most: u32) -> Result<Journal, JournalError> {
        Reader::begin(path)?.up_to(most)
    }

    /// Reads the header and the last mark only. Damage between them goes unnoticed here.
    pub fn outline(path: &Path) -> Result<Outline, JournalError> {
        let mut reading = Reader::begin(path)?;
        reading.next_frame()?;
        reading.skim()?;
        let journal = reading.finish()?;
        Ok(Outline {
            state: journal.state,
            can_resume: journal.can_resume(),
            header: journal.header,
        })
    }

    /// What a list tells of it: from its header, the heads of its frames and its last frame, where that is a turn
    /// that says what it names; else all of it is read. What is not right between heads goes unnoticed here.
    pub fn overview(path: &Path) -> Result<Overview, JournalError> {
        let mut reading = Reader::begin(path)?;
        if reading.next_frame()?
            && let Some(overview) = reading.overview()?
        {
            return Ok(overview);
        }
        Journal::open(path).map(|journal| Overview::from(&journal))
    }

    /// What it names.
    pub fn named(&self) -> NameCounts {
        NameCounts {
            inodes: self.inodes,
            steps: self.steps.len() as u64,
        }
    }

    /// How many frames hold changes; the header's, number 0, is one that holds none.
    pub fn frames(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Whether a frame names inodes: one of steps or of a turn need not be read for them.
    pub fn names_inodes(&self, frame: u32) -> bool {
        self.frames[frame as usize].inodes
    }

    /// Inodes that the last turn left as they were.
    pub fn left(&self) -> u64 {
        self.marks.last().map_or(0, |line| line.left)
    }

    /// Whether an inode between both sides of its change may be so because of the run or its undoing: either
    /// has not ended, or failed over some. What was a conflict was not touched.
    pub fn may_be_half_done(&self) -> bool {
        let failed = |line: &MarkLine| line.left > line.conflicts;
        self.state.is_open() || self.marks.last().is_some_and(failed)
    }

    /// Whether the run came to where it changes something. One that lists all that is to be done first, and was cut
    /// short before that was on the disk, changed nothing.
    pub fn may_have_begun(&self) -> bool {
        !self.header.listed_first || self.has_mark(Mark::Listed)
    }

    /// Whether a resume can go on with it, as far as the journal says.
    pub fn can_resume(&self) -> bool {
        let walk = &self.header.walk;
        // Its first mark says that it knows all that is to be done.
        let is_known = !self.header.listed_first || !self.marks.is_empty();
        self.state == JournalState::Unfinished
            && is_known
            && !(walk.assume_unshifted && walk.cross_mounts)
    }

    /// Whether a mark of this kind was ever made.
    pub fn has_mark(&self, mark: Mark) -> bool {
        self.marks.iter().any(|line| line.mark == mark)
    }

    /// When the run began.
    pub fn time(&self) -> Timestamp {
        self.header.time
    }

    /// Bytes of whole frames.
    pub fn bytes(&self) -> u64 {
        self.frames
            .last()
            .map_or(0, |last| last.offset + u64::from(last.len))
    }

    /// The changes of one frame. Safe to call from several threads.
    pub fn read(&self, frame: u32) -> Result<Vec<Section>, JournalError> {
        let place = self.frames[frame as usize];
        let mut bytes = vec![0; place.len as usize];
        self.file
            .read_exact_at(&mut bytes, place.offset)
            .map_err(|source| JournalError::Io {
                path: self.path.clone(),
                source,
            })?;
        let damaged = |reason: String| JournalError::Damaged {
            path: self.path.clone(),
            frame,
            offset: place.offset,
            reason,
        };
        let lines = match frame::decode(frame, place.offset, &bytes) {
            Ok(NextFrame::Whole { lines, .. }) => lines,
            Ok(_) => return Err(damaged("it is not whole any more".into())),
            Err(error) => return Err(damaged(error.reason)),
        };
        let mut pieces = Vec::new();
        for text in split_lines(&lines) {
            match Record::parse(text).map_err(&damaged)? {
                Record::Own(own) => pieces.push(Section::Own(own.n, own.transition())),
                Record::Dir(dir) => pieces.push(Section::Dir(dir)),
                Record::Header(_) | Record::Step(_) | Record::Mark(_) => {}
            }
        }
        Ok(pieces)
    }

    /// That a frame, though whole, makes no sense.
    pub fn damaged(&self, frame: u32, reason: &str) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            frame,
            offset: self.frames[frame as usize].offset,
            reason: reason.to_string(),
        }
    }

    /// Opens the file for more frames behind the last whole one; what stands behind it goes. Whoever may
    /// write to a journal holds the lock of its trees ([`RunLock`]), and what the journal said before the
    /// lock was taken may not be all of it any more.
    ///
    /// Of a journal of which only the first frames were asked for, the whole one is kept ([`kept_whole`]).
    ///
    /// # Errors
    /// [`JournalError::GoneOn`]: it is not what it was when it was read, or another process has it open for
    /// more. Also when another file has its place now.
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
        if !run_lock::claim(&file).map_err(io)? {
            return Err(gone_on());
        }
        // Times can stand still for some milliseconds, so what was written is looked for too.
        let same = file.metadata().map_err(io)?;
        let more = !self.is_cut && has_frame(&file, self.frames(), self.bytes()).map_err(io)?;
        if FileVersion::of(&same) != self.as_of || more {
            return Err(gone_on());
        }
        if self.is_cut {
            let first = cut(&self.path, &file, self.bytes()).map_err(io)?;
            return self.append_to(first).map_err(io);
        }
        self.append_to(file).map_err(io)
    }

    /// The same, of its file that is open for writing already.
    pub fn append_to(&self, file: File) -> io::Result<Appender> {
        Appender::new(file, self.frames(), self.bytes(), self.named())
    }
}

/// Where a journal is kept as it was before a rollback of its first frames; `None` where there was none.
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

/// Puts a file of a journal's first frames in its place and keeps the whole one beside it, by the first name that
/// is free: frames behind a damaged one say what owners were, and nothing else does. What stands behind the first
/// frames is not read: the disk may not give it.
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
            .and_then(|()| run_lock::claim(&new))
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
