//! What programs read: one JSON object, whatever comes of a command.

mod report;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::run_words::RunWords;
use crate::cli::output::say;
use crate::journal::id::id_of;
use crate::journal::{Journal, Name};
pub use report::{print_report, would_refuse};

/// Version of the objects.
pub const FORMAT: u32 = 1;

/// The command: the members that every object begins with.
#[derive(Debug, Default)]
pub struct Invocation {
    /// `shift`, `journal list`, `docker migrate`.
    command: String,
    /// The trees. Those of a journal are known when it has been read.
    roots: Vec<PathBuf>,
    dry_run: bool,
    /// The earlier run that it is about.
    run: Option<Value>,
    /// Binds of containers that it is about.
    binds: Option<Value>,
    /// The trees are a container engine's own.
    service: bool,
    /// The words for its run.
    pub words: RunWords,
    /// Members of this command only.
    more: Map<String, Value>,
    /// Whether an object is asked for.
    pub json: bool,
}

impl Invocation {
    /// A command and its trees.
    pub fn new(command: &str, paths: &[PathBuf], dry_run: bool, json: bool) -> Invocation {
        let mut invocation = Invocation {
            command: command.to_string(),
            roots: Vec::new(),
            dry_run,
            run: None,
            binds: None,
            service: false,
            words: RunWords::default(),
            more: Map::new(),
            json,
        };
        invocation.set_roots(paths);
        invocation
    }

    /// Sets its trees, once they are known.
    pub fn set_roots(&mut self, roots: &[PathBuf]) {
        let real = |path: &PathBuf| {
            std::fs::canonicalize(path)
                .or_else(|_| std::path::absolute(path))
                .unwrap_or_else(|_| path.clone())
        };
        self.roots = roots.iter().map(real).collect();
    }

    /// Sets the binds of containers that it is about.
    pub fn set_binds(&mut self, binds: Value) {
        self.binds = Some(binds);
    }

    /// Sets its trees to those of a journal.
    pub fn set_journal(&mut self, journal: &Journal) {
        let header = &journal.header;
        let roots = header.roots.iter();
        self.service = header.is_of_service();
        self.words = RunWords::of_journal(header);
        self.roots = roots.map(|root| root.path.clone().into()).collect();
        self.run = Some(json!({
            "id": id_of(&journal.path),
            "path": path_value(&journal.path),
            "command": header.command,
            "direction": header.direction,
            "time": header.time,
        }));
    }

    /// Sets whether its trees are a container engine's own.
    #[must_use]
    pub fn with_service(self, service: bool) -> Invocation {
        Invocation { service, ..self }
    }

    /// Sets the words for its run.
    #[must_use]
    pub fn with_words(self, words: RunWords) -> Invocation {
        Invocation { words, ..self }
    }

    /// Whether the trees are a container engine's own.
    pub fn is_service(&self) -> bool {
        self.service
    }

    /// Adds a member that objects of this command have beside those of all; null where it cannot be written. A run that is
    /// over is not refused for it.
    pub fn add_member(&mut self, name: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.more.insert(name.into(), value);
    }

    /// The members that every object begins with.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("format".into(), FORMAT.into());
        members.insert("command".into(), self.command.clone().into());
        members.insert("roots".into(), paths(&self.roots).into());
        members.insert("dry_run".into(), self.dry_run.into());
        if let Some(run) = &self.run {
            members.insert("run".into(), run.clone());
        }
        if let Some(binds) = &self.binds {
            members.insert("binds".into(), binds.clone());
        }
        members
    }

    /// The complete object: how the command ended, and `more`. A member that every object has keeps
    /// its meaning.
    pub fn object(&self, ending: &str, more: Value) -> Value {
        let mut members = self.members();
        members.insert("ending".into(), ending.into());
        members.extend(self.more.clone());
        if let Value::Object(more) = more {
            for (name, value) in more {
                members.entry(name).or_insert(value);
            }
        }
        members.into()
    }

    /// Prints the object, where one is asked for.
    pub fn print(&self, ending: &str, more: Value) {
        if self.json {
            say!("{}", self.object(ending, more));
        }
    }

    /// The object of a command that was stopped before it had anything to report.
    pub fn print_interrupted(&self) -> Exit {
        self.print("interrupted", json!({}));
        Exit::Interrupted
    }

    /// The object of a command that did not get to a report.
    pub fn print_failure(&self, failure: &Failure) {
        let ending = match failure.exit {
            Exit::Usage => "usage",
            Exit::Interrupted => "interrupted",
            Exit::Refused => "refused",
            _ => "failed",
        };
        self.print(ending, json!({"error": failure.message}));
    }
}

fn paths(paths: &[std::path::PathBuf]) -> Vec<Value> {
    paths.iter().map(|path| path_value(path)).collect()
}

/// A string, or `{"b64":"…"}` where the path is not UTF-8.
pub fn path_value(path: &Path) -> Value {
    json!(Name::from(path))
}
