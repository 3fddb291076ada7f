//! What a daemon made while a run was cut short, where it is in the way: empty directories go, all else is set
//! aside.

use std::collections::HashSet;
use std::os::fd::AsFd;

use super::error::StepError;
use super::place::{StepRoots, last};
use super::survey::{StepState, Survey, Surveyor};
use crate::engine::stats::RenamedObstacle;
use crate::engine::target::Target;
use crate::fs::file_ops::{self, Owner, is_empty};
use crate::fs::{Identity, Stat};
use crate::journal::Step;
use crate::journal::step::{MovedPath, StepPath};
use crate::ownership::Mode;

/// The name, at the top of a tree, of the directory that holds what was set aside.
const ASIDE: &str = "idshift-aside-between";

/// Renames away what is in the way of steps.
pub(super) fn set_obstacles_aside(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    target: Target,
) -> Result<Vec<RenamedObstacle>, StepError> {
    let mut all = Vec::new();
    for (place, is_needed) in used_places(surveyor, survey, target) {
        let Some(stat) = surveyor.roots.stat(&place)? else {
            continue;
        };
        if is_ours(surveyor, survey, &place, &stat) || remove_empty(surveyor.roots, &place, &stat) {
            continue;
        }
        if is_needed {
            all.push(set_aside(surveyor.roots, &place)?);
        }
    }
    Ok(all)
}

/// The paths at which steps put something, or put it back, and whether they are about to.
fn used_places(surveyor: &Surveyor<'_>, survey: &Survey, target: Target) -> Vec<(StepPath, bool)> {
    let mut places: Vec<(StepPath, bool)> = Vec::new();
    for (n, step) in surveyor.steps.iter().enumerate() {
        let is_moved = survey.is_moved(n);
        let (place, is_needed) = match step {
            Step::Rename { from, .. } | Step::Block { from, .. } | Step::Unblock { from, .. }
                if is_moved =>
            {
                (from, target == Target::Before)
            }
            Step::Rename { to, .. } | Step::Block { to, .. } | Step::Unblock { to, .. } => {
                (to, target == Target::After)
            }
            Step::MakeMountPoint { at, .. } if is_pending(survey, n) => {
                (at, target == Target::After)
            }
            Step::RemoveMountPoint { at, .. } if !is_pending(survey, n) => {
                (at, target == Target::Before)
            }
            Step::Create { at, .. } if surveyor.is_guarded(at) => (at, target == Target::After),
            Step::Remove { at, .. } if surveyor.is_guarded(at) => (at, target == Target::Before),
            _ => continue,
        };
        // An unused root that has the place of the new one is a step's own business.
        if surveyor.is_vacated_before(survey, n, place) {
            continue;
        }
        places.push((surveyor.place_now(survey, n, place), is_needed));
    }
    places
}

fn is_pending(survey: &Survey, n: usize) -> bool {
    matches!(survey.states[n], Ok(StepState::Pending))
}

fn is_ours(surveyor: &Surveyor<'_>, survey: &Survey, place: &StepPath, stat: &Stat) -> bool {
    let ids: HashSet<Identity> = surveyor
        .steps
        .iter()
        .filter_map(|step| step.moved().map(|moved| moved.identity))
        .collect();
    let is_made_dir = |(n, step): (usize, &Step)| match step {
        Step::MakeDir { at, .. } | Step::RemoveDir { at, .. } => {
            surveyor.place_now(survey, n, at) == *place
        }
        // A daemon that was started once it was gone made another one.
        Step::MakeMountPoint { at, .. } | Step::RemoveMountPoint { at, .. } => {
            surveyor.place_now(survey, n, at) == *place && is_mount_point(surveyor, place, stat)
        }
        // What was made anew in the place of what is renamed from here, or to here.
        Step::Rename { .. } => step.moved().is_some_and(|MovedPath { from, to, .. }| {
            let expected = if survey.is_moved(n) { to } else { from };
            surveyor.place_now(survey, n, expected) == *place
        }),
        _ => false,
    };
    ids.contains(&stat.identity)
        || (stat.is_dir() && surveyor.steps.iter().enumerate().any(is_made_dir))
        || surveyor.holds_guard(place)
}

/// Whether a directory is one that is mounted on, or will be.
fn is_mount_point(surveyor: &Surveyor<'_>, place: &StepPath, stat: &Stat) -> bool {
    let is_empty = || is_empty(&surveyor.roots.dir(place).ok()?).ok();
    stat.mount_root || stat.immutable || is_empty().unwrap_or(true)
}

fn remove_empty(roots: &StepRoots<'_>, place: &StepPath, stat: &Stat) -> bool {
    // `rmdir(2)` refuses what is not empty.
    stat.is_dir()
        && roots.parent(place).is_ok_and(|dir| {
            rustix::fs::unlinkat(&dir, last(place), rustix::fs::AtFlags::REMOVEDIR).is_ok()
        })
}

/// Renames an entry into a directory of its own at the top of its tree.
pub(super) fn set_aside(
    roots: &StepRoots<'_>,
    place: &StepPath,
) -> Result<RenamedObstacle, StepError> {
    for n in 1.. {
        let name = match n {
            1 => ASIDE.to_string(),
            n => format!("{ASIDE}-{n}"),
        };
        let dir = StepPath::new(place.root, [name.as_bytes()]);
        let to = StepPath::new(place.root, [name.as_bytes(), last(place)]);
        if roots.stat(&to)?.is_some() {
            continue;
        }
        let owner = Owner {
            uid: 0,
            gid: 0,
            mode: Mode::from_st_mode(0o700),
        };
        file_ops::make_dir(roots.parent(&dir)?.as_fd(), last(&dir), owner)?;
        let (from_dir, to_dir) = (roots.parent(place)?, roots.parent(&to)?);
        file_ops::move_entry((from_dir.as_fd(), last(place)), (to_dir.as_fd(), last(&to)))?;
        return Ok(RenamedObstacle {
            from: roots.path(place),
            to: roots.path(&to),
        });
    }
    unreachable!("a directory holds fewer names than there are numbers")
}
