//! Reading a journal frame by frame.

mod find_frame;
mod frame_content;

use std::fs::File;
use std::path::Path;

use self::frame_content::FrameContent;
use super::error::{Damage, JournalError};
use super::file::{FrameLocation, Journal, Outline, Overview};
use super::file_version::FileVersion;
use super::frame::NextFrame;
use super::line_error::LineError;
use super::record::{Header, Mark, MarkLine};
use super::safe_path::{self, Distrust};
use super::state::JournalState;
use super::step::Step;

impl Journal {
    /// Opens a journal and checks it to its end, so that nothing of a damaged one is acted on. A
    /// torn last frame is ignored: nothing in it was done.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        FrameReader::begin(path)?.up_to(u32::MAX)
    }

    /// Reads a journal from a file that is open for reading and writing, so that one that was removed
    /// meanwhile can still be undone.
    pub fn read_from(path: &Path, file: File) -> Result<Journal, JournalError> {
        FrameReader::of(path, file)?.up_to(u32::MAX)
    }

    /// Opens only the first `most` frames, for a journal that is damaged after them.
    ///
    /// # Errors
    /// Also if there is no change in them, if the damage is in them, or if nothing is damaged: what follows would be
    /// forgotten.
    pub fn open_up_to(path: &Path, most: u32) -> Result<Journal, JournalError> {
        let (path_buf, asked) = (path.to_path_buf(), most);
        // The first is the header.
        if most < 2 {
            let path = path_buf;
            return Err(JournalError::NoChangesUpTo { path, asked });
        }
        match Journal::open(path) {
            Err(JournalError::Damaged { frame, .. }) if most <= frame => {
                FrameReader::begin(path)?.up_to(most)
            }
            Ok(whole) => Err(JournalError::NotDamaged {
                path: path_buf,
                frames: whole.frames(),
                asked,
            }),
            Err(error) => Err(error),
        }
    }

    /// Reads only the header and the last mark. Damage between them is not detected.
    pub fn outline(path: &Path) -> Result<Outline, JournalError> {
        let mut reading = FrameReader::begin(path)?;
        reading.next_frame()?;
        reading.skim()?;
        let journal = reading.finish()?;
        Ok(Outline {
            state: journal.state,
            can_resume: journal.can_resume(),
            header: journal.header,
        })
    }

    /// The entry of `journal list`: from the header, the frame heads and the last frame, if that is
    /// a mark; else the whole journal is read. Damage between the heads is not detected.
    pub fn overview(path: &Path) -> Result<Overview, JournalError> {
        let mut reading = FrameReader::begin(path)?;
        if reading.next_frame()?
            && let Some(overview) = reading.overview()?
        {
            return Ok(overview);
        }
        Journal::open(path).map(|journal| Overview::from(&journal))
    }
}

/// A journal while it is being read.
pub(super) struct FrameReader<'a> {
    path: &'a Path,
    file: File,
    as_of: FileVersion,
    length: u64,
    offset: u64,
    frames: Vec<FrameLocation>,
    header: Option<Header>,
    steps: Vec<Step>,
    marks: Vec<MarkLine>,
    inodes: u64,
    torn: bool,
    is_cut: bool,
}

impl<'a> FrameReader<'a> {
    pub(super) fn begin(path: &'a Path) -> Result<FrameReader<'a>, JournalError> {
        let io = |source| JournalError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = safe_path::open(path).map_err(|distrust| match distrust {
            Distrust::Reason(reason) => JournalError::NotTrusted {
                path: path.to_path_buf(),
                reason,
            },
            Distrust::Io(source) => io(source),
        })?;
        FrameReader::of(path, file)
    }

    pub(super) fn of(path: &'a Path, file: File) -> Result<FrameReader<'a>, JournalError> {
        let metadata = file.metadata().map_err(|source| JournalError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(FrameReader {
            path,
            as_of: FileVersion::of(&metadata),
            length: metadata.len(),
            file,
            offset: 0,
            frames: Vec::new(),
            header: None,
            steps: Vec::new(),
            marks: Vec::new(),
            inodes: 0,
            torn: false,
            is_cut: false,
        })
    }

    /// Skips from head to head to the last complete frame, and reads only that one. A mark has a
    /// frame of its own, so a last frame of changes means that the run was in progress.
    pub(super) fn skim(&mut self) -> Result<(), JournalError> {
        for (number, place) in self.frames_ahead().into_iter().enumerate().rev() {
            let number = (self.frames.len() + number) as u32;
            self.offset = place.offset;
            if let Ok(NextFrame::Whole { lines, .. }) = self.find_frame(number)? {
                let content = self.content(number, &lines)?;
                self.marks.extend(content.marks);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The list entry, if the last frame has all of it and nothing but a torn frame follows.
    pub(super) fn overview(mut self) -> Result<Option<Overview>, JournalError> {
        let places = self.frames_ahead();
        let Some(last) = places.last() else {
            return Ok(None);
        };
        let number = (self.frames.len() + places.len() - 1) as u32;
        self.offset = last.offset;
        let Ok(NextFrame::Whole { lines, .. }) = self.find_frame(number)? else {
            return Ok(None);
        };
        let content = self.content(number, &lines)?;
        let Some(named) = content.marks.last().map(|mark| mark.named) else {
            return Ok(None);
        };
        let end = last.offset + u64::from(last.len);
        self.marks = content.marks;
        self.offset = end;
        match self.find_frame(number + 1)? {
            Ok(NextFrame::End) => {}
            Ok(NextFrame::Torn) => self.torn = true,
            Ok(NextFrame::Whole { .. }) | Err(_) => return Ok(None),
        }
        Ok(Some(Overview::of(&self.finish()?, named, number + 1, end)))
    }

    /// Reads to the end, or the first `most` frames.
    pub(super) fn up_to(mut self, most: u32) -> Result<Journal, JournalError> {
        let mut more = true;
        while more && self.frames.len() < most as usize {
            more = self.next_frame()?;
        }
        self.is_cut = more;
        self.finish()
    }

    /// The next frame was found whole.
    fn take(&mut self, place: FrameLocation, content: FrameContent) {
        let inodes = content.inodes > 0;
        self.header = self.header.take().or(content.header);
        self.steps.extend(content.steps);
        self.marks.extend(content.marks);
        self.inodes += content.inodes;
        self.offset = place.offset + u64::from(place.len);
        self.frames.push(FrameLocation { inodes, ..place });
    }

    /// Reads one more frame; `false` at the end.
    pub(super) fn next_frame(&mut self) -> Result<bool, JournalError> {
        let number = self.frames.len() as u32;
        match self.find_frame(number)? {
            Ok(NextFrame::Whole { lines, len }) => {
                let content = self.content(number, &lines)?;
                let (offset, len) = (self.offset, len as u32);
                let inodes = true;
                self.take(
                    FrameLocation {
                        offset,
                        len,
                        inodes,
                    },
                    content,
                );
                Ok(true)
            }
            Ok(NextFrame::End) => Ok(false),
            Ok(NextFrame::Torn) => {
                self.torn = true;
                Ok(false)
            }
            // A file that does not even begin like a journal is some other file.
            Err(error) if number == 0 => Err(JournalError::NotAJournal {
                path: self.path.to_path_buf(),
                reason: error.into(),
            }),
            Err(error) => Err(self.damaged(number, error)),
        }
    }

    fn damaged(&self, frame: u32, reason: impl Into<Damage>) -> JournalError {
        JournalError::Damaged {
            path: self.path.to_path_buf(),
            frame,
            offset: self.offset,
            reason: reason.into(),
        }
    }

    /// The error for a complete frame with wrong content.
    fn wrong(&self, number: u32, reason: LineError) -> JournalError {
        match number {
            0 => JournalError::NotAJournal {
                path: self.path.to_path_buf(),
                reason: reason.into(),
            },
            _ => self.damaged(number, reason),
        }
    }

    pub(super) fn finish(self) -> Result<Journal, JournalError> {
        let Some(header) = self.header else {
            return Err(JournalError::Empty {
                path: self.path.to_path_buf(),
            });
        };
        let state = match self.marks.last().map(|line| line.mark) {
            None
            | Some(
                Mark::Listed
                | Mark::Stepping
                | Mark::HandingOver
                | Mark::TakenOver
                | Mark::Interrupted
                | Mark::Resumed,
            ) => JournalState::Unfinished,
            Some(Mark::Finished) => JournalState::Finished,
            Some(Mark::Undoing | Mark::TakenBack) => JournalState::Undoing,
            Some(Mark::Undone) => JournalState::Undone,
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
            as_of: self.as_of,
            is_cut: self.is_cut,
        })
    }
}
