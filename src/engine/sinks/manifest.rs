//! Into a manifest that all threads of a dry run share.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::{Decision, Sink};
use crate::engine::context::WalkContext;
use crate::engine::{Problem, ProblemKind, Stats};
use crate::fs::DirPath;
use crate::guidance::Guidance;
use crate::journal::Transition;
use crate::journal::manifest::{ManifestLine, ManifestWriter, NoteLine};
use crate::journal::name::{self, Name};

/// Writes what would change into a manifest that all threads share; without one it only counts.
pub struct ManifestSink<'a> {
    manifest: Option<&'a SharedManifest>,
    lines: Vec<u8>,
    /// The directory last met.
    dir: Option<KnownDir>,
    /// The transition last met, and its text.
    latest: Option<(Transition, Vec<u8>)>,
    transitions: HashMap<Transition, Vec<u8>, RandomState>,
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
            latest: None,
            transitions: HashMap::default(),
        }
    }

    fn line(&mut self, line: &ManifestLine) {
        let Some(manifest) = self.manifest else {
            return;
        };
        self.lines.extend_from_slice(&line.to_bytes());
        if self.lines.len() >= MANIFEST_BUFFER {
            // What goes wrong is kept, and told when the walk is over.
            let _ = manifest.write(&std::mem::take(&mut self.lines));
        }
    }

    fn hand_over(&mut self, walk: &WalkContext<'_>) -> ControlFlow<()> {
        let Some(manifest) = self.manifest else {
            return ControlFlow::Continue(());
        };
        match manifest.write(&std::mem::take(&mut self.lines)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(()) => walk.run.give_up(),
        }
    }

    /// `"path":"…"`, the directory's part of it from the last time.
    fn path(&mut self, walk: &WalkContext<'_>, dir: &Arc<DirPath>, name: &[u8]) {
        let is_same = |known: &KnownDir| Arc::ptr_eq(&known.dir, dir);
        if !self.dir.as_ref().is_some_and(is_same) {
            self.dir = Some(KnownDir::new(walk, dir));
        }
        match &self.dir {
            Some(KnownDir {
                json: Some(json), ..
            }) if name != b"." && name::is_plain(name) => {
                self.lines.extend_from_slice(json);
                self.lines.extend_from_slice(name);
                self.lines.push(b'"');
            }
            _ => {
                let path = walk.path(dir, name);
                self.lines.extend_from_slice(b"\"path\":");
                name::write_json(&mut self.lines, path.as_os_str().as_encoded_bytes());
            }
        }
    }

    /// What a line of this transition ends in.
    fn transition(&mut self, transition: Transition) {
        let is_latest = |(latest, _): &(Transition, Vec<u8>)| *latest == transition;
        if !self.latest.as_ref().is_some_and(is_latest) {
            // Few trees have many; one that has must not fill the memory.
            if self.transitions.len() >= MOST_TRANSITIONS {
                self.transitions.clear();
            }
            let rendered = self
                .transitions
                .entry(transition.clone())
                .or_insert_with_key(render);
            self.latest = Some((transition, rendered.clone()));
        }
        if let Some((_, rendered)) = &self.latest {
            self.lines.extend_from_slice(rendered);
        }
    }
}

/// Transitions whose text is kept.
const MOST_TRANSITIONS: usize = 4096;

/// A directory whose path has been written before.
struct KnownDir {
    dir: Arc<DirPath>,
    /// `"path":"…/`, the beginning of a JSON string, where nothing in it needs more.
    json: Option<Vec<u8>>,
}

impl KnownDir {
    fn new(walk: &WalkContext<'_>, dir: &Arc<DirPath>) -> KnownDir {
        let path = walk.path(dir, b".").into_os_string().into_encoded_bytes();
        let json = name::is_plain(&path).then(|| [b"\"path\":\"", &path[..], b"/"].concat());
        KnownDir {
            dir: Arc::clone(dir),
            json,
        }
    }
}

impl Sink for ManifestSink<'_> {
    type Held = ();

    fn change(
        &mut self,
        walk: &WalkContext<'_>,
        stats: &mut Stats,
        decision: Decision<'_, ()>,
    ) -> ControlFlow<()> {
        stats.add_changes(&decision.transition, 1);
        if self.manifest.is_none() {
            return ControlFlow::Continue(());
        }
        self.lines.extend_from_slice(b"{\"kind\":\"change\",");
        self.path(walk, decision.dir, decision.name);
        let identity = decision.identity;
        let mut digits = itoa::Buffer::new();
        self.lines.extend_from_slice(b",\"ino\":");
        self.lines
            .extend_from_slice(digits.format(identity.ino).as_bytes());
        if identity.born != 0 {
            self.lines.extend_from_slice(b",\"born\":");
            self.lines
                .extend_from_slice(digits.format(identity.born).as_bytes());
        }
        if let Some(links) = decision.links {
            self.lines.extend_from_slice(b",\"links\":");
            self.lines
                .extend_from_slice(digits.format(links).as_bytes());
        }
        self.transition(decision.transition);
        match self.lines.len() >= MANIFEST_BUFFER {
            true => self.hand_over(walk),
            false => ControlFlow::Continue(()),
        }
    }

    fn left(&mut self, problem: &Problem, links: Option<u32>) {
        let note = match problem.kind {
            ProblemKind::OutsideMap | ProblemKind::Unmapped => "unmapped",
            ProblemKind::Failed | ProblemKind::Protected => "failed",
            ProblemKind::Conflict | ProblemKind::Gone | ProblemKind::Replaced => "conflict",
        };
        self.line(&ManifestLine::Note(NoteLine {
            path: Name::from(&*problem.path),
            links,
            note: note.into(),
            reason: problem.reason.clone(),
        }));
    }

    fn mount(&mut self, path: &Path) {
        self.line(&ManifestLine::Note(NoteLine {
            path: Name::from(path),
            links: None,
            note: "mount".into(),
            reason: format!("is a mount point; {}", Guidance::CrossMounts),
        }));
    }

    fn finish(&mut self, walk: &WalkContext<'_>, _stats: &mut Stats, _whole: bool) {
        let _ = self.hand_over(walk);
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
