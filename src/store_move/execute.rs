//! A run for which something is made before it begins: a copy of a store, or what a conversion of images puts into place.
//!
//! In order: check, make it, check that nothing changed meanwhile, plan again, run, and remove what the run did not use.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::MoveError;
use super::stamps::Stamps;
use super::unfinished_run::is_surely_ended;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;

/// Why there is no report. Nothing was changed, and nothing that was made for the run is left.
#[derive(Debug, Error)]
pub enum ExecuteError<E> {
    /// Something is in the way.
    #[error(transparent)]
    InTheWay(E),
    /// The engine refuses.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The operator did not confirm.
    #[error("not confirmed")]
    Declined,
    /// Somebody asked to stop before the run began.
    #[error("interrupted")]
    Interrupted {
        /// A copy was being made.
        copy: bool,
    },
}

impl<E: From<MoveError>> From<MoveError> for ExecuteError<E> {
    fn from(error: MoveError) -> ExecuteError<E> {
        ExecuteError::InTheWay(E::from(error))
    }
}

/// What is made for a run before it begins.
pub trait Staged {
    /// Why it is not made, or its run not planned.
    type Error: From<MoveError>;

    /// Adds what must not change from before it is made until the run begins.
    ///
    /// # Errors
    /// That cannot be read.
    fn watch(&self, stamps: &mut Stamps) -> Result<(), Self::Error>;

    /// Makes it. What this run itself changes in what is watched, it takes into the stamps.
    ///
    /// # Errors
    /// It cannot be made, or somebody asked to stop: nothing of it is left.
    fn make(&mut self, stamps: &mut Stamps, control: RunControl<'_>) -> Result<(), Self::Error>;

    /// What was done when it was made, for a message: `it was copied`.
    fn made_when(&self) -> &'static str;

    /// Plans the run again, with what was made.
    ///
    /// # Errors
    /// What is in the way of that.
    fn replan(&self, control: RunControl<'_>) -> Result<Plan, ExecuteError<Self::Error>>;

    /// From now on it may be used.
    ///
    /// # Errors
    /// The disk does not have that.
    fn begin(&self) -> io::Result<()>;

    /// The run did not use it.
    fn remove(&self);

    /// The first tree of the run.
    fn tree(&self) -> PathBuf;

    /// A copy is made.
    fn is_copy(&self) -> bool;
}

/// Makes what is staged, and carries out the run with it. `planned`: the run as it was planned before that; what that is refused
/// for, this one is, too. `stamps`: of before the plan.
///
/// # Errors
/// [`ExecuteError`]
pub fn execute_staged<S: Staged>(
    planned: &Plan,
    staged: &mut S,
    mut stamps: Stamps,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, ExecuteError<S::Error>> {
    let held = planned.lock(store, control)?;
    stamps.check("this run was planned")?;
    let watched = staged.watch(&mut stamps);
    watched.map_err(ExecuteError::InTheWay)?;
    let made = staged.make(&mut stamps, control);
    if control.is_cancelled() {
        // Asked after it was whole. What was in the way is not this run's.
        if made.is_ok() {
            staged.remove();
        }
        let copy = staged.is_copy();
        return Err(ExecuteError::Interrupted { copy });
    }
    made.map_err(ExecuteError::InTheWay)?;
    drop(held);
    let done = run(staged, &stamps, store, control);
    let is_unused = match &done {
        Ok(report) => report.journal.is_none(),
        // A refusal comes before the first change; a run that is not surely over would need what was made for it.
        Err(_) => is_surely_ended(store, &staged.tree()),
    };
    if is_unused {
        staged.remove();
    }
    done
}

/// Plans the run again, and carries it out.
fn run<S: Staged>(
    staged: &S,
    stamps: &Stamps,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, ExecuteError<S::Error>> {
    let plan = staged.replan(control)?;
    // Last, as what comes next refuses when the engine runs.
    stamps.check(staged.made_when())?;
    Ok(plan.execute_made(&|| staged.begin(), store, control)?)
}
