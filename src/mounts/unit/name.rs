//! Names of units (`systemd.unit(5)`, `systemd-escape(1)`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::host::systemd_unit::{escape_path, not_nameable};
use crate::mounts::MountError;

/// What the name of each begins with; the escaped target follows.
const PREFIX: &str = "idshift-mount-";

/// As long as a unit's name may be (`systemd.unit(5)`).
const LONGEST_NAME: usize = 255;

/// Refuses a path that a unit cannot name.
///
/// # Errors
/// Says why.
pub(super) fn check_can_be_named(path: &Path) -> Result<(), MountError> {
    match not_nameable(path) {
        None => Ok(()),
        Some(why) => Err(MountError::UnitName {
            path: path.to_path_buf(),
            why,
        }),
    }
}

/// The name of the unit for a mount on this path.
///
/// # Errors
/// It would be too long.
pub(super) fn name_of(target: &Path) -> Result<String, MountError> {
    let name = format!("{PREFIX}{}.service", escape_path(target));
    match name.len() > LONGEST_NAME {
        true => Err(MountError::UnitName {
            path: target.to_path_buf(),
            why: "its name would be too long",
        }),
        false => Ok(name),
    }
}

/// The target that a unit of this name is for; `None`: it is not one of idshift's.
pub(super) fn target_of(name: &str) -> Option<PathBuf> {
    let escaped = name.strip_prefix(PREFIX)?.strip_suffix(".service")?;
    Some(unescaped(escaped))
}

/// As `systemd-escape --unescape --path` does.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = vec![b'/'];
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.strip_prefix(b"x").and_then(|hex| hex.get(..2));
        let hex = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        rest = match (first, hex) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                &after[3..]
            }
            (b'-', _) => {
                bytes.push(b'/');
                after
            }
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    match text {
        "-" => PathBuf::from("/"),
        _ => PathBuf::from(OsString::from_vec(bytes)),
    }
}
