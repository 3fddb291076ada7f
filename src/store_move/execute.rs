//! Carrying out a move of a store, or of a copy of it.

use std::path::Path;

use super::MoveError;
use super::copy::PlannedCopy;
use super::stamps::Stamps;
use super::unfinished_run::is_surely_ended;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;
use crate::preflight::TransientBlocker;

/// Why there is no report. Nothing was changed, and no copy is left.
#[derive(Debug)]
pub enum ExecuteError<E> {
    /// Something is in the way.
    InTheWay(E),
    /// The engine refuses.
    Refusal(Refusal),
    /// Somebody asked to stop before the run began.
    Interrupted,
}

impl<E> From<Refusal> for ExecuteError<E> {
    fn from(refusal: Refusal) -> ExecuteError<E> {
        ExecuteError::Refusal(refusal)
    }
}

/// A planned move of a store, or of a copy of one.
pub trait StoreMove: Sized {
    /// Why the engine's store is not moved.
    type Error: From<MoveError>;

    /// The plan, for the engine.
    fn plan(&self) -> &Plan;

    /// Of the store that is to be copied, before it was read.
    fn stamps(&self) -> Option<&Stamps>;

    /// What keeps it from being done now, the first thing to tell first.
    fn take_blocker(&mut self) -> Option<TransientBlocker>;
}

/// Carries out a move. With `copy`, that is made, and `replan` plans the move of it: what the move of the original is refused
/// for, that one is, too.
///
/// # Errors
/// [`ExecuteError`]
pub fn execute<M: StoreMove>(
    planned: &M,
    copy: Option<&PlannedCopy>,
    replan: impl FnOnce(&Path) -> Result<M, M::Error>,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, ExecuteError<M::Error>> {
    let refused = |error: MoveError| ExecuteError::InTheWay(M::Error::from(error));
    let (Some(copy), Some(stamps)) = (copy, planned.stamps()) else {
        return Ok(planned.plan().execute(store, control)?);
    };
    let mut stamps = stamps.clone();
    let held = planned.plan().lock(store, control)?;
    stamps.check("this run was planned").map_err(refused)?;
    stamps.add_trees(None, copy.trees()).map_err(refused)?;
    let copied = copy.make(control, || ());
    if control.is_cancelled() {
        // Asked after it was whole. One that was in the way is not this run's.
        if copied.is_ok() {
            copy.remove();
        }
        return Err(ExecuteError::Interrupted);
    }
    copied.map_err(refused)?;
    drop(held);
    let path = copy.path();
    let moved = || {
        let mut moved = replan(&path).map_err(ExecuteError::InTheWay)?;
        if let Some(blocker) = moved.take_blocker() {
            return Err(Refusal::from(blocker).into());
        }
        stamps.check("it was copied").map_err(refused)?;
        let begin = || copy.begin();
        Ok(moved.plan().execute_made(&begin, store, control)?)
    };
    let done = moved();
    let is_unused = match &done {
        Ok(report) => report.journal.is_none(),
        Err(_) => is_surely_ended(store, &path),
    };
    if is_unused {
        copy.remove();
    }
    done
}
