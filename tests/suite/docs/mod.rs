//! The documentation: its commands are run, its tables compared with what the program prints.

mod json;
mod json_paths;
mod links;
mod modules;
mod page;
mod pages;
mod same;
mod troubleshooting;

use std::path::Path;

/// The repository.
fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
