//! `idshift completions`

use std::io::Write;

use crate::cli::args::CompletionsArgs;
use crate::cli::completion;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;

/// Runs it.
pub fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let script = completion::script(args.shell).map_err(Failure::refused)?;
    output::keep_error(
        "standard output",
        output::stdout().and_then(|mut stdout| stdout.write_all(&script)),
    );
    Ok(Exit::Done)
}
