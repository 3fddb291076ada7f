//! What has the place of a step.

use std::collections::HashSet;

use super::error::StepError;
use super::survey::{Survey, Surveyor};
use crate::engine::target::Target;
use crate::journal::step::StepPath;
use crate::journal::{Name, Step};

/// Whether something has the place that an entry goes to, or back to, which no other step puts there or
/// takes away.
pub(super) fn occupied(surveyor: &Surveyor<'_>, n: usize, target: Target) -> Option<StepError> {
    let Step::Rename { from, to, .. } = &surveyor.steps[n] else {
        return None;
    };
    let (place, others) = match target {
        Target::Before => (from, &surveyor.steps[n + 1..]),
        Target::After => (to, &surveyor.steps[..n]),
    };
    let ours = others.iter().any(|step| step.places().contains(&place));
    match surveyor.roots.stat(place) {
        Ok(None) => None,
        Ok(Some(_)) if ours => None,
        Ok(Some(_)) if target == Target::After => Some(StepError::NewPlaceTaken),
        Ok(Some(_)) => Some(StepError::OldPlaceTaken),
        Err(error) => Some(error),
    }
}

/// Whether a directory that a service's run made, and that goes when it is undone, holds what no step put there.
/// `places`: those of all steps.
pub(super) fn holds_more(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    n: usize,
    places: &HashSet<&StepPath>,
) -> Option<StepError> {
    let (Step::MakeDir { at, .. }
    | Step::Staged {
        at, whole: false, ..
    }) = &surveyor.steps[n]
    else {
        return None;
    };
    // Of a directory that others use too, it stays.
    if surveyor.roots.lines()[at.root].steps_only {
        return None;
    }
    // Steps before a directory was renamed know what is in it by the name that it had.
    let (then, at) = (at, surveyor.place_now(survey, n, at));
    let is_known = |name: &Name| {
        let known = |dir: &StepPath| {
            let path = [&dir.path[..], std::slice::from_ref(name)].concat();
            let root = dir.root;
            places.contains(&StepPath { root, path })
        };
        known(then) || known(&at)
    };
    let names = surveyor.roots.names(&at).ok()?;
    let more = names.iter().find(|name| !is_known(name))?;
    // Where it is now: the place of the step may be one that there is no more.
    let path = surveyor.roots.path(&at).join(more.as_path());
    Some(StepError::MadeSince(path))
}
