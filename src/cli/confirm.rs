//! The question before a command that changes much. It is asked only where somebody can answer.

use std::io::{IsTerminal, stderr, stdin};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::args::{ConfirmArgs, ExecutionArgs, OutputArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::limits::{Limits, interrupted};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::{tell, tell_sentences, to_stderr};
use crate::engine::Cancel;

/// The answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Do nothing.
    No,
    /// A signal came, such as that of Ctrl-C.
    Interrupted,
}

/// Asks before the first change, where somebody can answer. `lines` checks all that can refuse, and says what will happen.
/// `None`: go on. With an exit code, the command ends.
///
/// # Errors
/// A check refuses, or the answer is no.
pub fn ask_before(
    args: &ExecutionArgs,
    limits: &Limits,
    monitor: &Terminal,
    invocation: &Invocation,
    lines: impl FnOnce() -> Result<Vec<String>, Failure>,
) -> Result<Option<Exit>, Failure> {
    if !is_asked(&args.confirm, &args.output) {
        return Ok(None);
    }
    let lines = lines()?;
    match monitor.suspend(|| ask(&lines, &limits.cancel)) {
        Answer::Yes => Ok(None),
        Answer::No => Err(declined()),
        Answer::Interrupted => Ok(Some(interrupted(invocation, false))),
    }
}

/// How often to check for a signal that came just before the wait.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Whether to ask: somebody can read the question and answer it, and no program waits for an answer on stdout.
pub fn is_asked(args: &ConfirmArgs, output: &OutputArgs) -> bool {
    !args.yes && !output.json && stdin().is_terminal() && stderr().is_terminal()
}

/// Shows what will happen and asks. Anything but `y` or `yes` is a no; so is the end of the input.
pub fn ask(lines: &[String], cancel: &Cancel) -> Answer {
    for line in lines {
        tell_sentences!("{line}");
    }
    to_stderr(format_args!("Continue? [y/N] "));
    let answer = read_answer(cancel);
    if answer == Answer::Interrupted {
        tell!("");
    }
    answer
}

/// A terminal hands over a line when it is whole; so one read is enough.
fn read_answer(cancel: &Cancel) -> Answer {
    let stdin = stdin();
    let mut line = [0; 64];
    loop {
        if cancel.is_requested() {
            return Answer::Interrupted;
        }
        let mut wait = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut wait, Some(&TICK)) {
            // A signal ends the wait, too.
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return Answer::No,
        }
        return match rustix::io::read(&stdin, &mut line) {
            Ok(length) => meaning(&line[..length]),
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => Answer::No,
        };
    }
}

fn meaning(line: &[u8]) -> Answer {
    let word = line.trim_ascii();
    match word.eq_ignore_ascii_case(b"y") || word.eq_ignore_ascii_case(b"yes") {
        true => Answer::Yes,
        false => Answer::No,
    }
}

/// The failure for a question that was not confirmed.
pub fn declined() -> Failure {
    Failure::refused("not confirmed; nothing was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", "yes\n", " YES \n", "y"] {
            assert_eq!(meaning(yes.as_bytes()), Answer::Yes, "{yes:?}");
        }
        for no in [
            "\n",
            "",
            "n\n",
            "no\n",
            "yess\n",
            "yy\n",
            "ok\n",
            "\u{fffd}\n",
        ] {
            assert_eq!(meaning(no.as_bytes()), Answer::No, "{no:?}");
        }
    }
}
