//! A journal read back, whole or torn.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

use super::frame::{self, Damaged, Found, HEAD};
use super::line::{self, DirLine, Header, Line, Mark, MarkLine};
use super::trust::{self, Distrust};
use super::writer::Appender;
use super::{Step, Transition};
use crate::fs::shown::shown;

/// How far the run of a journal got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Begun and not ended: interrupted, killed, or still running.
    Unfinished,
    /// Everything was done.
    Finished,
    /// A rollback was begun and not ended.
    Undoing,
    /// Rolled back.
    Undone,
}

impl State {
    /// Whether the tree is between two states, so that nothing else may start on it.
    pub fn is_open(self) -> bool {
        matches!(self, State::Unfinished | State::Undoing)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Unfinished => "unfinished",
            State::Finished => "finished",
            State::Undoing => "rollback unfinished",
            State::Undone => "rolled back",
        })
    }
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = shown(path))]
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
        path = shown(path)
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
        path = shown(path), known = line::FORMAT
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
         are whole: --up-to {frame} acts on just these",
        path = shown(path)
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
        "{path}: holds no whole header. The run ended before it changed anything; `idshift journal prune` removes the file",
        path = shown(path)
    )]
    Empty {
        /// The journal file.
        path: PathBuf,
    },
    /// It is no journal.
    #[error("{path}: is not a journal of idshift: {reason}", path = shown(path))]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Where one frame lies in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    len: u32,
}

/// A journal whose every frame has been read and found whole.
#[derive(Debug)]
pub struct Journal {
    /// The file.
    pub path: PathBuf,
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: State,
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
    file: File,
    frames: Vec<Place>,
}

/// What a journal says of itself, without its changes: quickly read, however long it is.
#[derive(Debug)]
pub struct Outline {
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: State,
    /// Inodes that the last turn left as they were.
    pub left: u64,
}

/// One piece of a frame's content, in order.
pub enum Piece {
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
        let mut reading = Reading::of(path, file)?;
        while reading.next_frame()? {}
        reading.finish()
    }

    /// Opens only the first `most` frames, for a journal that is damaged behind them.
    pub fn open_up_to(path: &Path, most: u32) -> Result<Journal, JournalError> {
        let mut reading = Reading::begin(path)?;
        while reading.frames.len() < most as usize && reading.next_frame()? {}
        reading.finish()
    }

    /// Reads the header and the last mark only. Damage between them goes unnoticed here.
    pub fn outline(path: &Path) -> Result<Outline, JournalError> {
        let mut reading = Reading::begin(path)?;
        reading.next_frame()?;
        reading.skim()?;
        let journal = reading.finish()?;
        Ok(Outline {
            state: journal.state,
            left: journal.left(),
            header: journal.header,
        })
    }

    /// How many frames hold changes; the header's, number 0, is one that holds none.
    pub fn frames(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Inodes that the last turn left as they were.
    pub fn left(&self) -> u64 {
        self.marks.last().map_or(0, |line| line.left)
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
    pub fn read(&self, frame: u32) -> Result<Vec<Piece>, JournalError> {
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
            Ok(Found::Whole { lines, .. }) => lines,
            Ok(_) => return Err(damaged("it is not whole any more".into())),
            Err(error) => return Err(damaged(error.reason)),
        };
        let mut pieces = Vec::new();
        for text in split_lines(&lines) {
            match Line::parse(text).map_err(&damaged)? {
                Line::Own(own) => pieces.push(Piece::Own(own.n, own.transition())),
                Line::Dir(dir) => pieces.push(Piece::Dir(dir)),
                Line::Header(_) | Line::Step(_) | Line::Mark(_) => {}
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

    /// Opens the file for more frames behind the last whole one.
    ///
    /// # Errors
    /// Also when another file has its place now.
    pub fn append(&self) -> io::Result<Appender> {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&self.path)?;
        let (read, found) = (self.file.metadata()?, file.metadata()?);
        if (read.dev(), read.ino()) != (found.dev(), found.ino()) {
            return Err(rustix::io::Errno::STALE.into());
        }
        self.append_to(file)
    }

    /// The same, of its file that is open for writing already.
    pub fn append_to(&self, file: File) -> io::Result<Appender> {
        Appender::new(file, self.frames(), self.bytes())
    }
}

/// The lines of some text, without their newlines.
fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// What the lines of one frame must agree on.
#[derive(Default)]
struct FrameCheck {
    owns: HashSet<u32>,
    depth: usize,
}

impl FrameCheck {
    fn own(&mut self, n: u32) {
        self.owns.insert(n);
    }

    fn dir(&mut self, line: &DirLine, roots: usize) -> Result<(), String> {
        if line.root >= roots {
            return Err(format!("dir line: there is no root {}", line.root));
        }
        if line.keep > self.depth {
            let (keep, depth) = (line.keep, self.depth);
            return Err(format!("dir line: it keeps {keep} names of {depth}"));
        }
        if let Some(own) = line.owns.iter().find(|own| !self.owns.contains(own)) {
            return Err(format!("dir line: there is no change {own}"));
        }
        self.depth = line.keep + line.path.len();
        Ok(())
    }
}

/// A journal while it is being read.
struct Reading<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    offset: u64,
    frames: Vec<Place>,
    header: Option<Header>,
    steps: Vec<Step>,
    marks: Vec<MarkLine>,
    inodes: u64,
    torn: bool,
}

impl<'a> Reading<'a> {
    fn begin(path: &'a Path) -> Result<Reading<'a>, JournalError> {
        let io = |source| JournalError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = trust::open(path).map_err(|distrust| match distrust {
            Distrust::Reason(reason) => JournalError::NotTrusted {
                path: path.to_path_buf(),
                reason,
            },
            Distrust::Io(source) => io(source),
        })?;
        Reading::of(path, file)
    }

    fn of(path: &'a Path, file: File) -> Result<Reading<'a>, JournalError> {
        let metadata = file.metadata().map_err(|source| JournalError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Reading {
            path,
            length: metadata.len(),
            file,
            offset: 0,
            frames: Vec::new(),
            header: None,
            steps: Vec::new(),
            marks: Vec::new(),
            inodes: 0,
            torn: false,
        })
    }

    /// Goes from head to head to the last frame that is whole, and reads only that: a turn has a
    /// frame of its own, so a last frame of changes means that the run was going on.
    fn skim(&mut self) -> Result<(), JournalError> {
        let mut places = Vec::new();
        let mut offset = self.offset;
        while offset + HEAD as u64 <= self.length {
            let head = self.bytes_at(offset, HEAD as u64)?;
            let Some((_, len)) = frame::read_head(&head) else {
                break;
            };
            places.push((self.frames.len() + places.len(), offset));
            offset += (HEAD + len) as u64;
        }
        for (number, offset) in places.into_iter().rev() {
            self.offset = offset;
            if let Ok(Found::Whole { lines, .. }) = self.find_frame(number as u32)? {
                return self.lines(number as u32, &lines);
            }
        }
        Ok(())
    }

    /// Reads one more frame; `false` at the end.
    fn next_frame(&mut self) -> Result<bool, JournalError> {
        let number = self.frames.len() as u32;
        match self.find_frame(number)? {
            Ok(Found::Whole { lines, len }) => {
                self.lines(number, &lines)?;
                self.frames.push(Place {
                    offset: self.offset,
                    len: len as u32,
                });
                self.offset += len as u64;
                Ok(true)
            }
            Ok(Found::End) => Ok(false),
            Ok(Found::Torn) => {
                self.torn = true;
                Ok(false)
            }
            // A file that does not even begin like a journal is some other file.
            Err(error) if number == 0 => Err(JournalError::NotAJournal {
                path: self.path.to_path_buf(),
                reason: error.reason,
            }),
            Err(error) => Err(self.damaged(number, error.reason)),
        }
    }

    /// Looks at the frame that should begin here: at no more bytes than its head says, and where it
    /// is not whole, at whether anything stands behind it.
    fn find_frame(&self, number: u32) -> Result<Result<Found, Damaged>, JournalError> {
        // More than a frame that was cut off has behind it of room set aside.
        const BEHIND: u64 = 64 << 20;
        let rest = self.length - self.offset;
        let head = self.bytes(rest.min(HEAD as u64))?;
        let len = frame::read_head(&head).map_or(0, |(_, len)| len as u64);
        let frame_len = HEAD as u64 + len;
        if len > 0 && frame_len <= rest {
            let whole = frame::decode(number, self.offset, &self.bytes(frame_len)?);
            if let Ok(Found::Whole { .. }) = whole {
                return Ok(whole);
            }
        }
        let seen = self.bytes(rest.min(frame_len + BEHIND))?;
        Ok(frame::decode(number, self.offset, &seen))
    }

    fn bytes(&self, len: u64) -> Result<Vec<u8>, JournalError> {
        self.bytes_at(self.offset, len)
    }

    fn bytes_at(&self, offset: u64, len: u64) -> Result<Vec<u8>, JournalError> {
        let mut bytes = vec![0; len as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| JournalError::Io {
                path: self.path.to_path_buf(),
                source,
            })?;
        Ok(bytes)
    }

    fn damaged(&self, frame: u32, reason: String) -> JournalError {
        JournalError::Damaged {
            path: self.path.to_path_buf(),
            frame,
            offset: self.offset,
            reason,
        }
    }

    /// A frame is whole and does not hold what it should.
    fn wrong(&self, number: u32, reason: String) -> JournalError {
        match number {
            0 => JournalError::NotAJournal {
                path: self.path.to_path_buf(),
                reason,
            },
            _ => self.damaged(number, reason),
        }
    }

    fn lines(&mut self, number: u32, lines: &[u8]) -> Result<(), JournalError> {
        let mut frame = FrameCheck::default();
        for text in split_lines(lines) {
            if number == 0 && self.header.is_none() {
                self.check_format(text)?;
            }
            let line = Line::parse(text).map_err(|reason| self.wrong(number, reason))?;
            match line {
                Line::Header(header) if self.header.is_none() => {
                    header
                        .check()
                        .map_err(|reason| self.wrong(number, reason))?;
                    self.header = Some(*header);
                }
                Line::Header(_) => return Err(self.damaged(number, "a second header".into())),
                Line::Own(own) => frame.own(own.n),
                Line::Dir(dir) => {
                    frame
                        .dir(&dir, self.roots())
                        .map_err(|reason| self.damaged(number, reason))?;
                    self.inodes += dir.names.len() as u64;
                }
                Line::Step(step) => {
                    step.check(self.roots())
                        .map_err(|reason| self.damaged(number, reason))?;
                    self.steps.push(*step);
                }
                Line::Mark(mark) => self.marks.push(mark),
            }
        }
        Ok(())
    }

    fn roots(&self) -> usize {
        self.header.as_ref().map_or(0, |header| header.roots.len())
    }

    /// Looks at the version alone, before the rest, which a later version may have changed.
    fn check_format(&self, text: &[u8]) -> Result<(), JournalError> {
        let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
        match value["format"].as_u64() {
            Some(format) if format > u64::from(line::FORMAT) => Err(JournalError::Newer {
                path: self.path.to_path_buf(),
                format,
                tool: value["tool"].as_str().unwrap_or("unknown").to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Journal, JournalError> {
        let Some(header) = self.header else {
            return Err(JournalError::Empty {
                path: self.path.to_path_buf(),
            });
        };
        let state = match self.marks.last().map(|line| line.mark) {
            None | Some(Mark::Listed | Mark::Stepping | Mark::Interrupted | Mark::Resumed) => {
                State::Unfinished
            }
            Some(Mark::Finished) => State::Finished,
            Some(Mark::Undoing) => State::Undoing,
            Some(Mark::Undone) => State::Undone,
        };
        Ok(Journal {
            path: self.path.to_path_buf(),
            header,
            state,
            steps: self.steps,
            marks: self.marks,
            inodes: self.inodes,
            tail_bytes: self.length - self.offset,
            torn: self.torn,
            frames: self.frames,
            file: self.file,
        })
    }
}
