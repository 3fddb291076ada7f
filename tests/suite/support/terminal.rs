//! A command on a terminal (pty) of its own.

use super::PYTHON;
use std::process::Command;

use super::script;

/// A run on a terminal that is over.
#[derive(Debug)]
pub struct OnTerminal {
    pub code: Option<i32>,
    /// What the terminal got, colours and all.
    pub drawn: String,
}

impl OnTerminal {
    /// Runs it on a terminal of so many columns; types the answer when it asks.
    pub fn run(command: &Command, columns: u16, answer: &str) -> OnTerminal {
        let mut terminal = Command::new(PYTHON);
        terminal
            .arg(script("on_terminal.py"))
            .arg(columns.to_string())
            .arg(answer)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => terminal.env(name, value),
                None => terminal.env_remove(name),
            };
        }
        let output = terminal.output().expect("python3 runs");
        OnTerminal {
            code: output.status.code(),
            drawn: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }

    /// Without colours, each line as it was at one time.
    pub fn lines(&self) -> Vec<String> {
        let plain = console::strip_ansi_codes(&self.drawn);
        let lines = plain.split(['\r', '\n']).map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .map(String::from)
            .collect()
    }

    /// Must have ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> OnTerminal {
        assert_eq!(self.code, Some(code), "{}", self.drawn);
        self
    }
}
