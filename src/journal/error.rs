//! Why a journal, or the directory of journals, cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::frame;
use super::id::DEFAULT_PLACE;
use super::line_error::LineError;
use super::record::NewerFormat;
use super::safe_path;
use super::state::JournalState;
use crate::fs::escape::{escaped, one_line, shell_word};
use crate::guidance::Guidance;

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{path}: {source}{}", space_hint(source, path), path = escaped(path))]
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
    #[error("{path}: {newer}", path = escaped(path))]
    Newer {
        /// The journal file.
        path: PathBuf,
        /// Its format.
        newer: NewerFormat,
    },
    /// A frame is damaged.
    #[error(
        "{path}: frame {frame} at byte {offset} is damaged: {reason}. {}",
        what_stands_before(*.frame, path), path = escaped(path)
    )]
    Damaged {
        /// The journal file.
        path: PathBuf,
        /// Number of the frame, from 0: how many are whole before it.
        frame: u32,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: Damage,
    },
    /// The first so many frames are asked for, and there is no change in them.
    #[error(
        "{path}: its first frame is the header, which names no change, so there is nothing to undo in the first {asked}. \
        Nothing was done. {}",
        Guidance::FramesToUndo, path = escaped(path)
    )]
    NoChangesUpTo {
        /// The journal file.
        path: PathBuf,
        /// How many frames were asked for.
        asked: u32,
    },
    /// The first so many frames are asked for, and nothing is wrong with the others.
    #[error(
        "{path}: is not damaged: all of its {frames} frames are complete, and undoing only the first {asked} frames would lose \
        the record of the other changes. Nothing was done. {}",
        Guidance::Rollback(&shell_word(path)), path = escaped(path)
    )]
    NotDamaged {
        /// The journal file.
        path: PathBuf,
        /// How many frames it has.
        frames: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// Not even the header is there: nothing was done under this journal.
    #[error(
        "{path}: has no complete header. The run ended before it changed anything; \
         {}",
        Guidance::PruneJournals(&shell_word(safe_path::directory_of(path))), path = escaped(path)
    )]
    Empty {
        /// The journal file.
        path: PathBuf,
    },
    /// Another process has written to it since it was read.
    #[error(
        "{path}: another idshift is working on it, or has written to it since it was read. Nothing was done. \
        `idshift journal show {word}` shows its state",
        path = escaped(path), word = shell_word(path)
    )]
    GoneOn {
        /// The journal file.
        path: PathBuf,
    },
    /// It is not a journal.
    #[error("{path}: is not a journal of idshift: {reason}", path = escaped(path))]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: Damage,
    },
}

/// What a journal that is damaged behind so many frames is good for.
fn what_stands_before(frames: u32, path: &Path) -> String {
    match frames {
        0 | 1 => format!(
            "Before it there is only the header, which names no change, so nothing can be undone with this journal. {}",
            Guidance::IsShifted
        ),
        _ => format!(
            "The {frames} frames before it are complete: {}",
            Guidance::UndoWholeFrames(frames, &shell_word(path))
        ),
    }
}

/// What helps where the journal's filesystem is full.
fn space_hint(source: &io::Error, path: &Path) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            ". This needs some KiB for the journal. Make room there, or move it to another filesystem \
             (`mv {} /root/`) and name it by its path there",
            shell_word(path)
        ),
        _ => String::new(),
    }
}

/// What is wrong with a frame of a journal, or with what it says.
#[derive(Debug, Error)]
pub enum Damage {
    /// The bytes of the frame.
    #[error(transparent)]
    Frame(#[from] frame::Damaged),
    /// A line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It was whole when the journal was opened.
    #[error("it is not complete any more")]
    NotWholeAnyMore,
    /// A line names what no line before it defines.
    #[error("it names a root or a change that it does not define")]
    Undefined,
}

/// Why the journal directory, or a journal in it, cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be made, read or written.
    #[error("{path}: {source}. {}", Guidance::OtherJournalDir, path = escaped(path))]
    Io {
        /// The directory or the journal file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could write in it.
    #[error(
        "{path}: {reason}, so others could put journals there. {}",
        Guidance::PrivateJournalDir(&shell_word(path)), path = escaped(path)
    )]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What makes it so.
        reason: String,
    },
    /// It lies in a tree that is to be shifted.
    #[error(
        "{path}: the journal directory lies inside {tree}, which is to be shifted. {}",
        Guidance::OtherJournalDir, path = escaped(path), tree = escaped(tree)
    )]
    InsideTree {
        /// The directory.
        path: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// No journal has this name.
    #[error(
        "no journal {name} in {path}; {}",
        Guidance::ListJournals(&shell_word(path)), name = escaped(name), path = escaped(path)
    )]
    NoSuchJournal {
        /// What was asked for.
        name: PathBuf,
        /// The directory.
        path: PathBuf,
    },
    /// A number that several journals have.
    #[error("{name} could be any of {ids}. Name it by its full id", name = escaped(name), ids = one_line(ids))]
    Ambiguous {
        /// What was asked for.
        name: PathBuf,
        /// Their ids.
        ids: String,
    },
    /// The directory that was named is not there.
    #[error(
        "{path}: there is no such journal directory. {}; the default is {DEFAULT_PLACE}",
        Guidance::JournalDirOfRun, path = escaped(path)
    )]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// There is no journal that `latest` could name.
    #[error(
        "{path}: there are no journals here. {}",
        Guidance::JournalDirOfRun, path = escaped(path)
    )]
    NoJournals {
        /// The directory.
        path: PathBuf,
    },
    /// An unfinished run covers the same tree.
    #[error(
        "{tree}: journal {id} covers it and is {state}. {how_to_end}",
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
        how_to_end: String,
    },
    /// A journal that could cover the same tree cannot be read.
    #[error(
        "cannot tell whether a run on this tree was left unfinished: {0}. If the journal is of no more use, move it out of its directory"
    )]
    Unreadable(#[from] JournalError),
}
