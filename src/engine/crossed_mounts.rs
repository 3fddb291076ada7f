//! The mount points that a walk crosses. Whoever finishes a run crosses those that it crossed, and no others.

use std::path::Path;

use super::context::WalkScope;
use super::refusal::Refusal;
use crate::fs::Root;
use crate::fs::escape::shell_word;
use crate::journal::id::argument;
use crate::journal::record::CrossedMount;
use crate::journal::{Journal, Name};

/// Those below the trees that a walk is to cross, for a record. One that cannot be looked at is no one's: the walk tells of it.
pub(super) fn crossed_mounts(scope: &WalkScope<'_>, trees: &[Root]) -> Vec<CrossedMount> {
    let Some(known) = &scope.known_mounts else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (number, tree) in trees.iter().enumerate() {
        let is_left_out = |point: &Path| {
            let below = point.strip_prefix(&tree.path).unwrap_or(point);
            let globs = scope.exclude.as_ref();
            globs.is_some_and(|globs| below.ancestors().any(|it| globs.matches(number, it)))
        };
        for (point, pin) in known.below(&tree.path) {
            let Some(stat) = pin.stat().ok().filter(|_| !is_left_out(&point)) else {
                continue;
            };
            all.push(CrossedMount {
                path: Name::from(point.as_path()),
                identity: stat.identity,
            });
        }
    }
    all
}

/// Refuses to finish a walk where other mounts are below its trees than when it began.
///
/// # Errors
/// Which one came, is away, or is another one.
pub(super) fn check_same_mounts(journal: &Journal, now: &[CrossedMount]) -> Result<(), Refusal> {
    let then = &journal.header.mounts;
    let at = |all: &[CrossedMount], path: &Name| {
        let found = all.iter().find(|mount| mount.path == *path);
        found.map(|mount| mount.identity)
    };
    let undo = format!(
        "undo the run with `idshift rollback {}`",
        argument(&journal.path)
    );
    let refused = |mount: &CrossedMount, reason: String| {
        Err(Refusal::NotThisOne {
            path: mount.path.as_path().to_path_buf(),
            reason,
        })
    };
    for mount in now {
        let unmount = format!("`umount {}`", shell_word(mount.path.as_path()));
        match at(then, &mount.path) {
            None => {
                let reason = format!(
                    "was mounted after the run began, and what it shows was not to be shifted. {unmount}, then run this again; \
                     or {undo}"
                );
                return refused(mount, reason);
            }
            Some(identity) if identity != mount.identity => {
                let reason = format!(
                    "something else is mounted there than when the run began. {unmount} and mount what was there, then run \
                     this again; or {undo}"
                );
                return refused(mount, reason);
            }
            Some(_) => {}
        }
    }
    match then.iter().find(|mount| at(now, &mount.path).is_none()) {
        None => Ok(()),
        Some(mount) => {
            let target = shell_word(mount.path.as_path());
            let reason = format!(
                "what was mounted there when the run began is not mounted now, and would be left out. Mount it (`findmnt \
                 --target {target}` shows what is mounted there), then run this again; or {undo}"
            );
            refused(mount, reason)
        }
    }
}
