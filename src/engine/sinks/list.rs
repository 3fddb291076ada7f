//! Into a journal that is to be whole before anything is changed.

use std::ops::ControlFlow;

use super::{Decision, Sink};
use crate::engine::Stats;
use crate::engine::context::WalkContext;
use crate::journal::Batch;
use crate::journal::writer::Writer;

/// Inodes of a batch, at most.
const BATCH: usize = 4096;

/// Puts changes into the journal and makes none: for a run whose journal is to be whole before it
/// begins.
pub struct ListSink<'a> {
    writer: &'a Writer,
    batch: Batch,
}

impl<'a> ListSink<'a> {
    /// One thread's.
    pub fn new(writer: &'a Writer) -> Self {
        ListSink {
            writer,
            batch: Batch::default(),
        }
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        // Whoever closes the writer hears of an error.
        drop(self.writer.commit(batch.lines(), batch.named()));
    }
}

impl Sink for ListSink<'_> {
    type Held = ();

    fn change(
        &mut self,
        _walk: &WalkContext<'_>,
        stats: &mut Stats,
        decision: Decision<'_, ()>,
    ) -> ControlFlow<()> {
        stats.add_changes(&decision.transition, 1);
        let batch = &mut self.batch;
        batch.push(
            decision.dir,
            decision.name,
            decision.identity,
            decision.transition,
        );
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, _walk: &WalkContext<'_>, _stats: &mut Stats, _whole: bool) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
    }
}
