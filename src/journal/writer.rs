//! Appends frames and makes them durable: the file, and the thread that writes it for the walking
//! threads.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use jiff::Timestamp;
use thiserror::Error;

use super::frame::Encoder;
use super::record::{Mark, MarkLine, NameCounts, Record};

/// What keeps a journal from being written, other than its filesystem.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Nobody could find it to undo the run.
    #[error("it was removed while it was written")]
    Removed,
    /// Frames are gone, and with them the record that undoes the run.
    #[error("another program truncated it while it was written")]
    Cut,
    /// The thread that writes it cannot be started.
    #[error("no thread for it: {0}")]
    NoThread(io::Error),
}

/// The growing end of a journal file.
///
/// Space is allocated ahead of the frames by writing zeros and syncing them: a full disk shows
/// before anything is changed, and a frame's own `fdatasync(2)` then only has to write data that
/// is already mapped, not wait for the filesystem's journal.
pub struct Appender {
    file: File,
    encoder: Encoder,
    next_frame: u32,
    end: u64,
    allocated_to: u64,
    named: NameCounts,
}

const FIRST_ALLOCATION: u64 = 256 << 10;
const MAX_ALLOCATION: u64 = 8 << 20;

impl Appender {
    /// Continues after frame number `next_frame - 1`, which ends at `end`, and truncates what
    /// follows (a torn frame, unused space). `named` counts what the frames so far name.
    pub fn new(file: File, next_frame: u32, end: u64, named: NameCounts) -> io::Result<Appender> {
        file.set_len(end)?;
        let mut appender = Appender {
            file,
            encoder: Encoder::new()?,
            next_frame,
            end,
            allocated_to: end,
            named,
        };
        appender.allocate(FIRST_ALLOCATION)?;
        Ok(appender)
    }

    /// Adds lines as one frame and makes them durable; `named`: what they name.
    ///
    /// # Errors
    /// The lines are not durable; no change that they record may be made then.
    pub fn append(&mut self, lines: &[u8], named: NameCounts) -> io::Result<()> {
        let frame = self.encoder.encode(self.next_frame, lines)?;
        self.allocate(frame.len() as u64)?;
        self.file.write_all_at(&frame, self.end)?;
        self.file.sync_data()?;
        let there = self.file.metadata()?;
        // One that nobody can find any more undoes nothing.
        if there.nlink() == 0 {
            return Err(io::Error::other(AppendError::Removed));
        }
        if there.len() < self.allocated_to {
            return Err(io::Error::other(AppendError::Cut));
        }
        self.end += frame.len() as u64;
        self.next_frame += 1;
        self.named += named;
        Ok(())
    }

    /// Adds a mark with the present time, and the number of inodes left as they were.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn mark(&mut self, mark: Mark, left: u64) -> io::Result<()> {
        self.mark_with_conflicts(mark, left, 0)
    }

    /// Writes a mark that also says how many of those that are left were not touched.
    pub fn mark_with_conflicts(&mut self, mark: Mark, left: u64, conflicts: u64) -> io::Result<()> {
        let time = Timestamp::now();
        let line = Record::Mark(MarkLine {
            mark,
            left,
            conflicts,
            named: self.named,
            time,
        });
        self.append(&line.to_bytes(), NameCounts::default())
    }

    fn allocate(&mut self, needed: u64) -> io::Result<()> {
        if self.end + needed <= self.allocated_to {
            return Ok(());
        }
        let grow = self.allocated_to.clamp(FIRST_ALLOCATION, MAX_ALLOCATION);
        let target = (self.end + needed).max(self.allocated_to + grow);
        let zeros = vec![0; 64 << 10];
        while self.allocated_to < target {
            let len = (target - self.allocated_to).min(zeros.len() as u64);
            self.file
                .write_all_at(&zeros[..len as usize], self.allocated_to)?;
            self.allocated_to += len;
        }
        self.file.sync_all()
    }

    /// Gives back the space that was not used; the file.
    pub fn close(self) -> (File, io::Result<()>) {
        let given_back = self.file.set_len(self.end);
        let result = given_back.and_then(|()| self.file.sync_all());
        (self.file, result)
    }

    /// Frames so far, the header's among them.
    pub fn frames(&self) -> u32 {
        self.next_frame
    }

    /// Bytes of frames so far.
    pub fn bytes(&self) -> u64 {
        self.end
    }
}

/// Lines to be made durable, and whom to tell.
struct Commit {
    lines: Vec<u8>,
    named: NameCounts,
    durable: Sender<()>,
}

/// Resolves once its lines are durable.
pub struct CommitTicket(Receiver<()>);

/// Proof that lines are durable: the changes that they record may be made.
#[derive(Debug)]
pub struct Durable(());

/// The journal could not be written; [`Writer::close`] returns the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalBroken;

impl CommitTicket {
    /// Waits until the lines are on the disk. The answer comes once.
    pub fn wait(&self) -> Result<Durable, JournalBroken> {
        let answer = self.0.recv();
        answer.map(|()| Durable(())).map_err(|_| JournalBroken)
    }

    /// The answer, if it is known by now; it comes once.
    pub fn poll(&self) -> Option<Result<Durable, JournalBroken>> {
        match self.0.try_recv() {
            Ok(()) => Some(Ok(Durable(()))),
            Err(TryRecvError::Disconnected) => Some(Err(JournalBroken)),
            Err(TryRecvError::Empty) => None,
        }
    }
}

/// The thread that writes the journal. Whatever the walking threads hand in while it waits for the
/// disk becomes one frame: one wait serves them all.
pub struct Writer {
    commits: Sender<Commit>,
    durable_bytes: Arc<AtomicU64>,
    /// Or why there is none.
    thread: Result<JoinHandle<Written>, Box<Written>>,
}

/// The journal's end, and what kept it from being written.
type Written = (Appender, io::Result<()>);

/// How many commits may be queued; beyond that, walking threads wait.
const QUEUE: usize = 64;

/// A frame that grows by group commit is closed at this size.
const FRAME_BYTES: usize = 1 << 20;

impl Writer {
    /// Starts the thread. Where no thread can be had, this is a journal that cannot be written.
    pub fn start(appender: Appender) -> Writer {
        let durable_bytes = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&durable_bytes);
        let (commits, receiver) = bounded(QUEUE);
        let (hand, appender_for_it) = bounded(1);
        let thread = Builder::new().spawn(move || {
            let appender = appender_for_it.recv().expect("it is handed over at once");
            write(appender, &receiver, &written)
        });
        let thread = match thread {
            Ok(thread) => {
                // It waits for nothing else.
                let _ = hand.send(appender);
                Ok(thread)
            }
            Err(error) => {
                let error = io::Error::new(error.kind(), AppendError::NoThread(error));
                Err(Box::new((appender, Err(error))))
            }
        };
        Writer {
            commits,
            durable_bytes,
            thread,
        }
    }

    /// Bytes of the journal that are durable.
    pub fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Relaxed)
    }

    /// Queues lines to be written; `named`: what they name. They are durable once the ticket
    /// resolves.
    pub fn commit(&self, lines: Vec<u8>, named: NameCounts) -> CommitTicket {
        let (durable, waiter) = bounded(1);
        // Refused only when the thread has ended over an error: then the waiter hears of it.
        let _ = self.commits.send(Commit {
            lines,
            named,
            durable,
        });
        CommitTicket(waiter)
    }

    /// Waits until everything queued is written. Returns the appender for the last mark.
    ///
    /// # Errors
    /// What kept the journal from being written. The appender is then at the end of the last
    /// durable frame.
    pub fn close(self) -> Written {
        drop(self.commits);
        match self.thread.map(JoinHandle::join) {
            Ok(Ok(written)) => written,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(written) => *written,
        }
    }
}

fn write(
    mut appender: Appender,
    commits: &Receiver<Commit>,
    written: &AtomicU64,
) -> (Appender, io::Result<()>) {
    while let Ok(first) = commits.recv() {
        let Commit {
            mut lines,
            mut named,
            durable,
        } = first;
        let mut waiters = vec![durable];
        while lines.len() < FRAME_BYTES {
            let Ok(next) = commits.try_recv() else { break };
            lines.extend_from_slice(&next.lines);
            named += next.named;
            waiters.push(next.durable);
        }
        if let Err(error) = appender.append(&lines, named) {
            return (appender, Err(error));
        }
        written.store(appender.bytes(), Ordering::Relaxed);
        for waiter in waiters {
            // Nobody waits any more when the run was given up.
            let _ = waiter.send(());
        }
    }
    (appender, Ok(()))
}
