//! What a command says, on stdout and on stderr. Nothing else in the program writes to them.
//!
//! Output that cannot be written (a full disk, a closed pipe) never ends a run half way, and is never passed over:
//! the first error is kept, and [`finish`] makes an exit code of it.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use crate::cli::exit::Exit;
use crate::fs::process::stdout_was_closed;

/// Prints a line to stdout.
macro_rules! say {
    ($($what:tt)*) => { $crate::cli::output::stream::to_stdout(format_args!("{}\n", format_args!($($what)*))) };
}
pub(in crate::cli) use say;

/// Prints a line to stderr: what is for people while stdout may be read by a program.
macro_rules! tell {
    ($($what:tt)*) => { $crate::cli::output::stream::to_stderr(format_args!("{}\n", format_args!($($what)*))) };
}
pub(in crate::cli) use tell;

/// Prints sentences to stdout: on a terminal, in lines that fit it.
macro_rules! say_sentences {
    ($($what:tt)*) => {{
        use $crate::cli::output::table::{sentences, width};
        $crate::cli::output::say!("{}", sentences(&format!($($what)*), width()));
    }};
}
pub(in crate::cli) use say_sentences;

/// Prints sentences to stderr: on a terminal, in lines that fit it.
macro_rules! tell_sentences {
    ($($what:tt)*) => {{
        use $crate::cli::output::table::{sentences, width_of_stderr};
        $crate::cli::output::tell!("{}", sentences(&format!($($what)*), width_of_stderr()));
    }};
}
pub(in crate::cli) use tell_sentences;

/// The first output that was lost: of which stream, and why.
static LOST: Mutex<Option<(&str, io::Error)>> = Mutex::new(None);

/// Writes to stdout.
pub fn to_stdout(text: fmt::Arguments<'_>) {
    keep_error(
        "standard output",
        stdout().and_then(|mut out| out.write_fmt(text)),
    );
}

/// Writes to stderr.
pub fn to_stderr(text: fmt::Arguments<'_>) {
    keep_error("standard error", io::stderr().write_fmt(text));
}

/// Stdout, for what writes to it by itself.
///
/// # Errors
/// `EBADF`: it was closed when the program was started.
pub fn stdout() -> io::Result<io::Stdout> {
    match stdout_was_closed() {
        true => Err(rustix::io::Errno::BADF.into()),
        false => Ok(io::stdout()),
    }
}

/// Keeps the first error.
pub fn keep_error(stream: &'static str, written: io::Result<()>) {
    if let Err(error) = written {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert((stream, error));
    }
}

/// The exit code after all output. A command that succeeded but lost output ends in
/// [`Exit::OutputLost`]; any other exit code is more important, and stays.
pub fn finish(exit: Exit) -> Exit {
    keep_error("standard output", io::stdout().flush());
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((stream, error)) = lost else {
        return exit;
    };
    // Whoever closed a pipe knows, as `head` does.
    if error.kind() != ErrorKind::BrokenPipe {
        let _ = writeln!(
            io::stderr(),
            "idshift: {stream}: {error}. Output is lost; the command itself ran to its end, and \
             `idshift journal list` names a run that changed something"
        );
    }
    match exit {
        Exit::Done => Exit::OutputLost,
        other => other,
    }
}
