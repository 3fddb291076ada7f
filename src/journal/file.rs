//! A journal read back, whole or torn.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{Damage, JournalError};
use super::file_version::FileVersion;
use super::frame::{self, NextFrame};
use super::id::argument;
use super::record::{DirLine, Header, Mark, MarkLine, NameCounts, Record, split_lines};
use super::state::JournalState;
use super::step::{COPY, Step, StepPath};
use super::transition::Transition;

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
    /// Its marks, in order.
    pub marks: Vec<MarkLine>,
    /// Inodes it names.
    pub inodes: u64,
    /// Bytes of a last frame whose writing was cut short, and of unused space.
    pub tail_bytes: u64,
    /// Whether the tail is a torn frame.
    pub torn: bool,
    pub(super) file: File,
    pub(super) frames: Vec<FrameLocation>,
    pub(super) as_of: FileVersion,
    /// Only its first frames were read, and the file has more.
    pub(super) is_cut: bool,
}

/// Header and state of a journal, without its changes. Quick to read, whatever its length.
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
    /// The commands that end its run, for people. `None` if the run has ended.
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

/// What `journal list` shows of a journal.
#[derive(Debug)]
pub struct Overview {
    /// What the run was asked to do.
    pub header: Header,
    /// How far it got.
    pub state: JournalState,
    /// Inodes that the last mark counts as left.
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

    /// Whether a frame can name inodes. Frames of steps and marks do not.
    pub fn names_inodes(&self, frame: u32) -> bool {
        self.frames[frame as usize].inodes
    }

    /// Inodes that the last mark counts as left.
    pub fn left(&self) -> u64 {
        self.marks.last().map_or(0, |line| line.left)
    }

    /// Whether the run or its rollback can have left an inode in a partial state: one of them has
    /// not ended, or failed for some inodes. Conflicts were not changed.
    pub fn may_be_half_done(&self) -> bool {
        let failed = |line: &MarkLine| line.left > line.conflicts;
        self.state.is_open() || self.marks.last().is_some_and(failed)
    }

    /// Whether the run can have changed something. A run that journals everything first, and ended
    /// before that was durable, changed nothing.
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
            && (self.header.listed_first || !walk.assume_unshifted)
    }

    /// Whether a mark of this kind was ever made.
    pub fn has_mark(&self, mark: Mark) -> bool {
        self.marks.iter().any(|line| line.mark == mark)
    }

    /// Whether what the run moved was a copy, made for it in its first tree: what it was a copy of is as it was.
    pub fn is_of_copy(&self) -> bool {
        let is_copy = |at: &StepPath| match &at.path[..] {
            [name] => name.0.starts_with(COPY.as_bytes()),
            _ => false,
        };
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::RemoveDir { at, .. } if is_copy(at)))
    }

    /// Whether the run takes trees away from a user.
    pub fn takes_over(&self) -> bool {
        self.header.unchanged_since.is_some()
    }

    /// When what was carried began to be a user's, or what was taken from one root's daemon's, where it may be so still: from
    /// then on they may have changed it.
    pub fn handed_over(&self) -> Option<Timestamp> {
        let first = |mark| self.marks.iter().find(|line| line.mark == mark);
        let mark = first(Mark::HandingOver)?;
        (!self.has_mark(Mark::TakenBack)).then_some(mark.time)
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
        let lines = match frame::decode(frame, place.offset, &bytes) {
            Ok(NextFrame::Whole { lines, .. }) => lines,
            Ok(_) => return Err(self.damaged(frame, Damage::NotWholeAnyMore)),
            Err(error) => return Err(self.damaged(frame, error)),
        };
        let mut pieces = Vec::new();
        for text in split_lines(&lines) {
            match Record::parse(text).map_err(|error| self.damaged(frame, error))? {
                Record::Own(own) => pieces.push(Section::Own(own.n, own.transition())),
                Record::Dir(dir) => pieces.push(Section::Dir(dir)),
                Record::Header(_) | Record::Step(_) | Record::Mark(_) => {}
            }
        }
        Ok(pieces)
    }

    /// The error for a frame that is complete but inconsistent.
    pub fn damaged(&self, frame: u32, reason: impl Into<Damage>) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            frame,
            offset: self.frames[frame as usize].offset,
            reason: reason.into(),
        }
    }
}
