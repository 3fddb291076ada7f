//! Where the changes of a walk go: into a journal and then onto the disk, or into a manifest.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::decide::Run;
use super::{Problem, ProblemKind, Tally};
use crate::fs::{self, DirPath, Identity, Pin, attributes, process};
use crate::record::manifest::{LinePath, ManifestLine, ManifestWriter, NoteLine};
use crate::record::writer::{Durable, Writer};
use crate::record::{Batch, Transition, name};

/// Takes what one thread wants changed.
pub trait Sink {
    /// An inode that is to change, pinned.
    #[allow(
        clippy::too_many_arguments,
        reason = "one inode, and whom to tell of it"
    )]
    fn change(
        &mut self,
        run: &Run<'_>,
        tally: &mut Tally,
        dir: &Arc<DirPath>,
        name: &[u8],
        pin: Pin,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()>;

    /// An inode that is left as it is.
    fn left(&mut self, _problem: &Problem) {}

    /// A mount point that is not crossed.
    fn mount(&mut self, _path: &Path) {}

    /// The walk is over for this thread; not `whole`: before its end.
    fn finish(&mut self, run: &Run<'_>, tally: &mut Tally, whole: bool);
}

/// Journals changes, waits until that is durable, and makes them through the pins they were read
/// through.
///
/// While the journal thread writes one batch, the walk goes on and gathers the next.
pub struct JournalSink<'a> {
    writer: &'a Writer,
    written: &'a AtomicU64,
    most: usize,
    batch: Batch,
    pins: Vec<Pin>,
    sealed: VecDeque<Sealed>,
}

/// A batch on its way to the disk: no inode of it is changed before `durable`.
struct Sealed {
    batch: Batch,
    pins: Vec<Pin>,
    durable: Durable,
}

/// Batches of one thread that may wait for the disk at once.
const IN_FLIGHT: usize = 2;

/// Inodes of a batch.
const BATCH: usize = 4096;

impl<'a> JournalSink<'a> {
    /// One thread's. `written` is where the journal thread counts.
    pub fn new(writer: &'a Writer, written: &'a AtomicU64) -> Self {
        let pins_each = process::descriptors_for_pins() / (IN_FLIGHT + 1);
        JournalSink {
            writer,
            written,
            most: pins_each.clamp(1, BATCH),
            batch: Batch::default(),
            pins: Vec::new(),
            sealed: VecDeque::new(),
        }
    }

    fn seal(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let pins = std::mem::take(&mut self.pins);
        let durable = self.writer.commit(batch.lines());
        self.sealed.push_back(Sealed {
            batch,
            pins,
            durable,
        });
    }

    fn apply_oldest(&mut self, run: &Run<'_>, tally: &mut Tally) -> ControlFlow<()> {
        let Some(sealed) = self.sealed.pop_front() else {
            return ControlFlow::Continue(());
        };
        if sealed.durable.wait().is_err() {
            return run.give_up();
        }
        run.monitor.journalled(self.written.load(Ordering::Relaxed));
        apply(run, tally, &sealed.batch, &sealed.pins)
    }
}

/// Makes the changes of a batch whose record is durable.
fn apply(run: &Run<'_>, tally: &mut Tally, batch: &Batch, pins: &[Pin]) -> ControlFlow<()> {
    let transitions = batch.transitions();
    let mut done = vec![0u64; transitions.len()];
    let mut flow = ControlFlow::Continue(());
    for ((dir, name, own), pin) in batch.inodes().zip(pins) {
        let Transition {
            file_type,
            change,
            held,
        } = &transitions[own as usize];
        let (before, after) = (&change.before, &change.after);
        match fs::apply_despite(pin, *file_type, (*held, *held), before, after) {
            Ok(()) => done[own as usize] += 1,
            Err(error) => {
                let reason = match put_back(pin, &transitions[own as usize]) {
                    Ok(()) => error.to_string(),
                    Err(also) => format!("{error}, and putting it back failed: {also}"),
                };
                let path = run.path(dir, name);
                let kind = ProblemKind::Failed;
                flow = run.problem(tally, Problem { path, kind, reason });
                if flow.is_break() {
                    break;
                }
            }
        }
    }
    for (transition, count) in transitions.iter().zip(done) {
        if count > 0 {
            tally.changes(transition, count);
        }
    }
    flow
}

/// Undoes the half of a change that went through.
fn put_back(pin: &Pin, transition: &Transition) -> Result<(), String> {
    let stat = pin.stat().map_err(|errno| errno.to_string())?;
    let now = attributes::read(pin, &stat).map_err(|error| error.to_string())?;
    let flags = (stat.flags(), transition.held);
    let before = &transition.change.before;
    fs::apply_despite(pin, transition.file_type, flags, &now, before)
        .map_err(|error| error.to_string())
}

impl Sink for JournalSink<'_> {
    fn change(
        &mut self,
        run: &Run<'_>,
        tally: &mut Tally,
        dir: &Arc<DirPath>,
        name: &[u8],
        pin: Pin,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        self.batch.push(dir, name, identity, transition);
        self.pins.push(pin);
        if self.pins.len() < self.most {
            return ControlFlow::Continue(());
        }
        self.seal();
        match self.sealed.len() > IN_FLIGHT {
            true => self.apply_oldest(run, tally),
            false => ControlFlow::Continue(()),
        }
    }

    fn finish(&mut self, run: &Run<'_>, tally: &mut Tally, whole: bool) {
        // What was not handed in is dropped, and with it nothing is lost. What was handed in is
        // or will be in the journal: it is applied too, unless all is to be undone anyway.
        if whole && !self.batch.is_empty() {
            self.seal();
        }
        let gave_up = || run.gave_up.load(Ordering::Relaxed);
        while !self.sealed.is_empty() && !gave_up() {
            if self.apply_oldest(run, tally).is_break() {
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
        drop(self.writer.commit(batch.lines()));
    }
}

impl Sink for ListSink<'_> {
    fn change(
        &mut self,
        _run: &Run<'_>,
        tally: &mut Tally,
        dir: &Arc<DirPath>,
        name: &[u8],
        _pin: Pin,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        tally.changes(&transition, 1);
        self.batch.push(dir, name, identity, transition);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, _run: &Run<'_>, _tally: &mut Tally, _whole: bool) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
    }
}

/// Takes an inode that would change for one that is not as it should be: for verify.
pub struct DifferenceSink;

impl Sink for DifferenceSink {
    fn change(
        &mut self,
        run: &Run<'_>,
        tally: &mut Tally,
        dir: &Arc<DirPath>,
        name: &[u8],
        _pin: Pin,
        _identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        let now = &transition.change.before;
        let problem = Problem {
            path: run.path(dir, name),
            kind: ProblemKind::Conflict,
            reason: format!("is not shifted: it belongs to {}:{}", now.uid, now.gid),
        };
        run.problem(tally, problem)
    }

    fn finish(&mut self, _run: &Run<'_>, _tally: &mut Tally, _whole: bool) {}
}

/// Writes what would change into a manifest that all threads share; without one it only counts.
pub struct ManifestSink<'a> {
    manifest: Option<&'a SharedManifest>,
    lines: Vec<u8>,
    /// The directory last met and its path as the beginning of a JSON string, where it is UTF-8.
    dir: Option<(Arc<DirPath>, Vec<u8>)>,
    transitions: HashMap<Transition, (u64, Vec<u8>)>,
}

/// A manifest that several threads write to, and the first error doing so.
pub struct SharedManifest {
    writer: Mutex<ManifestWriter>,
    error: Mutex<Option<std::io::Error>>,
}

impl SharedManifest {
    /// For this writer, whose header is already written.
    pub fn new(writer: ManifestWriter) -> SharedManifest {
        SharedManifest {
            writer: Mutex::new(writer),
            error: Mutex::new(None),
        }
    }

    fn write(&self, lines: &[u8]) -> Result<(), ()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write(lines).map_err(|error| {
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
        })
    }

    /// The writer again, for the summary; or what went wrong.
    pub fn into_writer(self) -> std::io::Result<ManifestWriter> {
        match self
            .error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(error) => Err(error),
            None => Ok(self
                .writer
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// Lines are handed over in pieces of this size.
const MANIFEST_BUFFER: usize = 256 << 10;

impl<'a> ManifestSink<'a> {
    /// One thread's.
    pub fn new(manifest: Option<&'a SharedManifest>) -> Self {
        ManifestSink {
            manifest,
            lines: Vec::new(),
            dir: None,
            transitions: HashMap::new(),
        }
    }

    fn line(&mut self, line: &ManifestLine) {
        if self.manifest.is_some() {
            self.lines.extend_from_slice(&line.to_bytes());
        }
    }

    fn hand_over(&mut self, run: &Run<'_>) -> ControlFlow<()> {
        let Some(manifest) = self.manifest else {
            return ControlFlow::Continue(());
        };
        match manifest.write(&std::mem::take(&mut self.lines)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(()) => run.give_up(),
        }
    }

    /// `"path":"…"`, the directory's part of it from the last time.
    fn path(&mut self, run: &Run<'_>, dir: &Arc<DirPath>, name: &[u8]) {
        let is_same = |(known, _): &(Arc<DirPath>, Vec<u8>)| Arc::ptr_eq(known, dir);
        if !self.dir.as_ref().is_some_and(is_same) {
            let path = run.path(dir, b".");
            self.dir = Some((Arc::clone(dir), path.into_os_string().into_encoded_bytes()));
        }
        let Some((_, prefix)) = &self.dir else { return };
        let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
        path.extend_from_slice(prefix);
        if name != b"." {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        match std::str::from_utf8(&path) {
            Ok(_) => {
                self.lines.extend_from_slice(b"\"path\":");
                name::write_json(&mut self.lines, &path);
            }
            Err(_) => {
                let line = serde_json::to_vec(&LinePath::new(&path)).unwrap_or_default();
                self.lines.extend_from_slice(&line[1..line.len() - 1]);
            }
        }
    }
}

impl Sink for ManifestSink<'_> {
    fn change(
        &mut self,
        run: &Run<'_>,
        tally: &mut Tally,
        dir: &Arc<DirPath>,
        name: &[u8],
        _pin: Pin,
        identity: Identity,
        transition: Transition,
    ) -> ControlFlow<()> {
        tally.changes(&transition, 1);
        if self.manifest.is_none() {
            return ControlFlow::Continue(());
        }
        self.lines.extend_from_slice(b"{\"kind\":\"change\",");
        self.path(run, dir, name);
        let (ino, born) = (identity.ino, identity.born);
        self.lines
            .extend_from_slice(format!(",\"ino\":{ino}").as_bytes());
        if born != 0 {
            self.lines
                .extend_from_slice(format!(",\"born\":{born}").as_bytes());
        }
        let rendered = self
            .transitions
            .entry(transition)
            .or_insert_with_key(|transition| (0, render(transition)));
        self.lines.extend_from_slice(&rendered.1);
        match self.lines.len() >= MANIFEST_BUFFER {
            true => self.hand_over(run),
            false => ControlFlow::Continue(()),
        }
    }

    fn left(&mut self, problem: &Problem) {
        let note = match problem.kind {
            ProblemKind::Unmapped => "unmapped",
            ProblemKind::Failed => "failed",
            ProblemKind::Conflict => "conflict",
        };
        self.line(&ManifestLine::Note(NoteLine {
            path: LinePath::new(problem.path.as_os_str().as_encoded_bytes()),
            note: note.into(),
            reason: problem.reason.clone(),
        }));
    }

    fn mount(&mut self, path: &Path) {
        self.line(&ManifestLine::Note(NoteLine {
            path: LinePath::new(path.as_os_str().as_encoded_bytes()),
            note: "mount".into(),
            reason: "is a mount point; --cross-mounts goes on below it".into(),
        }));
    }

    fn finish(&mut self, run: &Run<'_>, _tally: &mut Tally, _whole: bool) {
        let _ = self.hand_over(run);
    }
}

/// What all change lines of one transition end in.
fn render(transition: &Transition) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Rest<'a> {
        r#type: crate::ownership::FileType,
        before: &'a crate::ownership::Ownership,
        after: &'a crate::ownership::Ownership,
        #[serde(skip_serializing_if = "crate::ownership::Flags::is_empty")]
        flags: crate::ownership::Flags,
    }
    let rest = Rest {
        r#type: transition.file_type,
        before: &transition.change.before,
        after: &transition.change.after,
        flags: transition.held,
    };
    // `{"type":…}` loses its brace and takes a comma instead.
    let mut bytes = serde_json::to_vec(&rest).unwrap_or_default();
    bytes[0] = b',';
    bytes.push(b'\n');
    bytes
}
