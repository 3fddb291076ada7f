//! A planned move of a whole store to a user, or back: what both engines' plans have in common, and how it is carried out.

use std::io;
use std::path::{Path, PathBuf};

use super::MoveError;
use super::copied_move::Original;
use super::copy::PlannedCopy;
use super::execute::{ExecuteError, Staged, execute_staged};
use super::obstacle::Obstacle;
use super::place::Target;
use super::stamps::Stamps;
use super::user::RootlessUser;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;
use crate::preflight::TransientBlocker;

/// A planned move of a store, or of a copy of one, and its facts for people.
pub struct PlannedMove {
    /// For the engine.
    pub plan: Plan,
    /// Where the store is, or what it was copied from.
    pub from: PathBuf,
    /// Where it will be.
    pub to: PathBuf,
    /// Names in the store that are carried.
    pub carried: Vec<String>,
    /// Names in it that stay where they are.
    pub left: Vec<String>,
    /// What is different about containers there, by their names.
    pub incompatible: Vec<(String, Obstacle)>,
    /// What containers use of the host, which is not carried: the container's name and the path.
    pub binds: Vec<(String, PathBuf)>,
    /// Name of what holds what an unused engine made in the new place.
    pub set_aside: Option<String>,
    /// What keeps it from being done now.
    pub blockers: Blockers,
    /// Of a store that is to be copied, before it was read.
    pub stamps: Option<Stamps>,
}

/// What keeps a move from being done now.
#[derive(Default)]
pub struct Blockers {
    /// It hides parts of the store, too: what would be done cannot be told.
    pub hiding: Option<TransientBlocker>,
    /// Anything else, the first thing to tell first.
    pub others: Vec<TransientBlocker>,
}

/// What to copy, and for whom.
pub struct CopyRequest<'a> {
    /// Whose the copy is to be.
    pub user: &'a RootlessUser,
    /// Where the user's engine is to have it.
    pub target: &'a Path,
    /// The engine: `docker`.
    pub engine: &'a str,
    /// The option that names another place.
    pub option: &'a str,
}

impl PlannedMove {
    /// A copy of the store is made first, and is moved instead. `stamps`: of the store, before it was read.
    pub fn copy_first(&mut self, stamps: Stamps) {
        self.plan.is_of_original = true;
        self.stamps = Some(stamps);
    }

    /// The copy that is made first; `None`: the store itself is moved.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy(&self, request: &CopyRequest<'_>) -> Result<Option<PlannedCopy>, MoveError> {
        if self.stamps.is_none() {
            return Ok(None);
        }
        let original = Original {
            path: &self.from,
            names: self.carried.clone(),
            engine: request.engine,
            user: &request.user.name,
            option: request.option,
        };
        let to = Target::at(request.target)?;
        original.copy_for(&to).map(Some)
    }

    /// Carries out the move. With `copy`, that is made, and `replan` plans the move of what has its path.
    ///
    /// # Errors
    /// [`ExecuteError`]
    pub fn execute<E: From<MoveError>>(
        &self,
        copy: Option<&PlannedCopy>,
        replan: &dyn Fn(&Path) -> Result<PlannedMove, E>,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Report, ExecuteError<E>> {
        match (copy, &self.stamps) {
            (Some(copy), Some(stamps)) => {
                let mut staged = StagedCopy { copy, replan };
                execute_staged(&self.plan, &mut staged, stamps.clone(), store, control)
            }
            _ => Ok(self.plan.execute(store, control)?),
        }
    }
}

/// A copy of a store, which is moved instead of it.
struct StagedCopy<'a, E> {
    copy: &'a PlannedCopy,
    replan: &'a dyn Fn(&Path) -> Result<PlannedMove, E>,
}

impl<E: From<MoveError>> Staged for StagedCopy<'_, E> {
    type Error = E;

    fn watch(&self, stamps: &mut Stamps) -> Result<(), E> {
        Ok(stamps.add_trees(None, self.copy.trees())?)
    }

    fn make(&mut self, _stamps: &mut Stamps, control: RunControl<'_>) -> Result<(), E> {
        // It is made beside the store: nothing that is watched changes.
        Ok(self.copy.make(control, || ())?)
    }

    fn made_when(&self) -> &'static str {
        "it was copied"
    }

    fn replan(&self, _control: RunControl<'_>) -> Result<Plan, ExecuteError<E>> {
        let moved = (self.replan)(&self.copy.path()).map_err(ExecuteError::InTheWay)?;
        let Blockers { hiding, others } = moved.blockers;
        match hiding.into_iter().chain(others).next() {
            Some(blocker) => Err(Refusal::from(blocker).into()),
            None => Ok(moved.plan),
        }
    }

    fn begin(&self) -> io::Result<()> {
        self.copy.begin()
    }

    fn remove(&self) {
        self.copy.remove();
    }

    fn tree(&self) -> PathBuf {
        self.copy.path()
    }

    fn is_copy(&self) -> bool {
        true
    }
}
