//! The list of steps of a move, as it grows.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::MoveError;
use super::mtime::mtime_step;
use super::place::{Source, Target};
use super::steps::{
    CLOSED, GUARD_OWNER, StagedEntry, close_step, hold, holder, make_holder, make_parents,
    place_all, renameable, restrict_step, set_aside,
};
use crate::engine::PlannedSteps;
use crate::journal::step::StepPath;
use crate::journal::{Name, Step};

/// Steps as they come together. The first root of them is where the store is, the second one where it is to be.
pub struct MoveSteps<'a> {
    /// Where the store is.
    pub from: &'a Source,
    /// The root of the steps that has the holder.
    holder_root: usize,
    /// Files and symlinks that are written anew, or stay behind, by the names that lead to them in the store.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
}

/// A file of a store that the other engine must not read.
pub struct LeftBehind {
    /// The names that lead to it in the store.
    pub names: Vec<String>,
    /// The name that it gets where it is put aside.
    pub aside: String,
}

impl LeftBehind {
    /// Whether this store has it.
    pub fn is_in(&self, store: &Path) -> bool {
        self.path(store).symlink_metadata().is_ok()
    }

    fn path(&self, store: &Path) -> PathBuf {
        let names = self.names.iter();
        names.fold(store.to_path_buf(), |path, name| path.join(name))
    }
}

impl<'a> MoveSteps<'a> {
    /// To a user. Begins with the directories that are missing above the new place, made for the user with this mode.
    ///
    /// # Errors
    /// Of reading the directories in which the steps are taken.
    pub fn to_user(
        from: &'a Source,
        to: &Target,
        (user, mode): ((u32, u32), u32),
    ) -> Result<MoveSteps<'a>, MoveError> {
        let mut early = vec![
            mtime_step(StepPath::new(0, [""; 0]), &from.path)?,
            mtime_step(to.step(0), &to.anchor)?,
        ];
        early.extend(make_parents(to, user, mode));
        Ok(MoveSteps::beginning_with(early, (from, 0)))
    }

    /// From a user, to root's store `to`. Begins with who enters the two: only root the user's, and nobody root's whom its mode
    /// does not let in that is `allowed` there.
    ///
    /// # Errors
    /// Of reading them; root's has an ACL.
    pub fn from_user(
        from: &'a Source,
        to: &Path,
        allowed: u32,
    ) -> Result<MoveSteps<'a>, MoveError> {
        let mut early = vec![close_step(&from.path)?];
        early.extend(restrict_step(to, allowed)?);
        early.push(mtime_step(StepPath::new(1, [""; 0]), to)?);
        Ok(MoveSteps::beginning_with(early, (from, 1)))
    }

    fn beginning_with(early: Vec<Step>, (from, holder_root): (&'a Source, usize)) -> Self {
        MoveSteps {
            from,
            holder_root,
            rewritten: HashSet::new(),
            early,
            late: Vec::new(),
        }
    }

    /// A place in the holder.
    pub fn holder(&self, names: &[&[u8]]) -> StepPath {
        holder(self.holder_root, names)
    }

    /// Makes the holder.
    pub fn make_holder(&mut self) {
        self.early.push(make_holder(self.holder_root));
    }

    /// From a user: what an unused engine of root's made in its store `to` goes into `aside`, and a guard takes the place that
    /// is filled last.
    ///
    /// # Errors
    /// Something of it cannot be renamed.
    pub fn clear<N: AsRef<[u8]>>(
        &mut self,
        to: &Path,
        (there, aside): (&[N], &str),
        (last, guard): (&str, &str),
    ) -> Result<(), MoveError> {
        self.early.extend(set_aside(to, there, aside)?);
        self.early.push(Step::Create {
            at: StepPath::new(1, [last]),
            content: guard.to_string().into(),
            made: GUARD_OWNER,
        });
        Ok(())
    }

    /// Renames names of the store into the holder.
    ///
    /// # Errors
    /// One of them cannot be renamed.
    pub fn hold<N: AsRef<[u8]>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<StagedEntry>, MoveError> {
        let (steps, held) = hold(self.holder_root, self.from, names)?;
        self.early.extend(steps);
        Ok(held)
    }

    /// From a user: files in the holder that root's engine must not read go into `aside`, which is made for them. Their owners
    /// stay.
    ///
    /// # Errors
    /// One of them cannot be renamed.
    pub fn leave(
        &mut self,
        left: impl IntoIterator<Item = LeftBehind>,
        aside: StepPath,
    ) -> Result<(), MoveError> {
        for (n, file) in left.into_iter().enumerate() {
            if n == 0 {
                self.late.push(Step::MakeDir {
                    at: aside.clone(),
                    made: CLOSED,
                });
            }
            let path = file.path(&self.from.path);
            let names: Vec<&[u8]> = file.names.iter().map(String::as_bytes).collect();
            let dir = path.parent().unwrap_or(&self.from.path);
            let above = self.holder(&names[..names.len() - 1]);
            self.late.push(mtime_step(above, dir)?);
            let owned = names.iter().map(|name| name.to_vec());
            self.rewritten.insert(owned.collect());
            self.late.push(Step::Rename {
                from: self.holder(&names),
                to: aside.below(&Name(file.aside.into_bytes())),
                identity: renameable(&path)?.identity,
            });
        }
        Ok(())
    }

    /// From a user: everything gets its place in root's store, `last` last, which takes the place of the guard.
    pub fn put(&mut self, held: Vec<StagedEntry>, (last, guard): (&str, &str)) {
        self.late.extend(place_all(held, last, guard));
    }

    /// All of them; `roots`: the directories beside the trees in which they are taken.
    pub fn finish(self, roots: Vec<PathBuf>) -> PlannedSteps {
        PlannedSteps::new(self.early, self.late, roots)
    }
}
