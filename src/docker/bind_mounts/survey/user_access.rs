//! What a container's user can do with a bind mount, as it is now.

use std::path::{Path, PathBuf};

use crate::docker::remap::Remap;
use crate::fs::access_probe::AccessKind;
use crate::fs::{PinnedFile, Root};
use crate::volume::parents::closed_above;
use crate::volume::probe::{Answer, Question, What, ask};
use crate::volume::user::ContainerUser;

#[derive(Clone, Copy)]
pub(super) struct UserAccess {
    pub reads: bool,
    pub writes: bool,
}

/// Tests access without creating anything; `None` if that is not possible, as without root.
pub(super) fn try_it(pin: &PinnedFile, user: &ContainerUser, remap: &Remap) -> Option<UserAccess> {
    let question = Question {
        user: user.clone(),
        what: What::Look,
    };
    let (mut reads, mut writes) = (true, true);
    ask(pin, &question, &remap.map, |answer| {
        if let Answer::Tried(tried) = answer {
            match tried.what {
                AccessKind::Write => writes &= tried.works(),
                AccessKind::Connect => {
                    reads &= tried.works();
                    writes &= tried.works();
                }
                _ => reads &= tried.works(),
            }
        }
    })
    .ok()?;
    Some(UserAccess { reads, writes })
}

/// Directories above that the container's root may not search.
pub(super) fn closed_parents(real: &Path, remap: &Remap) -> Vec<PathBuf> {
    let root = Root::open(real).ok();
    let closed = root.and_then(|root| closed_above(&root, &remap.map).ok());
    let closed = closed.unwrap_or_default().into_iter();
    closed.map(|parent| parent.path).collect()
}
