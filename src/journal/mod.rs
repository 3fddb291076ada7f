//! Journal and manifest: what is about to be done, and what would be done.
//!
//! What the lines are:
//! - [`record`]: the JSON lines of a journal; [`line_error`]: why one is refused
//! - [`step`]: what a run does besides changing owners
//! - [`root_line`], [`name`], [`transition`]: a tree, a file name, a kind of change
//! - [`manifest`]: a dry run's result, for a person and for a later run
//!
//! How they come into a file:
//! - [`batch`]: changes that are gathered for a journal
//! - [`frame`]: lines as one durable, checked unit of a file
//! - [`writer`]: the thread that makes lines durable
//!
//! Journals:
//! - [`mod@file`]: a journal that was read; [`state`]: how far its run got
//! - [`changes`]: its changes with their paths
//! - `reader`: reading it frame by frame, whole or torn
//! - `append`: going on with it
//! - [`store`]: the directory the journals are in; `create`: a new one in it; `unfinished`: runs that were not ended
//! - [`id`], `last_id`: what they are called; the highest number a journal ever had
//! - [`mod@error`]: why one cannot be used
//!
//! Who may use them:
//! - [`safe_path`], `file_version`: whether somebody else could have written a record, or has
//! - [`private_file`]: a manifest or a page is written, and never over a journal
//! - [`run_lock`], `claim`: one run at a time on a tree; one process at a time on a journal

mod append;
pub mod batch;
pub mod changes;
mod claim;
mod create;
pub mod error;
pub mod file;
mod file_version;
pub mod frame;
pub mod id;
mod last_id;
pub mod line_error;
pub mod manifest;
pub mod name;
pub mod private_file;
mod reader;
pub mod record;
pub mod root_line;
pub mod run_lock;
pub mod safe_path;
pub mod state;
pub mod step;
pub mod store;
pub mod transition;
mod unfinished;
pub mod writer;

pub use append::kept_whole;
pub use batch::Batch;
pub use error::JournalError;
pub use file::Journal;
pub use name::Name;
pub use record::Mark;
pub use state::JournalState;
pub use step::Step;
pub use store::Store;
pub use transition::Transition;
