//! `idshift report`

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::{ReportArgs, StoreArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::output::text::path;
use crate::html_report::source::report_of;
use crate::html_report::{compare, page};
use crate::journal::{Store, private_file};

/// Runs it.
pub fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    let mut files = vec![source_file(&args.what, &args.store)?];
    if let Some(other) = &args.other {
        files.push(source_file(other, &args.store)?);
    }
    let report = match &files[..] {
        [first, second] => compare::compare(first, second).map(|it| compare::report(&it)),
        files => report_of(&files[0]),
    };
    let report = report.map_err(Failure::refused)?;
    let page = page(&report);
    if args.output == Path::new("-") {
        output::keep_error(
            "standard output",
            output::stdout().and_then(|mut stdout| stdout.write_all(page.as_bytes())),
        );
        return Ok(Exit::Done);
    }
    // A page names files of root's: it is for whoever made it.
    private_file::replace(&args.output, page.as_bytes(), &files).map_err(|error| {
        let file = path(&args.output);
        Failure::refused(format!("{file}: the page cannot be written: {error}"))
    })?;
    Ok(Exit::Done)
}

/// A file, or the journal of this name.
pub fn source_file(name: &Path, store: &StoreArgs) -> Result<PathBuf, Failure> {
    match name.exists() {
        true => Ok(name.to_path_buf()),
        false => Ok(Store::at(&store.journal_dir).find(name)?),
    }
}
