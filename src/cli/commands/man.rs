//! `idshift man`: the manual pages, from the definitions of the commands.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::args::{Cli, ManArgs};
use crate::cli::exit::{Exit, Failure};

/// Runs it.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let failed =
        |error: std::io::Error| Failure::refused(format!("{}: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &args.dir).map_err(failed)?;
    Ok(Exit::Done)
}

/// One page for a command and for each of its subcommands that people call.
fn write_pages(command: &Command, dir: &Path) -> std::io::Result<()> {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let name = name.replace(' ', "-");
    std::fs::write(dir.join(format!("{name}.8")), page(command)?)?;
    let visible = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    for subcommand in visible {
        write_pages(subcommand, dir)?;
    }
    Ok(())
}

/// The page of a command: what stands after its help (exit codes, examples) has sections of its own.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().after_help(""));
    let man = man
        .section("8")
        .manual("System administration")
        .source(concat!("idshift ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    sections(&after.unwrap_or_default()).to_writer(&mut page)?;
    Ok(page)
}

/// Paragraphs after the help: one that begins with `Exit codes:` or `Examples:` is a section.
fn sections(after: &str) -> Roff {
    let mut roff = Roff::new();
    let mut notes = false;
    for paragraph in after.split("\n\n").filter(|text| !text.trim().is_empty()) {
        let (heading, text) = match paragraph.split_once(':') {
            Some(("Exit codes", codes)) => ("EXIT STATUS", codes),
            Some(("Examples", lines)) => ("EXAMPLES", lines),
            _ => ("NOTES", paragraph),
        };
        if heading != "NOTES" || !notes {
            roff.control("SH", [heading]);
        } else {
            roff.control("PP", []);
        }
        notes = heading == "NOTES";
        let verbatim = text.contains('\n');
        if verbatim {
            roff.control("nf", []);
        }
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            roff.text([roman(if verbatim { line } else { line.trim() })]);
        }
        if verbatim {
            roff.control("fi", []);
        }
    }
    roff
}
