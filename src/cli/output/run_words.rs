//! What a summary says of a run, by its command.

use super::text::count;
use crate::guidance::CommandOptions;
use crate::idmap::Direction;
use crate::journal::record::{Header, RunKind};

/// The words for a run, and the options that its command has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunWords {
    /// Owners go out of the range.
    pub reverse: bool,
    /// Owners stay, and ACL entries are added (`prepare --share`).
    pub shares: bool,
    /// Its steps create and open directories (`prepare`).
    pub prepares: bool,
    /// What can be named.
    pub options: CommandOptions,
}

impl RunWords {
    /// Those of a new run.
    pub fn new(kind: &RunKind, reverse: bool) -> RunWords {
        RunWords {
            reverse,
            shares: false,
            prepares: *kind == RunKind::Prepare,
            options: kind.options(),
        }
    }

    /// Those of a rollback or the end of an earlier run: both take none of its options.
    pub fn of_journal(header: &Header) -> RunWords {
        RunWords {
            options: CommandOptions::default(),
            ..RunWords::new(&header.command, header.direction == Direction::OutOf)
        }
    }

    /// What its steps are: `18 renames and rewrites of files`.
    pub fn steps(self, n: u64) -> String {
        let words = match (self.prepares, n) {
            (true, 1) => "created or opened directory",
            (true, _) => "created or opened directories",
            (false, 1) => "rename or rewrite of a file",
            (false, _) => "renames and rewrites of files",
        };
        format!("{} {words}", count(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_by_what_they_do() {
        let of = |kind: RunKind, n| RunWords::new(&kind, false).steps(n);
        assert_eq!(of(RunKind::Prepare, 1), "1 created or opened directory");
        assert_eq!(of(RunKind::Prepare, 2), "2 created or opened directories");
        assert_eq!(
            of(RunKind::DockerMigrate, 1),
            "1 rename or rewrite of a file"
        );
        assert_eq!(
            of(RunKind::PodmanRevert, 1_800),
            "1,800 renames and rewrites of files"
        );
    }
}
