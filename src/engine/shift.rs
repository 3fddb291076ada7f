//! Walk, map, journal, apply; or, for a dry run, walk, map, manifest.

use super::context::WalkScope;
use super::control::RunControl;
use super::crossed_mounts::crossed_mounts;
use super::dry_run::{DryRun, ManifestOutput};
use super::listed_run::ListedRun;
use super::planned_steps::PlannedSteps;
use super::refusal::Refusal;
use super::report::Report;
use super::request::ShiftRequest;
use super::session::Session;
use crate::guidance::Guidance;
use crate::journal::Store;

/// Shifts the trees. When an inode cannot be shifted and the request does not say `keep_going`,
/// everything done before is undone.
///
/// # Errors
/// [`Refusal`]: nothing was changed. What goes wrong later is in the report.
pub fn shift(
    request: &ShiftRequest,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let session = Session::of_request(control, request)?;
    let scope = request.scope(session.roots())?;
    let session = session.preflight(request, store)?;
    // What was renamed meanwhile, and is met again, would be shifted twice.
    let ids_tell = !request.walk.assume_unshifted;
    let mut header = request.header(session.roots(), !ids_tell);
    if !ids_tell {
        let listed = ListedRun {
            request,
            steps: &PlannedSteps::default(),
            on_listed: &|| Ok(()),
            vanished: match request.walk.keep_going {
                true => Guidance::RollBackAndShiftAgain,
                false => Guidance::RunAgain,
            },
        };
        // All that stands in the way is to be told at once.
        let scope = WalkScope {
            carry_on: true,
            ..scope
        };
        let session = session.begin_journal(store, header)?;
        return listed.carry_out(session, scope, control);
    }
    header.mounts = crossed_mounts(&scope, session.trees());
    let session = session.begin_journal(store, header)?;
    let session = session.shift_trees(scope, request.jobs);
    Ok(session.finish(request.jobs))
}

/// Says what a shift would do, and what would keep it from starting now; changes nothing, takes no lock, needs no
/// root where it can read.
///
/// # Errors
/// [`Refusal`], as a shift where time does not cure it; also when the manifest cannot be written.
pub fn dry_run(
    request: &ShiftRequest,
    store: &Store,
    manifest: ManifestOutput<'_>,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let roots = request.open_roots()?;
    let scope = request.scope(&roots)?;
    let would_refuse = request.would_refuse(&roots, store, control.monitor)?;
    let dry_run = DryRun {
        request,
        roots: &roots,
        trees: roots.len(),
        scope,
        steps: &[],
        would_refuse: &would_refuse,
    };
    let (report, ()) = dry_run.run(manifest, control, |_| ())?;
    Ok(Report {
        would_refuse,
        ..report
    })
}
