//! Journal and manifest: what is about to be done, and what would be done.
//!
//! - [`record`]: the JSON lines of a journal
//! - [`step`]: what a run does besides changing owners
//! - [`name`]: a file name or path in JSON, whatever its bytes
//! - [`batch`]: changes on their way into a journal
//! - [`frame`]: lines as one durable, checked unit of a file
//! - [`mod@file`]: a journal read back, whole or torn
//! - `reader`: reading it frame by frame
//! - [`writer`]: the thread that makes lines durable
//! - `last_id`: the highest number a journal ever had
//! - [`store`]: the directory the journals are in
//! - [`safe_path`]: whether somebody else could have written a record
//! - [`run_lock`]: one run at a time on a tree
//! - [`manifest`]: a dry run's result, for a person and for a later run

pub mod batch;
pub mod file;
pub mod frame;
mod last_id;
pub mod manifest;
pub mod name;
mod reader;
pub mod record;
pub mod run_lock;
pub mod safe_path;
pub mod step;
pub mod store;
pub mod writer;

pub use batch::{Batch, Transition};
pub use file::{Journal, JournalError, JournalState};
pub use name::Name;
pub use record::Mark;
pub use step::Step;
pub use store::Store;
