//! The number that a record begins with: in which way the rest is written.

use thiserror::Error;

/// The format of journals and manifests.
pub const FORMAT: u32 = 1;

/// A record is of a later version.
#[derive(Debug, Error)]
#[error(
    "is in format {format}; this idshift reads format {FORMAT}. Use the version that wrote it ({tool}) or a later one"
)]
pub struct NewerFormat {
    format: u64,
    tool: String,
}

/// Checks the format of a record's header before the rest, which a later version may have changed.
///
/// # Errors
/// [`NewerFormat`]
pub fn check_format(header: &[u8]) -> Result<(), NewerFormat> {
    let value: serde_json::Value = serde_json::from_slice(header).unwrap_or_default();
    match value["format"].as_u64() {
        Some(format) if format > u64::from(FORMAT) => Err(NewerFormat {
            format,
            tool: value["tool"].as_str().unwrap_or("unknown").to_string(),
        }),
        _ => Ok(()),
    }
}
