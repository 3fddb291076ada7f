//! Into a journal, and then onto the disk.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use rustix::io::Errno;
use thiserror::Error;

use super::{Decision, Sink};
use crate::engine::chown_check::{ChangeError, ChownCheck};
use crate::engine::context::WalkContext;
use crate::engine::control::RunControl;
use crate::engine::{Problem, ProblemKind, Stats};
use crate::fs::apply::ApplyError;
use crate::fs::attributes::ReadError;
use crate::fs::{self, Identity, PinnedFile, PinnedFiles, attributes, process};
use crate::journal::writer::{CommitTicket, Durable, JournalBroken, Writer};
use crate::journal::{Batch, Transition};

/// Journals changes, waits until that is durable, and makes them through the pins they were read
/// through.
///
/// While the journal thread writes one batch, the walk goes on and gathers the next.
pub struct JournalSink<'a> {
    writer: &'a Writer,
    most: usize,
    /// Batches that may wait for the disk at once. None where the run keeps to a rate: what was read of an
    /// inode must not be old by the time it is changed.
    most_in_flight: usize,
    batch: Batch,
    pins: PinnedFiles,
    in_flight: VecDeque<InFlight>,
}

/// A batch on its way to the disk: no inode of it is changed before `durable`.
struct InFlight {
    batch: Batch,
    pins: PinnedFiles,
    durable: CommitTicket,
}

/// Batches of one thread that may wait for the disk at once, without a rate.
const MOST_IN_FLIGHT: usize = 2;

/// Inodes of a batch, at most.
const BATCH: usize = 4096;

/// Inodes of a batch that is handed in while no other is on its way.
const LEAST: usize = 512;

/// Inodes between two looks at what has become durable.
const TURN: usize = 128;

impl<'a> JournalSink<'a> {
    /// One thread's.
    pub fn new(writer: &'a Writer, control: RunControl<'_>) -> Self {
        let pins_each = process::descriptors_for_pins() / (MOST_IN_FLIGHT + 1);
        let most = control.group_size(pins_each.clamp(1, BATCH));
        JournalSink {
            writer,
            most,
            most_in_flight: match control.rate {
                Some(_) => 0,
                None => MOST_IN_FLIGHT,
            },
            batch: Batch::default(),
            pins: PinnedFiles::default(),
            in_flight: VecDeque::new(),
        }
    }

    fn commit_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let pins = std::mem::take(&mut self.pins);
        let durable = self.writer.commit(batch.lines(), batch.named());
        self.in_flight.push_back(InFlight {
            batch,
            pins,
            durable,
        });
    }

    /// Applies what has become durable meanwhile, and hands in what was gathered: as soon as
    /// nothing is on its way, so that inodes are changed while the processor still has them in its
    /// caches; the slower the journal's disk, the larger the batches.
    fn finish_batch(&mut self, walk: &WalkContext<'_>, stats: &mut Stats) -> ControlFlow<()> {
        while let Some(answer) = self
            .in_flight
            .front()
            .and_then(|oldest| oldest.durable.poll())
        {
            self.apply_oldest(walk, stats, answer)?;
        }
        let enough = match self.in_flight.is_empty() {
            true => LEAST.min(self.most),
            false => self.most,
        };
        if self.pins.len() >= enough {
            self.commit_batch();
        }
        while self.in_flight.len() > self.most_in_flight {
            self.wait_for_oldest(walk, stats)?;
        }
        ControlFlow::Continue(())
    }

    fn wait_for_oldest(&mut self, walk: &WalkContext<'_>, stats: &mut Stats) -> ControlFlow<()> {
        match self.in_flight.front().map(|oldest| oldest.durable.wait()) {
            Some(answer) => self.apply_oldest(walk, stats, answer),
            None => ControlFlow::Continue(()),
        }
    }

    fn apply_oldest(
        &mut self,
        walk: &WalkContext<'_>,
        stats: &mut Stats,
        answer: Result<Durable, JournalBroken>,
    ) -> ControlFlow<()> {
        let Some(oldest) = self.in_flight.pop_front() else {
            return ControlFlow::Continue(());
        };
        let Ok(durable) = answer else {
            return walk.run.give_up();
        };
        let monitor = walk.run.control.monitor;
        monitor.journalled(self.writer.durable_bytes());
        apply(walk, stats, (&oldest.batch, durable), &oldest.pins)
    }
}

/// Makes the changes of a batch whose record is durable.
fn apply(
    walk: &WalkContext<'_>,
    stats: &mut Stats,
    (batch, _durable): (&Batch, Durable),
    pins: &PinnedFiles,
) -> ControlFlow<()> {
    let transitions = batch.transitions();
    let mut done = vec![0u64; transitions.len()];
    let mut flow = ControlFlow::Continue(());
    let mut chown_check = ChownCheck::default();
    for ((dir, name, identity, own), pin) in batch.inodes().zip(pins.iter()) {
        let Transition {
            file_type,
            change,
            held,
        } = &transitions[own as usize];
        let (before, after) = (&change.before, &change.after);
        stats.begun += 1;
        let applied = fs::apply_despite(pin, *file_type, (*held, *held), before, after)
            .map_err(ChangeError::from)
            .and_then(|()| Ok(chown_check.check((dir.dev, identity), pin, before, after)?));
        match applied {
            Ok(()) => done[own as usize] += 1,
            Err(error) => {
                let transition = &transitions[own as usize];
                let reason = match put_back(pin, transition) {
                    Ok(()) => error.to_string(),
                    // A call can fail that would have changed nothing: what counts is what the inode is now.
                    Err(_) if is_as_wanted(pin, identity, transition) => {
                        done[own as usize] += 1;
                        continue;
                    }
                    Err(also) => format!("{error}, and undoing the change failed: {also}"),
                };
                let path = walk.path(dir, name);
                let kind = ProblemKind::Failed;
                flow = walk.record_problem(stats, Problem { path, kind, reason });
                if flow.is_break() {
                    break;
                }
            }
        }
    }
    for (transition, count) in transitions.iter().zip(done) {
        if count > 0 {
            stats.add_changes(transition, count);
        }
    }
    flow
}

/// Why the half of a change stays that went through.
#[derive(Debug, Error)]
enum NotPutBack {
    #[error(transparent)]
    Stat(#[from] Errno),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Undoes the half of a change that went through.
fn put_back(pin: &PinnedFile, transition: &Transition) -> Result<(), NotPutBack> {
    let stat = pin.stat()?;
    let read = (attributes::read(pin, &stat)?, transition.file_type);
    let now = attributes::with_overlay_of(&transition.change, Some(pin), read)?;
    let flags = (stat.flags(), transition.held);
    let before = &transition.change.before;
    Ok(fs::apply_despite(
        pin,
        transition.file_type,
        flags,
        &now,
        before,
    )?)
}

/// Whether it is still the same inode, and has all of its change.
fn is_as_wanted(pin: &PinnedFile, identity: Identity, transition: &Transition) -> bool {
    let wanted = &transition.change.after;
    pin.stat().is_ok_and(|stat| {
        let change = &transition.change;
        let now = attributes::read(pin, &stat).and_then(|now| {
            attributes::with_overlay_of(change, Some(pin), (now, transition.file_type))
        });
        stat.identity == identity
            && now.is_ok_and(|now| now == *wanted)
            && transition.held.without(stat.flags()).is_empty()
    })
}

impl Sink for JournalSink<'_> {
    type Held = PinnedFile;

    fn change(
        &mut self,
        walk: &WalkContext<'_>,
        stats: &mut Stats,
        decision: Decision<'_, PinnedFile>,
    ) -> ControlFlow<()> {
        let Decision {
            dir,
            name,
            identity,
            transition,
            held: pin,
            links: _,
        } = decision;
        self.batch.push(dir, name, identity, transition);
        self.pins.push(pin);
        match self.pins.len().is_multiple_of(TURN) || self.pins.len() >= self.most {
            true => self.finish_batch(walk, stats),
            false => ControlFlow::Continue(()),
        }
    }

    fn finish(&mut self, walk: &WalkContext<'_>, stats: &mut Stats, whole: bool) {
        // What was not handed in is dropped, and with it nothing is lost. What was handed in is
        // or will be in the journal: it is applied too, unless all is to be undone anyway.
        if whole && !self.batch.is_empty() {
            self.commit_batch();
        }
        let gave_up = || walk.run.has_given_up();
        while !self.in_flight.is_empty() && !gave_up() {
            if self.wait_for_oldest(walk, stats).is_break() {
                break;
            }
        }
    }
}
