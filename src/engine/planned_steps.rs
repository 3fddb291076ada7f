//! The steps of a plan.

use std::io;
use std::path::PathBuf;

use crate::journal::Step;
use crate::journal::record::{NameCounts, Record};
use crate::journal::writer::Writer;

/// Done when all of a plan is in the journal, and before the journal says so: nothing is changed before that, and from then on
/// the journal knows what to do about what was made for the plan.
pub type OnListed<'a> = &'a dyn Fn() -> io::Result<()>;

/// What a plan does besides changing owners.
#[derive(Default)]
pub struct PlannedSteps {
    /// The steps, in order.
    pub list: Vec<Step>,
    /// How many of them are taken before any owner is changed.
    pub early: usize,
    /// Directories in which only steps are taken. The trees come first in the numbering of roots: these are counted on from
    /// them.
    pub roots: Vec<PathBuf>,
}

impl PlannedSteps {
    /// Those before any owner is changed, and those after.
    pub fn new(early: Vec<Step>, late: Vec<Step>, roots: Vec<PathBuf>) -> PlannedSteps {
        PlannedSteps {
            early: early.len(),
            list: [early, late].concat(),
            roots,
        }
    }

    /// Hands them in; whether they could be written, [`Writer::close`] says.
    pub(super) fn journal(&self, writer: &Writer) {
        // A frame is read whole into memory.
        const FRAME: usize = 1 << 20;
        let mut lines = Vec::new();
        let mut named = NameCounts::default();
        for (n, step) in self.list.iter().enumerate() {
            named.steps += 1;
            lines.extend_from_slice(&Record::Step(Box::new(step.clone())).to_bytes());
            if lines.len() >= FRAME || n + 1 == self.list.len() {
                drop(writer.commit(std::mem::take(&mut lines), std::mem::take(&mut named)));
            }
        }
    }
}
