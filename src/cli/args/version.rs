//! What `--version` says.

use std::sync::LazyLock;

use crate::journal::record::FORMAT;

/// The version, and the commit where the build was told it (`IDSHIFT_COMMIT`).
pub static SHORT: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("IDSHIFT_COMMIT").filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_string(),
    }
});

/// The same, and which files of other versions it reads.
pub static LONG: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\nReads journals and manifests of format 1 to {FORMAT}",
        *SHORT
    )
});
