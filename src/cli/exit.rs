//! How a command ends, for programs.

use std::process::ExitCode;

use crate::engine::{Outcome, Refusal, Report};
use crate::host::Level;

/// Exit codes. They are part of the contract with other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything is done, or the check passed.
    Done = 0,
    /// It failed; what had been done is undone.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Done, but some inodes are left as they were, or differ.
    SomeLeft = 3,
    /// Refused before anything was changed.
    Refused = 4,
    /// It failed, and what had been done could not be undone completely.
    Stuck = 5,
    /// Done, but the output could not be written (`EX_IOERR` of sysexits.h).
    OutputLost = 74,
    /// Stopped on request.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<&Report> for Exit {
    fn from(report: &Report) -> Exit {
        match report.outcome() {
            Outcome::Done => Exit::Done,
            Outcome::SomeLeft => Exit::SomeLeft,
            Outcome::Failed => Exit::Failed,
            Outcome::Stuck => Exit::Stuck,
            Outcome::Interrupted => Exit::Interrupted,
        }
    }
}

/// By the worst that a check found.
impl From<Level> for Exit {
    fn from(worst: Level) -> Exit {
        match worst {
            Level::Ok | Level::Warning => Exit::Done,
            Level::Error => Exit::SomeLeft,
        }
    }
}

/// Why a command ended without a report.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// For people.
    pub message: String,
}

impl Failure {
    /// Refused before anything was changed.
    pub fn refused(message: impl ToString) -> Failure {
        Failure {
            exit: Exit::Refused,
            message: message.to_string(),
        }
    }

    /// Wrong usage.
    pub fn usage(message: impl ToString) -> Failure {
        Failure {
            exit: Exit::Usage,
            message: message.to_string(),
        }
    }
}

impl<E: Into<Refusal>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let refusal = error.into();
        match refusal {
            Refusal::Glob { .. } => Failure::usage(format!("--exclude {refusal}")),
            Refusal::Nested { .. } | Refusal::SameFile { .. } => Failure::usage(refusal),
            _ => Failure::refused(refusal),
        }
    }
}
