//! New files of many rewrites, made beside their places and put there once the disk has them all.

use std::collections::HashSet;

use super::error::StepError;
use super::perform::new_file;
use super::place::{PlaceDirs, last};
use super::survey::{StepState, Survey, Surveyor};
use crate::engine::target::Target;
use crate::fs::file_ops;
use crate::journal::Step;
use crate::journal::step::{FileContent, StepPath};

/// How many of the next steps rename no entry.
pub(super) fn only_files(steps: &[Step], next: &[usize]) -> usize {
    let of_file = |n: &&usize| matches!(steps[**n], Step::Rewrite { .. } | Step::Times { .. });
    next.iter().take_while(of_file).count()
}

/// Makes the new files of these rewrites, beside their places, and waits once for the disk to have them all.
/// Gives those that are prepared so; of any other, taking it says what is wrong.
pub(super) fn stage(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    (target, these): (Target, &[usize]),
    dirs: &mut PlaceDirs<'_>,
) -> HashSet<usize> {
    let roots = surveyor.roots;
    // Fewer wait for less by themselves than for all that others write to the filesystem.
    const FEWEST: usize = 16;
    let pending = match target {
        Target::After => StepState::Pending,
        Target::Before => StepState::Done,
    };
    let rewritten = |n: &usize| match (&surveyor.steps[*n], &survey.states[*n]) {
        (Step::Rewrite { at, before, after }, Ok(state)) if *state == pending => Some((
            *n,
            at,
            if target == Target::After {
                after
            } else {
                before
            },
        )),
        _ => None,
    };
    let mut rewrites: Vec<_> = these.iter().filter_map(rewritten).collect();
    let Some(&(_, &StepPath { root, .. }, _)) = rewrites.first() else {
        return HashSet::new();
    };
    rewrites.retain(|(_, at, _)| at.root == root);
    let path = Vec::new();
    let top = roots.dir(&StepPath { root, path });
    let (Ok(top), FEWEST..) = (top, rewrites.len()) else {
        return HashSet::new();
    };
    let made = |(n, at, content): (usize, &StepPath, &FileContent)| {
        file_ops::stage_file(dirs.parent(at).ok()?, last(at), new_file(content)).ok()?;
        Some(n)
    };
    let staged = rewrites.into_iter().filter_map(made).collect();
    match rustix::fs::syncfs(&top) {
        Ok(()) => staged,
        Err(_) => HashSet::new(),
    }
}

/// Gives the new file its place.
pub(super) fn put_staged(step: &Step, dirs: &mut PlaceDirs<'_>) -> Result<(), StepError> {
    let at = step.places()[0];
    Ok(file_ops::put_staged(dirs.parent(at)?, last(at))?)
}
