//! Where the changes of a walk go: into a journal, and then onto the disk.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chown_check::ChownCheck;
use super::sync::ChangedCounter;
use super::visitor::RunContext;
use super::{Problem, ProblemKind, Stats, Stop};
use crate::fs::{self, DirPath, Identity, PinnedFile, PinnedFiles, attributes, process};
use crate::journal::writer::{CommitTicket, JournalBroken, Writer};
use crate::journal::{Batch, Transition};

/// What a sink must have of an inode that is to change.
pub trait Held: Sized {
    /// Whether that is its pin.
    const IS_PIN: bool;

    /// From an inode that is pinned, or not.
    fn of(pin: Option<PinnedFile>) -> Option<Self>;
}

impl Held for PinnedFile {
    const IS_PIN: bool = true;

    fn of(pin: Option<PinnedFile>) -> Option<PinnedFile> {
        pin
    }
}

/// Nothing: the sink changes no inode.
impl Held for () {
    const IS_PIN: bool = false;

    fn of(_pin: Option<PinnedFile>) -> Option<()> {
        Some(())
    }
}

/// Takes what one thread wants changed.
pub trait Sink {
    /// What it must have of each inode.
    type Held: Held;

    /// An inode that is to change.
    #[allow(
        clippy::too_many_arguments,
        reason = "one inode, and whom to tell of it"
    )]
    fn change(
        &mut self,
        run: &RunContext<'_>,
        stats: &mut Stats,
        dir: &Arc<DirPath>,
        name: &[u8],
        held: Self::Held,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()>;

    /// An inode that is left as it is.
    fn left(&mut self, _problem: &Problem) {}

    /// A mount point that is not crossed.
    fn mount(&mut self, _path: &Path) {}

    /// The walk is over for this thread; not `whole`: before its end.
    fn finish(&mut self, run: &RunContext<'_>, stats: &mut Stats, whole: bool);
}

/// Journals changes, waits until that is durable, and makes them through the pins they were read
/// through.
///
/// While the journal thread writes one batch, the walk goes on and gathers the next.
pub struct JournalSink<'a> {
    writer: &'a Writer,
    written: &'a AtomicU64,
    changed: &'a ChangedCounter,
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
    /// One thread's. `written` is where the journal thread counts.
    pub fn new(
        writer: &'a Writer,
        written: &'a AtomicU64,
        changed: &'a ChangedCounter,
        stop: &Stop,
    ) -> Self {
        let pins_each = process::descriptors_for_pins() / (MOST_IN_FLIGHT + 1);
        let most = stop.group(pins_each.clamp(1, BATCH));
        JournalSink {
            writer,
            written,
            changed,
            most,
            most_in_flight: match stop.has_rate() {
                true => 0,
                false => MOST_IN_FLIGHT,
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
    fn finish_batch(&mut self, run: &RunContext<'_>, stats: &mut Stats) -> ControlFlow<()> {
        while let Some(answer) = self
            .in_flight
            .front()
            .and_then(|oldest| oldest.durable.poll())
        {
            self.apply_oldest(run, stats, answer)?;
        }
        let enough = match self.in_flight.is_empty() {
            true => LEAST.min(self.most),
            false => self.most,
        };
        if self.pins.len() >= enough {
            self.commit_batch();
        }
        while self.in_flight.len() > self.most_in_flight {
            self.wait_for_oldest(run, stats)?;
        }
        ControlFlow::Continue(())
    }

    fn wait_for_oldest(&mut self, run: &RunContext<'_>, stats: &mut Stats) -> ControlFlow<()> {
        match self.in_flight.front().map(|oldest| oldest.durable.wait()) {
            Some(answer) => self.apply_oldest(run, stats, answer),
            None => ControlFlow::Continue(()),
        }
    }

    fn apply_oldest(
        &mut self,
        run: &RunContext<'_>,
        stats: &mut Stats,
        answer: Result<(), JournalBroken>,
    ) -> ControlFlow<()> {
        let Some(oldest) = self.in_flight.pop_front() else {
            return ControlFlow::Continue(());
        };
        if answer.is_err() {
            return run.give_up();
        }
        run.monitor.journalled(self.written.load(Ordering::Relaxed));
        self.changed.count(oldest.pins.len() as u64);
        apply(run, stats, &oldest.batch, &oldest.pins)
    }
}

/// Makes the changes of a batch whose record is durable.
fn apply(
    run: &RunContext<'_>,
    stats: &mut Stats,
    batch: &Batch,
    pins: &PinnedFiles,
) -> ControlFlow<()> {
    let transitions = batch.transitions();
    let mut done = vec![0u64; transitions.len()];
    let mut flow = ControlFlow::Continue(());
    let mut kept = ChownCheck::default();
    for ((dir, name, identity, own), pin) in batch.inodes().zip(pins.iter()) {
        let Transition {
            file_type,
            change,
            held,
        } = &transitions[own as usize];
        let (before, after) = (&change.before, &change.after);
        stats.begun += 1;
        let applied = fs::apply_despite(pin, *file_type, (*held, *held), before, after)
            .map_err(|error| error.to_string())
            .and_then(|()| kept.check((dir.dev, identity), pin, before, after));
        match applied {
            Ok(()) => done[own as usize] += 1,
            Err(error) => {
                let transition = &transitions[own as usize];
                let reason = match put_back(pin, transition) {
                    Ok(()) => error,
                    // A call can fail that would have changed nothing: what counts is what the inode is now.
                    Err(_) if is_as_wanted(pin, identity, transition) => {
                        done[own as usize] += 1;
                        continue;
                    }
                    Err(also) => format!("{error}, and putting it back failed: {also}"),
                };
                let path = run.path(dir, name);
                let kind = ProblemKind::Failed;
                flow = run.record_problem(stats, Problem { path, kind, reason });
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

/// Undoes the half of a change that went through.
fn put_back(pin: &PinnedFile, transition: &Transition) -> Result<(), String> {
    let stat = pin.stat().map_err(|errno| errno.to_string())?;
    let now = attributes::read(pin, &stat).map_err(|error| error.to_string())?;
    let flags = (stat.flags(), transition.held);
    let before = &transition.change.before;
    fs::apply_despite(pin, transition.file_type, flags, &now, before)
        .map_err(|error| error.to_string())
}

/// Whether it is still the same inode, and has all of its change.
fn is_as_wanted(pin: &PinnedFile, identity: Identity, transition: &Transition) -> bool {
    let wanted = &transition.change.after;
    pin.stat().is_ok_and(|stat| {
        let now = attributes::read(pin, &stat);
        stat.identity == identity
            && now.is_ok_and(|now| now == *wanted)
            && transition.held.without(stat.flags()).is_empty()
    })
}

impl Sink for JournalSink<'_> {
    type Held = PinnedFile;

    fn change(
        &mut self,
        run: &RunContext<'_>,
        stats: &mut Stats,
        dir: &Arc<DirPath>,
        name: &[u8],
        pin: PinnedFile,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        self.batch.push(dir, name, identity, transition);
        self.pins.push(pin);
        match self.pins.len().is_multiple_of(TURN) || self.pins.len() >= self.most {
            true => self.finish_batch(run, stats),
            false => ControlFlow::Continue(()),
        }
    }

    fn finish(&mut self, run: &RunContext<'_>, stats: &mut Stats, whole: bool) {
        // What was not handed in is dropped, and with it nothing is lost. What was handed in is
        // or will be in the journal: it is applied too, unless all is to be undone anyway.
        if whole && !self.batch.is_empty() {
            self.commit_batch();
        }
        let gave_up = || run.gave_up.load(Ordering::Relaxed);
        while !self.in_flight.is_empty() && !gave_up() {
            if self.wait_for_oldest(run, stats).is_break() {
                break;
            }
        }
    }
}

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
        _run: &RunContext<'_>,
        stats: &mut Stats,
        dir: &Arc<DirPath>,
        name: &[u8],
        (): (),
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        stats.add_changes(&transition, 1);
        self.batch.push(dir, name, identity, transition);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, _run: &RunContext<'_>, _tally: &mut Stats, _whole: bool) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
    }
}

/// Takes an inode that would change for one that is not as it should be: for verify.
pub struct DifferenceSink;

impl Sink for DifferenceSink {
    type Held = ();

    fn change(
        &mut self,
        run: &RunContext<'_>,
        stats: &mut Stats,
        dir: &Arc<DirPath>,
        name: &[u8],
        (): (),
        _identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        let now = &transition.change.before;
        let problem = Problem {
            path: run.path(dir, name),
            kind: ProblemKind::Conflict,
            reason: format!("is not shifted: it belongs to {}:{}", now.uid, now.gid),
        };
        run.record_problem(stats, problem)
    }

    fn finish(&mut self, _run: &RunContext<'_>, _tally: &mut Stats, _whole: bool) {}
}
