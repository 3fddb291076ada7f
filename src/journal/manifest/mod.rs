//! A dry run's result, for a person and for a later run.
//!
//! - [`mod@line`]: its JSON lines
//! - [`writer`], [`reader`]: a file of them
//! - [`mod@error`]: why one cannot be used

pub mod error;
pub mod line;
pub mod reader;
pub mod writer;

use std::path::Path;

pub use error::ManifestError;
pub use line::{ChangeLine, ManifestHeader, ManifestLine, NoteLine, SummaryLine};
pub use reader::{Manifest, lines};
pub use writer::ManifestWriter;

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}
