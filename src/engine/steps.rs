//! The steps of a journal, compared with the disk and brought about.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::replay::Goal;
use super::{Problem, ProblemKind, roots};
use crate::fs::stat::stat;
use crate::fs::structure::{self, Owner, look};
use crate::fs::{Pin, Root, Stat, apply, attributes};
use crate::ownership::{Change, Ownership, Standing};
use crate::record::line::RootLine;
use crate::record::step::{Made, Place};
use crate::record::{Journal, Name, Step};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The disk is as before it.
    No,
    /// Some of its system calls were made, on the way there or back.
    Half,
    /// The disk is as after it.
    Yes,
}

/// How taking or undoing steps went.
#[derive(Clone, Debug, Default)]
pub struct Brought {
    /// Steps that were taken or undone.
    pub done: u64,
    /// Steps that could not be.
    pub problems: Vec<Problem>,
}

/// An entry that a step renamed.
#[derive(Clone, Debug)]
pub struct Move {
    /// Where the journal's other lines know it.
    pub from: Place,
    /// Where it is.
    pub to: Place,
}

impl Move {
    /// Where something at or below `from` is now.
    pub fn apply(&self, root: usize, way: &[Name]) -> Option<Vec<Name>> {
        let below = way.strip_prefix(&self.from.path[..])?;
        let is_it = root == self.from.root && root == self.to.root;
        is_it.then(|| [&self.to.path[..], below].concat())
    }
}

/// A journal's steps and the trees they are taken in.
pub struct Steps<'a> {
    steps: &'a [Step],
    lines: &'a [RootLine],
    cross_mounts: bool,
    roots: Vec<Result<Root, String>>,
}

impl<'a> Steps<'a> {
    /// Of this journal.
    pub fn of(journal: &'a Journal) -> Steps<'a> {
        let lines = &journal.header.roots[..];
        // Roots are opened for steps only: most journals have none.
        let roots = match journal.steps.is_empty() {
            true => Vec::new(),
            false => roots::open_each(lines),
        };
        Steps {
            steps: &journal.steps,
            lines,
            cross_mounts: journal.header.walk.cross_mounts,
            roots,
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes or undoes all steps. The first that cannot be ends it, since later ones build on it;
    /// unless `force` says to do what can be done.
    pub fn bring(&self, goal: Goal, force: bool) -> Brought {
        let mut brought = Brought::default();
        let mut bring = |step: &Step| match self.bring_one(step, goal) {
            Ok(done) => {
                brought.done += u64::from(done);
                true
            }
            Err(error) => {
                brought.problems.push(self.problem(step, error));
                force
            }
        };
        // `all` stops at the first that is false.
        match goal {
            Goal::After => self.steps.iter().all(&mut bring),
            Goal::Before => self.steps.iter().rev().all(&mut bring),
        };
        brought
    }

    /// What stands in the way of undoing all steps: one that is neither taken nor not taken, or a
    /// place to go back to that somebody else has. Changes nothing.
    pub fn obstacles(&self) -> Vec<Problem> {
        let stands = |(n, step): (usize, &Step)| {
            let obstacle = match (self.taken(step), step) {
                (Err(error), _) => Some(error),
                (Ok(Taken::Yes), Step::Rename { from, .. }) => self.occupied(from, n),
                (Ok(_), _) => None,
            };
            obstacle.map(|error| self.problem(step, error))
        };
        self.steps.iter().enumerate().filter_map(stands).collect()
    }

    /// Whether something has a place that none of the steps behind number `n` put there.
    fn occupied(&self, place: &Place, n: usize) -> Option<io::Error> {
        let later = &self.steps[n + 1..];
        let ours = later.iter().any(|step| step.places().contains(&place));
        match self.look(place) {
            Ok(None) => None,
            Ok(Some(_)) if ours => None,
            Ok(Some(_)) => Some(io::Error::other("something new has its old place")),
            Err(error) => Some(error),
        }
    }

    /// How many steps are not as they should be: what a dry run counts.
    pub fn count(&self, goal: Goal) -> u64 {
        self.differences(goal).len() as u64
    }

    /// Where renamed entries are now.
    pub fn moves(&self) -> Vec<Move> {
        let moved = |step: &Step| match step {
            Step::Rename { from, to, .. } if matches!(self.taken(step), Ok(Taken::Yes)) => {
                Some(Move {
                    from: from.clone(),
                    to: to.clone(),
                })
            }
            _ => None,
        };
        self.steps.iter().filter_map(moved).collect()
    }

    /// The steps that are not as they should be.
    pub fn differences(&self, goal: Goal) -> Vec<Problem> {
        let wanted = match goal {
            Goal::Before => Taken::No,
            Goal::After => Taken::Yes,
        };
        let differs = |step: &Step| match self.taken(step) {
            Ok(taken) if taken == wanted => None,
            Ok(Taken::Half) => Some(self.problem(step, io::Error::other("is half done"))),
            Ok(Taken::No) => Some(self.problem(step, io::Error::other("is not done"))),
            Ok(Taken::Yes) => Some(self.problem(step, io::Error::other("is not undone"))),
            Err(error) => Some(self.problem(step, error)),
        };
        self.steps.iter().filter_map(differs).collect()
    }

    /// The first step that is taken already, before any was. Of one in whose place an earlier one puts or takes
    /// away something, the disk does not say so yet.
    pub fn first_taken(&self) -> Option<Problem> {
        let mut moving: Vec<&Place> = Vec::new();
        for step in self.steps {
            let places = step.places();
            let is_moving = |place: &&Place| {
                let holds =
                    |it: &&&Place| it.root == place.root && place.path.starts_with(&it.path);
                moving.iter().any(|it| holds(&it))
            };
            let is_nothing =
                matches!(step, Step::SetOwnership { before, after, .. } if before == after);
            if !is_nothing
                && !places.iter().any(is_moving)
                && matches!(self.taken(step), Ok(Taken::Yes | Taken::Half))
            {
                return Some(self.problem(step, io::Error::other("is done already")));
            }
            if !matches!(
                step,
                Step::SetOwnership { .. } | Step::Rewrite { .. } | Step::Relink { .. }
            ) {
                moving.extend(places);
            }
        }
        None
    }

    fn problem(&self, step: &Step, error: io::Error) -> Problem {
        let place = step.places()[0];
        Problem {
            path: place.to_path(self.lines),
            kind: ProblemKind::Conflict,
            reason: format!("{}: {error}", step.describe(self.lines)),
        }
    }

    /// Brings one step about; whether anything had to be done.
    fn bring_one(&self, step: &Step, goal: Goal) -> io::Result<bool> {
        let taken = self.taken(step)?;
        match (taken, goal) {
            (Taken::No | Taken::Half, Goal::After) => self.take(step).map(|()| true),
            (Taken::Yes | Taken::Half, Goal::Before) => self.undo(step).map(|()| true),
            (Taken::Yes, Goal::After) => {
                // It may have been killed between being made and getting its owner.
                if let Step::MakeDir { at, made } = step {
                    self.make(at, made)?;
                }
                self.sweep(step)?;
                Ok(false)
            }
            (Taken::No, Goal::Before) => {
                if let Step::RemoveDir { at, made } = step {
                    self.make(at, made)?;
                }
                self.sweep(step)?;
                Ok(false)
            }
        }
    }

    /// Removes what a run left that was killed before a file was in its place.
    fn sweep(&self, step: &Step) -> io::Result<()> {
        if let Step::Rewrite { at, .. } | Step::Relink { at, .. } | Step::Create { at, .. } = step {
            let at = &self.place_now(at);
            structure::remove_unfinished(self.parent(at)?.as_fd(), last(at))?;
        }
        Ok(())
    }

    fn take(&self, step: &Step) -> io::Result<()> {
        match step {
            Step::MakeDir { at, made } => self.make(at, made),
            Step::RemoveDir { at, .. } => self.remove(at),
            Step::Rename { from, to, identity } => {
                let (from_dir, to_dir) = (self.parent(from)?, self.parent(to)?);
                let from = (from_dir.as_fd(), last(from));
                structure::rename(from, (to_dir.as_fd(), last(to)), *identity)
            }
            Step::Rewrite { at, after, .. } => {
                let at = &self.place_now(at);
                let dir = self.parent(at)?;
                let text = after.text.as_bytes();
                structure::replace_file(dir.as_fd(), last(at), text, after.mtime_ns)
            }
            Step::Relink { at, after, .. } => self.relink(at, after, None),
            Step::SetOwnership { after, .. } => self.own(step, after),
            Step::Create { at, content, made } => {
                let dir = self.parent(at)?;
                structure::create_file(dir.as_fd(), last(at), content.as_bytes(), owner(made))
            }
        }
    }

    fn undo(&self, step: &Step) -> io::Result<()> {
        match step {
            Step::MakeDir { at, .. } => self.remove(at),
            Step::RemoveDir { at, made } => self.make(at, made),
            Step::Rename { from, to, identity } => {
                let (from_dir, to_dir) = (self.parent(from)?, self.parent(to)?);
                let to = (to_dir.as_fd(), last(to));
                structure::rename(to, (from_dir.as_fd(), last(from)), *identity)
            }
            Step::Rewrite { at, before, .. } => {
                let at = &self.place_now(at);
                let dir = self.parent(at)?;
                let text = before.text.as_bytes();
                structure::replace_file(dir.as_fd(), last(at), text, before.mtime_ns)
            }
            Step::Relink {
                at,
                before,
                mtime_ns,
                ..
            } => self.relink(at, before, Some(*mtime_ns)),
            Step::SetOwnership { before, .. } => self.own(step, before),
            Step::Create { at, .. } => {
                let dir = self.parent(at)?;
                structure::remove_file(dir.as_fd(), last(at))
            }
        }
    }

    /// # Errors
    /// The disk is neither as before the step nor as after it, or does not say.
    fn taken(&self, step: &Step) -> io::Result<Taken> {
        let other = |what: &str| Err(io::Error::other(what));
        match step {
            Step::MakeDir { at, .. } | Step::RemoveDir { at, .. } => {
                let makes = matches!(step, Step::MakeDir { .. });
                match self.look(at)? {
                    None if makes => Ok(Taken::No),
                    None => Ok(Taken::Yes),
                    Some(stat) if !stat.is_dir() => other("something else has its place"),
                    Some(_) if makes => Ok(Taken::Yes),
                    Some(_) => Ok(Taken::No),
                }
            }
            Step::Rename { from, to, identity } => {
                let is_it = |place: &Place| -> io::Result<Option<bool>> {
                    let found = self.look(place)?;
                    Ok(found.map(|stat| stat.identity == *identity))
                };
                match (is_it(from)?, is_it(to)?) {
                    (_, Some(true)) => Ok(Taken::Yes),
                    (Some(true), _) => Ok(Taken::No),
                    _ => other("it is at neither of the two places"),
                }
            }
            Step::Rewrite { at, before, after } => {
                let at = &self.place_now(at);
                let dir = self.parent(at)?;
                let (now, _) = structure::read_file(dir.as_fd(), last(at))?;
                if now == after.text.as_bytes() {
                    Ok(Taken::Yes)
                } else if now == before.text.as_bytes() {
                    Ok(Taken::No)
                } else {
                    other("the file was changed since")
                }
            }
            Step::Relink {
                at, before, after, ..
            } => {
                let at = &self.place_now(at);
                let dir = self.parent(at)?;
                match structure::read_link(dir.as_fd(), last(at))? {
                    (now, _) if now == after.0 => Ok(Taken::Yes),
                    (now, _) if now == before.0 => Ok(Taken::No),
                    _ => other("the symlink was changed since"),
                }
            }
            Step::SetOwnership { before, after, .. } => {
                let (_, stat, now) = self.owned(step)?;
                let (before, after) = (before.clone(), after.clone());
                match (Change { before, after }).standing(&now, stat.file_type) {
                    Standing::Before => Ok(Taken::No),
                    Standing::Between => Ok(Taken::Half),
                    Standing::After => Ok(Taken::Yes),
                    Standing::Foreign => other("its owner, mode or ACL was changed since"),
                }
            }
            Step::Create { at, content, .. } => {
                let dir = self.parent(at)?;
                match look(dir.as_fd(), last(at))? {
                    None => Ok(Taken::No),
                    Some(_) => match structure::read_file(dir.as_fd(), last(at))?.0 {
                        now if now == content.as_bytes() => Ok(Taken::Yes),
                        _ => other("the file was changed since"),
                    },
                }
            }
        }
    }

    /// The inode of a [`Step::SetOwnership`], pinned, and what it is now.
    fn owned(&self, step: &Step) -> io::Result<(Pin, Stat, Ownership)> {
        let Step::SetOwnership { at, identity, .. } = step else {
            return Err(io::Error::other("is another kind of step"));
        };
        let pin = match &at.path[..] {
            [] => self.root(at)?.pin.try_clone()?,
            _ => Pin::at(self.parent(at)?.as_fd(), &CString::new(last(at))?)?,
        };
        let stat = pin.stat()?;
        if stat.identity != *identity {
            return Err(io::Error::other("another inode has its place now"));
        }
        let now = attributes::read(&pin, &stat).map_err(io::Error::other)?;
        Ok((pin, stat, now))
    }

    fn relink(&self, at: &Place, target: &Name, mtime_ns: Option<i64>) -> io::Result<()> {
        let at = &self.place_now(at);
        let dir = self.parent(at)?;
        structure::replace_link(dir.as_fd(), last(at), &target.0, mtime_ns)
    }

    fn own(&self, step: &Step, wanted: &Ownership) -> io::Result<()> {
        let (pin, stat, now) = self.owned(step)?;
        apply(&pin, stat.file_type, &now, wanted).map_err(io::Error::other)
    }

    /// Where a file is that a later step moved along: a run that goes on, and one that looks before
    /// it undoes, find it there.
    fn place_now(&self, place: &Place) -> Place {
        let moved = |step: &Step| match step {
            Step::Rename { from, to, .. } if place.path.starts_with(&from.path) => {
                let (from, to) = (from.clone(), to.clone());
                let way = Move { from, to }.apply(place.root, &place.path)?;
                matches!(self.taken(step), Ok(Taken::Yes)).then_some(way)
            }
            _ => None,
        };
        match self.steps.iter().find_map(moved) {
            Some(path) => Place {
                root: place.root,
                path,
            },
            None => place.clone(),
        }
    }

    fn look(&self, place: &Place) -> io::Result<Option<Stat>> {
        match self.parent(place) {
            Ok(dir) => Ok(look(dir.as_fd(), last(place))?),
            // Where even its directory is not there, it is not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make(&self, at: &Place, made: &Made) -> io::Result<()> {
        let dir = self.parent(at)?;
        structure::make_dir(dir.as_fd(), last(at), owner(made))
    }

    fn remove(&self, at: &Place) -> io::Result<()> {
        let dir = self.parent(at)?;
        structure::remove_dir(dir.as_fd(), last(at))
    }

    fn root(&self, place: &Place) -> io::Result<&Root> {
        let root = self.roots[place.root].as_ref();
        root.map_err(|reason| io::Error::other(reason.clone()))
    }

    /// The directory a place is in, opened name by name from its root, following nothing and
    /// entering no other mount than the run did.
    fn parent(&self, place: &Place) -> io::Result<OwnedFd> {
        let root = self.root(place)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            |dir: BorrowedFd<'_>, name: &[u8]| rustix::fs::openat(dir, name, flags, Mode::empty());
        let top = open(root.pin.as_fd(), b".")?;
        let way = &place.path[..place.path.len() - 1];
        way.iter().try_fold(top, |dir, name| {
            let dir = open(dir.as_fd(), &name.0)?;
            match !self.cross_mounts && stat(&dir)?.crosses_mount(root.dev) {
                true => Err(io::Error::other("a mount is on its way now")),
                false => Ok(dir),
            }
        })
    }
}

/// A place has at least one name, but for an ownership: `Step::check` made sure.
fn last(place: &Place) -> &[u8] {
    place.path.last().map_or(b"", |name| &name.0)
}

fn owner(made: &Made) -> Owner {
    Owner {
        uid: made.uid,
        gid: made.gid,
        mode: made.mode,
    }
}
