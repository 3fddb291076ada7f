//! When an inode must have been changed last.

use jiff::Timestamp;

use crate::fs::Stat;
use crate::fs::inode_time::InodeTime;
use crate::journal::{Journal, Mark};
use crate::ownership::Flags;

/// When what a user had was changed last, if that user has changed nothing that matters.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    unchanged_since: Timestamp,
    /// It was taken away then: what was changed since may be the run's own doing.
    taken_away: Option<Timestamp>,
}

impl Window {
    /// Of a run that came to where it gives something to a user.
    pub fn since_handed_over(journal: &Journal) -> Option<Window> {
        Some(Window {
            unchanged_since: time(journal, Mark::HandingOver)?,
            taken_away: time(journal, Mark::TakenBack),
        })
    }

    /// Of what is read for a run that takes something away from a user.
    pub fn of_reading(since: Timestamp) -> Window {
        Window {
            unchanged_since: since,
            taken_away: None,
        }
    }

    /// Of a run that takes something away from a user.
    pub fn since_read(journal: &Journal) -> Option<Window> {
        Some(Window {
            unchanged_since: journal.header.unchanged_since?,
            taken_away: time(journal, Mark::TakenOver),
        })
    }

    /// Begins when the tree was taken away, unless that was before.
    pub fn since_taken_away(self, then: Option<Timestamp>) -> Window {
        Window {
            taken_away: self.taken_away.or(then),
            ..self
        }
    }

    /// Whether nobody has changed it since it was handed over.
    pub fn allows(&self, stat: &Stat) -> bool {
        stat.changed <= self.unchanged_since.into()
    }

    /// Whether nobody, or only the run or its undoing, has changed it: they rename entries of directories, write files in them
    /// anew, and take flags away from an inode.
    pub fn allows_the_run(&self, stat: &Stat, held: Flags) -> bool {
        let may_be_changed = stat.is_dir() || !held.is_empty();
        let by_the_run = |since: Timestamp| stat.changed >= InodeTime::earliest_after(since);
        self.allows(stat) || may_be_changed && self.taken_away.is_some_and(by_the_run)
    }
}

/// When the journal got this mark first.
fn time(journal: &Journal, mark: Mark) -> Option<Timestamp> {
    let found = journal.marks.iter().find(|line| line.mark == mark);
    found.map(|line| line.time)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fs::PinnedFile;

    #[test]
    fn a_later_ctime_is_a_change_unless_the_run_made_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        let of = |path: &std::path::Path| PinnedFile::path(path).unwrap().stat().unwrap();
        let (file, dir) = (of(&path), of(place.path()));
        let second = SignedDuration::from_secs(1);
        let now = Timestamp::now();
        let window = |unchanged_since, taken_away| Window {
            unchanged_since,
            taken_away,
        };
        let none = Flags::default();
        assert!(window(now, None).allows(&file));
        let later = window(now - second, None);
        assert!(!later.allows(&file) && !later.allows_the_run(&dir, none));
        let undone = later.since_taken_away(Some(now - second));
        assert!(undone.allows_the_run(&dir, none));
        // Undoing changes no file but by giving it its owner.
        assert!(!undone.allows_the_run(&file, none));
        let held = Flags {
            immutable: true,
            ..none
        };
        assert!(undone.allows_the_run(&file, held));
        let before = later.since_taken_away(Some(now + second));
        assert!(!before.allows_the_run(&dir, none));
    }
}
