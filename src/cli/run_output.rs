//! What a run prints: its report, its notes, and the manifest of a dry run.

use std::path::Path;

use crate::cli::args::OutputArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{self, Invocation};
use crate::cli::output::summary::{SummaryKind, SummaryOptions, summary};
use crate::cli::output::text::printable;
use crate::cli::output::{self, tell_sentences};
use crate::engine::dry_run::ManifestOutput;
use crate::engine::{Refusal, Report};
use crate::journal::manifest::ManifestWriter;

/// The manifest that is stdout.
const STDOUT: &str = "-";

/// Where all of it goes.
#[derive(Clone, Copy)]
pub struct RunOutput<'a> {
    options: &'a OutputArgs,
    manifest: Option<&'a Path>,
}

impl<'a> RunOutput<'a> {
    /// Of a command that writes no manifest.
    pub fn new(options: &'a OutputArgs) -> RunOutput<'a> {
        RunOutput {
            options,
            manifest: None,
        }
    }

    /// With the manifest that is asked for.
    ///
    /// # Errors
    /// Both it and what programs read would go to stdout.
    pub fn with_manifest(
        options: &'a OutputArgs,
        manifest: Option<&'a Path>,
    ) -> Result<RunOutput<'a>, Failure> {
        let output = RunOutput { options, manifest };
        match output.is_manifest_on_stdout() && options.json {
            true => Err(Failure::usage(
                "--manifest - and --json both write to stdout: name a file for the manifest",
            )),
            false => Ok(output),
        }
    }

    fn is_manifest_on_stdout(&self) -> bool {
        self.manifest == Some(Path::new(STDOUT))
    }

    /// The file that is the manifest.
    pub fn manifest_file(&self) -> Option<&'a Path> {
        self.manifest.filter(|_| !self.is_manifest_on_stdout())
    }

    /// Opens the manifest for writing.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open_manifest(&self) -> Result<ManifestOutput<'a>, Refusal> {
        let Some(path) = self.manifest else {
            return Ok(None);
        };
        let writer = match self.is_manifest_on_stdout() {
            true => output::stdout()
                .map(|stdout| ManifestWriter::stream(Box::new(stdout)))
                .map_err(Into::into),
            false => ManifestWriter::file(path),
        };
        let writer = writer.map_err(|source| Refusal::ManifestOutput {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Some((writer, path)))
    }

    /// Prints a report: JSON to stdout where that is asked for, and what people read beside it.
    pub fn print(&self, invocation: &Invocation, report: &Report, kind: SummaryKind) {
        json::print_report(invocation, report, self.manifest);
        let failed = matches!(
            Exit::from(report),
            Exit::Failed | Exit::Stuck | Exit::Interrupted
        );
        if self.options.quiet && !failed {
            return;
        }
        let to_stderr = self.options.json || self.is_manifest_on_stdout() || failed;
        let options = SummaryOptions {
            service: invocation.is_service(),
            words: invocation.words,
            verbose: self.options.verbose,
            to_stderr,
        };
        let text = summary(report, kind, options);
        match to_stderr {
            true => output::to_stderr(format_args!("{text}")),
            false => output::to_stdout(format_args!("{text}")),
        }
    }

    /// Tells people what else they should know. What programs read is on stdout.
    pub fn tell(&self, notes: impl IntoIterator<Item = String>) {
        if self.options.quiet {
            return;
        }
        for note in notes {
            tell_sentences!("{}", printable(&note));
        }
    }
}
