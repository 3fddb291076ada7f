//! What a command says: for people and for programs.
//!
//! - `stream`: stdout and stderr, and what comes of output that is lost
//! - `json`: one object for each command
//! - `summary`: the report of a run, for people
//! - `run_words`: its words, by the command
//! - `findings`: what was found on a host, for people
//! - `progress`: the line that moves while a run goes on
//! - `table`: tables and lines that fit the terminal
//! - `tense`: the verbs of notes, for a run and for a dry run
//! - `text`: paths and numbers as people can read them

pub mod findings;
pub mod json;
pub mod progress;
pub mod run_words;
pub mod stream;
pub mod summary;
pub mod table;
pub mod tense;
pub mod text;

pub(super) use stream::{
    finish, keep_error, say, say_sentences, stdout, tell, tell_sentences, to_stderr, to_stdout,
};
