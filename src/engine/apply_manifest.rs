//! Applying a reviewed manifest, and nothing else.

use std::path::Path;
use std::sync::Arc;

use super::control::RunControl;
use super::execute::Execution;
use super::refusal::Refusal;
use super::replay::{FailurePolicy, Replay};
use super::request::ShiftRequest;
use super::session::Session;
use super::target::Target;
use super::{Ending, Monitor, Phase, Report};
use crate::fs::{DirPath, Identity};
use crate::guidance::Guidance;
use crate::journal::error::StoreError;
use crate::journal::manifest::{Manifest, ManifestError};
use crate::journal::record::NameCounts;
use crate::journal::writer::Appender;
use crate::journal::{Batch, Mark, Name, Store, Transition};
use crate::ownership::Change;

/// Makes the changes of a manifest. All of them go into the journal first; then the journal is
/// carried out, as `resume` would. An inode that is not as the manifest says it was is a conflict.
///
/// # Errors
/// [`Refusal`]: nothing was changed.
pub fn apply_manifest(
    manifest: &Manifest,
    request: &ShiftRequest,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let monitor = control.monitor;
    let session = Session::of_request(control, request)?.preflight(request, store)?;
    let mut header = request.header(session.roots(), true);
    // The trees as they were reviewed: one that was replaced since is a conflict.
    header.roots.clone_from(&manifest.header.roots);
    let mut session = session.begin_journal(store, header)?;

    monitor.phase(Phase::Listing, Some(manifest.changes));
    let listed = session.append(|appender| journal_changes(manifest, appender, monitor));
    if let Err(error) = listed {
        let refusal = error.at(session.journal());
        session.discard();
        return Err(refusal);
    }
    let (mut session, journal) = session.read_journal()?;
    let all_or_nothing = !request.walk.keep_going;
    // All drift is found, and told, before anything is changed.
    monitor.phase(Phase::Comparing, Some(journal.inodes));
    let compare = Replay::new(&journal, Target::After, control);
    let compared = match compare.run(request.jobs) {
        Ok(compared) => compared,
        Err(unreadable) => {
            session.discard();
            return Err(unreadable.into());
        }
    };
    let mut found = compared.stats;
    let ending = match (compared.cut_short, found.changed, found.left()) {
        (true, _, _) => Some(Ending::Interrupted),
        (false, _, 1..) if all_or_nothing => Some(Ending::RolledBack {
            why: std::mem::take(&mut found.problems),
        }),
        (false, 0, 0) => Some(Ending::Done),
        _ => None,
    };
    if let Some(ending) = ending {
        return Ok(session.unchanged(ending, found));
    }
    if found.already > 0 {
        session.discard();
        return Err(Refusal::NotThisOne {
            path: manifest.path.clone(),
            reason: format!(
                "{} of its {} inodes already have the owners that it would give them. So it does not \
                describe the tree as it is now, and a rollback would undo an earlier run as well. {}",
                found.already,
                manifest.changes,
                Guidance::NewManifest
            ),
        });
    }
    session.execute(&Execution {
        journal: &journal,
        accept_partial: false,
        give_up: match all_or_nothing {
            true => FailurePolicy::OnConflict,
            false => FailurePolicy::Never,
        },
        jobs: request.jobs,
    });
    Ok(session.finish(request.jobs))
}

enum ListError {
    Manifest(ManifestError),
    Journal(std::io::Error),
}

impl ListError {
    fn at(self, journal: &Path) -> Refusal {
        match self {
            ListError::Manifest(error) => error.into(),
            ListError::Journal(source) => Refusal::Store(StoreError::Io {
                path: journal.to_path_buf(),
                source,
            }),
        }
    }
}

/// Inodes of one frame.
const BATCH: usize = 16384;

/// Puts every change of the manifest into the journal.
fn journal_changes(
    manifest: &Manifest,
    appender: &mut Appender,
    monitor: &dyn Monitor,
) -> Result<(), ListError> {
    let mut batch = Batch::default();
    let mut place: Option<Arc<DirPath>> = None;
    for reviewed in manifest.changes().map_err(ListError::Manifest)? {
        let reviewed = reviewed.map_err(ListError::Manifest)?;
        let (name, dir_names) = match reviewed.names.split_last() {
            Some((name, dir_names)) => (&name.0[..], dir_names),
            None => (&b"."[..], &[][..]),
        };
        let dir = directory(place.take(), reviewed.root, dir_names);
        let change = reviewed.change;
        let transition = Transition {
            file_type: change.file_type,
            change: Change {
                before: change.before,
                after: change.after,
            },
            held: change.flags,
        };
        batch.push(&dir, name, change.identity, transition);
        place = Some(dir);
        if batch.len() >= BATCH {
            let full = std::mem::take(&mut batch);
            monitor.progress(full.len() as u64, 0);
            append(appender, &full)?;
        }
    }
    if !batch.is_empty() {
        append(appender, &batch)?;
    }
    manifest.check_unchanged().map_err(ListError::Manifest)?;
    appender.mark(Mark::Listed, 0).map_err(ListError::Journal)
}

fn append(appender: &mut Appender, batch: &Batch) -> Result<(), ListError> {
    let named = NameCounts {
        inodes: batch.len() as u64,
        steps: 0,
    };
    let appended = appender.append(&batch.lines(), named);
    appended.map_err(ListError::Journal)
}

/// The path of a directory; it shares with the last one what they have in common.
fn directory(last: Option<Arc<DirPath>>, root: usize, names: &[Name]) -> Arc<DirPath> {
    // A manifest names directories by path alone: their inodes are not compared, those of the
    // entries are.
    const UNKNOWN: Identity = Identity { ino: 0, born: 0 };
    let mut shared = last
        .filter(|last| last.root == root)
        .unwrap_or_else(|| DirPath::root(root, UNKNOWN, 0));
    let known = shared.tail(shared.depth);
    let same = known
        .iter()
        .zip(names)
        .take_while(|(known, name)| **known == &name.0[..])
        .count();
    while shared.depth > same {
        let Some(parent) = shared.parent() else { break };
        shared = Arc::clone(parent);
    }
    names[same..]
        .iter()
        .fold(shared, |dir, name| dir.child(&name.0, UNKNOWN, 0))
}
