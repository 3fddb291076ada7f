//! `idshift report`

use std::io::Write;
use std::path::Path;

use crate::cli::args::ReportArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::output::text::path;
use crate::journal::{Store, private_file};
use crate::report::page;
use crate::report::source::report_of;

/// Runs it.
pub fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    let file = match args.what.exists() {
        true => args.what.clone(),
        false => Store::at(&args.store.journal_dir).find(&args.what.to_string_lossy())?,
    };
    let report = report_of(&file).map_err(Failure::refused)?;
    let page = page(&report);
    if args.output == Path::new("-") {
        output::keep_error(
            "standard output",
            output::stdout().and_then(|mut stdout| stdout.write_all(page.as_bytes())),
        );
        return Ok(Exit::Done);
    }
    // A page names files of root's: it is for whoever made it.
    private_file::replace(&args.output, page.as_bytes(), &file).map_err(|error| {
        let file = path(&args.output);
        Failure::refused(format!("{file}: the page cannot be written: {error}"))
    })?;
    Ok(Exit::Done)
}
