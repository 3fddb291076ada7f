//! What shells ask to complete a command line.
//!
//! A shell's script, from `idshift completions SHELL`, starts idshift again with [`VARIABLE`] set and the words so
//! far as arguments. The answer is the candidates: commands and options from their definitions, and what this host
//! has (`cli::args::candidates`).

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_complete::{ArgValueCompleter, CompleteEnv};

use super::args::{Cli, Shell, candidates};

/// The environment variable by which a shell's script asks.
const VARIABLE: &str = "IDSHIFT_COMPLETE";

/// A file of zsh's `fpath` is read by the first completion of a session, which it has to answer, too (zshcompsys(1),
/// "Autoloaded files"). What clap_complete writes only registers a function.
const ZSH_FIRST: &str = "
if [[ $funcstack[1] == _idshift ]]; then
    _clap_dynamic_completer_idshift \"$@\"
fi
";

/// What clap_complete writes asks for `bashdefault` alone, which completes no file names (bash(1), "Programmable
/// Completion").
const BASH_FILES: &str = "
compopt -o default idshift
";

/// Answers a shell that completes a command line. Returns whether one asked.
///
/// # Errors
/// The answer cannot be written, or the shell is not known.
pub fn answer(args: &[OsString]) -> std::io::Result<bool> {
    // A shell's script gives the words behind `--`. Without it this is a command, whatever is in its environment.
    if args.get(1).is_none_or(|word| word != "--") {
        return Ok(false);
    }
    let here = std::env::current_dir().ok();
    let is_bash = std::env::var_os(VARIABLE).is_some_and(|shell| shell == "bash");
    let command = || match is_bash {
        true => with_plain_paths(Cli::command()),
        false => Cli::command(),
    };
    let asked = CompleteEnv::with_factory(command).var(VARIABLE);
    asked
        .try_complete(args.iter().cloned(), here.as_deref())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string()))
}

/// Other shells quote what they insert. Bash does not: only names that need no quotes are offered. Where there is none,
/// it completes files itself, with quotes.
fn with_plain_paths(command: Command) -> Command {
    let plain = |arg: Arg| match arg.get_value_hint() {
        ValueHint::AnyPath if arg.get::<ArgValueCompleter>().is_none() => {
            arg.add(ArgValueCompleter::new(candidates::paths))
        }
        _ => arg,
    };
    command.mut_args(plain).mut_subcommands(with_plain_paths)
}

/// The script that a shell reads to complete idshift's command lines.
///
/// # Errors
/// The shell's name or the program's cannot be written.
pub fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "idshift", "idshift", "idshift", &mut script)?;
    if shell.is("zsh") {
        script.extend_from_slice(ZSH_FIRST.as_bytes());
    }
    if shell.is("bash") {
        script.extend_from_slice(BASH_FILES.as_bytes());
    }
    Ok(script)
}
