//! The program, run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::isolation::isolate;
use super::{MAP, sh};

/// The program with a journal directory of its own.
pub struct Idshift {
    journals: TempDir,
    /// The root directory that it sees, where that is not this machine's.
    root: Option<PathBuf>,
}

impl Idshift {
    pub fn new() -> Idshift {
        isolate();
        let journals = tempfile::Builder::new()
            .prefix("idshift-journals-")
            .tempdir();
        Idshift {
            journals: journals.expect("a directory"),
            root: None,
        }
    }

    /// In another root directory, which has the program in `/usr/local/bin`; its journal directory is there, too.
    pub fn in_root(root: &Path) -> Idshift {
        let place = root.join("var/lib");
        Idshift {
            root: Some(root.into()),
            ..Idshift::with_journals_in(&place)
        }
    }

    /// With its journal directory in this one.
    pub fn with_journals_in(place: &Path) -> Idshift {
        isolate();
        let journals = tempfile::Builder::new()
            .prefix("journals-")
            .tempdir_in(place);
        Idshift {
            journals: journals.expect("a directory"),
            root: None,
        }
    }

    /// The program itself; whoever starts it from a test does so with that test's own `/etc`.
    pub fn program() -> &'static Path {
        isolate();
        Path::new(env!("CARGO_BIN_EXE_idshift"))
    }

    /// The program in a place that only root can write to, as it is installed: in this test's own `/etc`, wherever the
    /// source lies.
    pub fn installed() -> &'static Path {
        let (program, place) = (Self::program(), Path::new("/etc/idshift-program/idshift"));
        if !place.exists() {
            fs::create_dir(place.parent().unwrap()).unwrap();
            fs::write(place, "").unwrap();
            sh(
                "mount",
                ["--bind", program.to_str().unwrap(), place.to_str().unwrap()],
            );
        }
        place
    }

    /// The journal directory.
    pub fn journals(&self) -> &Path {
        self.journals.path()
    }

    /// The journal files, oldest first.
    pub fn journal_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.journals()).expect("the journal directory");
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.retain(|path| path.to_string_lossy().ends_with(".jsonl.zst"));
        files.sort();
        files
    }

    /// The only journal file there is.
    pub fn the_journal(&self) -> PathBuf {
        let files = self.journal_files();
        let [file] = &files[..] else {
            panic!("one journal, not {files:?}")
        };
        file.clone()
    }

    /// A command line of it, journal directory included.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let (mut command, journals) = match &self.root {
            None => (Command::new(Idshift::program()), self.journals().into()),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg("/usr/local/bin/idshift");
                let below = self.journals().strip_prefix(root);
                (command, Path::new("/").join(below.expect("it is in there")))
            }
        };
        command.args(args).arg("--journal-dir").arg(journals);
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Starts a command line.
    pub fn spawn(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        let mut command = self.command(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    /// `shift --json` through the usual map, with more arguments.
    pub fn shift_with(&self, tree: &Path, more: &[&str]) -> Run {
        self.run(shift_args(tree, &[MAP], more))
    }

    /// `shift --json` through the usual map; it must work.
    pub fn shift(&self, tree: &Path) -> Run {
        self.shift_with(tree, &[]).exits(0)
    }

    /// `shift --reverse --json` through the usual map; it must work.
    pub fn reverse(&self, tree: &Path) -> Run {
        self.shift_with(tree, &["--reverse"]).exits(0)
    }

    /// `rollback --json` of the newest journal; it must work.
    pub fn rollback(&self) -> Run {
        self.run(["rollback", "latest", "--json"]).exits(0)
    }

    /// `resume --json` of the newest journal; it must work.
    pub fn resume(&self) -> Run {
        self.run(["resume", "latest", "--json"]).exits(0)
    }
}

/// The arguments of a shift.
pub fn shift_args(tree: &Path, maps: &[&str], more: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["shift".into(), "--json".into()];
    for map in maps {
        args.extend(["--map".into(), map.into()]);
    }
    args.extend(more.iter().map(OsString::from));
    args.push(tree.into());
    args
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    pub command: String,
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Run {
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        Run::ended(format!("{command:?}"), output)
    }

    /// What a started command has said by its end.
    pub fn wait(child: Child) -> Run {
        Run::ended("idshift".into(), child.wait_with_output().expect("it ends"))
    }

    fn ended(command: String, output: Output) -> Run {
        Run {
            command,
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Must have ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(
            self.code,
            Some(code),
            "exit code (left: what it is)\n{self}"
        );
        self
    }

    /// Must have said this on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not on stderr\n{self}"
        );
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The object that `--json` printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value = serde_json::from_slice(&self.stdout);
        value.unwrap_or_else(|error| panic!("stdout is not one JSON object: {error}\n{self}"))
    }

    /// A count in that object.
    #[track_caller]
    pub fn count(&self, key: &str) -> u64 {
        let json = self.json();
        json[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no count {key:?} in {json}"))
    }

    /// The paths that that object lists as problems.
    pub fn problem_paths(&self) -> Vec<String> {
        let json = self.json();
        let problems = json["problems"].as_array().expect("a list of problems");
        problems
            .iter()
            .filter_map(|one| one["path"].as_str())
            .map(String::from)
            .collect()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run {
            command,
            code,
            signal,
            stderr,
            ..
        } = self;
        writeln!(f, "{command}\nexit code {code:?}, signal {signal:?}")?;
        let stdout: String = self.text().chars().take(4000).collect();
        writeln!(f, "--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
