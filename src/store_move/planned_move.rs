//! A planned move of a store is carried out, or that of a copy of the store.

use std::io;
use std::path::{Path, PathBuf};

use super::MoveError;
use super::copy::PlannedCopy;
use super::execute::{ExecuteError, Staged, execute_staged};
use super::stamps::Stamps;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;
use crate::preflight::TransientBlocker;

/// A planned move of a store, or of a copy of one.
pub trait StoreMove: Sized {
    /// Why the engine's store is not moved.
    type Error: From<MoveError>;

    /// The plan, for the engine.
    fn plan(&self) -> &Plan;

    /// That, and nothing else.
    fn into_plan(self) -> Plan;

    /// Of the store that is to be copied, before it was read.
    fn stamps(&self) -> Option<&Stamps>;

    /// What keeps it from being done now, the first thing to tell first.
    fn take_blocker(&mut self) -> Option<TransientBlocker>;
}

/// Plans the move of a copy that has this path.
pub type Replan<'a, M> = &'a dyn Fn(&Path) -> Result<M, <M as StoreMove>::Error>;

/// Carries out a move. With `copy`, that is made, and `replan` plans the move of it.
///
/// # Errors
/// [`ExecuteError`]
pub fn execute<M: StoreMove>(
    planned: &M,
    copy: Option<&PlannedCopy>,
    replan: Replan<'_, M>,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, ExecuteError<M::Error>> {
    match (copy, planned.stamps()) {
        (Some(copy), Some(stamps)) => {
            let mut staged = StagedCopy { copy, replan };
            execute_staged(planned.plan(), &mut staged, stamps.clone(), store, control)
        }
        _ => Ok(planned.plan().execute(store, control)?),
    }
}

/// A copy of a store, which is moved instead of it.
struct StagedCopy<'a, M: StoreMove> {
    copy: &'a PlannedCopy,
    replan: Replan<'a, M>,
}

impl<M: StoreMove> Staged for StagedCopy<'_, M> {
    type Error = M::Error;

    fn watch(&self, stamps: &mut Stamps) -> Result<(), M::Error> {
        Ok(stamps.add_trees(None, self.copy.trees())?)
    }

    fn make(&mut self, _stamps: &mut Stamps, control: RunControl<'_>) -> Result<(), M::Error> {
        // It is made beside the store: nothing that is watched changes.
        Ok(self.copy.make(control, || ())?)
    }

    fn made_when(&self) -> &'static str {
        "it was copied"
    }

    fn replan(&self, _control: RunControl<'_>) -> Result<Plan, ExecuteError<M::Error>> {
        let mut moved = (self.replan)(&self.copy.path()).map_err(ExecuteError::InTheWay)?;
        match moved.take_blocker() {
            Some(blocker) => Err(Refusal::from(blocker).into()),
            None => Ok(moved.into_plan()),
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
