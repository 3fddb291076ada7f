//! When an inode must have been changed last.

use jiff::{SignedDuration, Timestamp};

use crate::fs::Stat;
use crate::journal::{Journal, Mark};
use crate::ownership::Flags;

/// When what was carried was last changed by the run, if nobody has changed it since.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    handed_over: Timestamp,
    /// It was taken back then: what was changed since may be the undoing's own doing.
    taken_back: Option<Timestamp>,
}

impl Window {
    /// Of a run that came to where it gives something to a user.
    pub fn of(journal: &Journal) -> Option<Window> {
        let time = |mark| {
            let found = journal.marks.iter().find(|line| line.mark == mark);
            found.map(|line| line.time)
        };
        Some(Window {
            handed_over: time(Mark::HandingOver)?,
            taken_back: time(Mark::TakenBack),
        })
    }

    /// The same, where it was taken back then, unless it was before.
    pub fn since_taken_back(self, then: Option<Timestamp>) -> Window {
        Window {
            taken_back: self.taken_back.or(then),
            ..self
        }
    }

    /// Whether nobody has changed it since it was handed over.
    pub fn allows(&self, stat: &Stat) -> bool {
        stat.changed <= parts(self.handed_over)
    }

    /// The same, or only the undoing has changed it: it renames entries of directories and writes files in them anew, and
    /// takes flags away from an inode.
    pub fn allows_undoing(&self, stat: &Stat, held: Flags) -> bool {
        let may_be_changed = stat.is_dir() || !held.is_empty();
        let by_undoing = |since: Timestamp| stat.changed >= parts(since - BEHIND);
        self.allows(stat) || may_be_changed && self.taken_back.is_some_and(by_undoing)
    }
}

/// Inodes get their times from a clock that may be two ticks behind, at 100 ticks a second.
const BEHIND: SignedDuration = SignedDuration::from_millis(20);

fn parts(time: Timestamp) -> (i64, u32) {
    let nanoseconds = time.as_nanosecond();
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    let rest = nanoseconds.rem_euclid(1_000_000_000);
    (seconds as i64, rest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::PinnedFile;

    #[test]
    fn a_later_ctime_is_a_change_unless_the_undoing_made_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        let of = |path: &std::path::Path| PinnedFile::path(path).unwrap().stat().unwrap();
        let (file, dir) = (of(&path), of(place.path()));
        let second = SignedDuration::from_secs(1);
        let now = Timestamp::now();
        let window = |handed_over, taken_back| Window {
            handed_over,
            taken_back,
        };
        let none = Flags::default();
        assert!(window(now, None).allows(&file));
        let later = window(now - second, None);
        assert!(!later.allows(&file) && !later.allows_undoing(&dir, none));
        let undone = later.since_taken_back(Some(now - second));
        assert!(undone.allows_undoing(&dir, none));
        // Undoing changes no file but by giving it its owner.
        assert!(!undone.allows_undoing(&file, none));
        let held = Flags {
            immutable: true,
            ..none
        };
        assert!(undone.allows_undoing(&file, held));
        let before = later.since_taken_back(Some(now + second));
        assert!(!before.allows_undoing(&dir, none));
    }
}
