//! Walking without changing anything; what would change goes into a manifest.

use std::path::Path;
use std::time::Instant;

use super::context::{RunState, WalkContext, WalkScope};
use super::control::RunControl;
use super::deferred_links::verify::walk_and_verify;
use super::refusal::Refusal;
use super::request::{ShiftRequest, host, root_line, tool};
use super::sinks::manifest::{ManifestSink, SharedManifest};
use super::visitor::ShiftVisitor;
use super::{Ending, Phase, Report, Stats};
use crate::fs::Root;
use crate::journal::Step;
use crate::journal::manifest::{ManifestHeader, ManifestLine, ManifestWriter, SummaryLine};
use crate::journal::record::FORMAT;
use crate::preflight::TransientBlocker;

/// A manifest to be written, and where, for messages.
pub type ManifestOutput<'a> = Option<(ManifestWriter, &'a Path)>;

/// The inputs of a dry run.
pub(super) struct DryRun<'a> {
    pub request: &'a ShiftRequest,
    pub roots: &'a [Root],
    /// How many of the roots are walked; they come first.
    pub trees: usize,
    pub scope: WalkScope<'a>,
    pub steps: &'a [Step],
    /// Why a real run would be refused now.
    pub would_refuse: &'a [TransientBlocker],
}

impl DryRun<'_> {
    /// Walks. Also returns the result of `then`.
    ///
    /// # Errors
    /// The manifest cannot be written.
    pub fn run<T>(
        self,
        manifest: ManifestOutput<'_>,
        control: RunControl<'_>,
        then: impl FnOnce(&WalkContext<'_>) -> T,
    ) -> Result<(Report, T), Refusal> {
        let start = Instant::now();
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source: std::io::Error| Refusal::ManifestOutput {
                path,
                source: source.into(),
            }
        };
        let manifest = match manifest {
            Some((writer, path)) => Some((self.begin(writer).map_err(failed(path))?, path)),
            None => None,
        };
        let run = RunState::new(control, self.roots, self.request.walk.cross_mounts);
        let scope = WalkScope {
            carry_on: true,
            ..self.scope
        };
        let walk = WalkContext::new(&run, self.roots, scope);
        control.monitor.phase(Phase::Looking, None);
        let shared = manifest.as_ref().map(|(shared, _)| shared);
        let visitor = || ShiftVisitor::new(&walk, ManifestSink::new(shared));
        let trees = &self.roots[..self.trees];
        let mut stats = walk_and_verify(&walk, trees, self.request.jobs, visitor);
        let counts = |step: &&Step| {
            !matches!(
                step,
                Step::Times { .. } | Step::Staged { .. } | Step::Expect { .. }
            )
        };
        stats.steps = self.steps.iter().filter(counts).count() as u64;

        let interrupted = run.was_interrupted();
        if let Some((shared, path)) = manifest {
            end(shared, &stats, self.would_refuse, interrupted).map_err(failed(path))?;
        }
        let ending = match interrupted {
            true => Ending::Interrupted,
            false => Ending::Done,
        };
        Ok((Report::new(start, ending, stats), then(&walk)))
    }

    /// Writes everything of a manifest that comes before its changes.
    fn begin(&self, mut writer: ManifestWriter) -> std::io::Result<SharedManifest> {
        let request = self.request;
        let header = ManifestHeader {
            format: FORMAT,
            tool: tool(),
            time: jiff::Timestamp::now(),
            host: host(),
            direction: request.direction,
            map: request.map.clone(),
            roots: self.roots.iter().map(root_line).collect(),
            walk: request.recorded_walk(self.roots),
        };
        writer.write(&ManifestLine::Header(Box::new(header)).to_bytes())?;
        for step in self.steps {
            writer.write(&ManifestLine::Step(Box::new(step.clone())).to_bytes())?;
        }
        Ok(SharedManifest::new(writer))
    }
}

fn end(
    shared: SharedManifest,
    stats: &Stats,
    would_refuse: &[TransientBlocker],
    interrupted: bool,
) -> std::io::Result<()> {
    let mut writer = shared.into_writer()?;
    // Without a summary, a manifest counts as cut off: as this one is.
    if !interrupted {
        let summary = ManifestLine::Summary(SummaryLine {
            seen: stats.seen,
            changed: stats.changed,
            already_shifted: stats.already,
            unmapped: stats.unmapped,
            failed: stats.failed,
            would_refuse: would_refuse.iter().map(ToString::to_string).collect(),
        });
        writer.write(&summary.to_bytes())?;
    }
    writer.finish()
}
