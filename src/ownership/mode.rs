//! Permission and set-id bits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The low twelve bits of `st_mode` (`inode(7)`): permissions, set-id bits and sticky bit. Written
/// in octal, `4755`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u16);

const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2000;

impl Mode {
    /// From `st_mode`; the kind of inode in it is left out.
    pub const fn from_st_mode(st_mode: u32) -> Mode {
        Mode((st_mode & 0o7777) as u16)
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// These bits and those of `other`.
    pub const fn with(self, other: Mode) -> Mode {
        Mode(self.0 | other.0)
    }

    /// Whether a set-id bit is set, which `chown(2)` may clear.
    pub const fn has_setid(self) -> bool {
        self.0 & (SET_UID | SET_GID) != 0
    }

    /// Whether this is `whole` with some of its set-id bits cleared, or none.
    pub const fn is_stripped_of(self, whole: Mode) -> bool {
        self.0 | (whole.0 & (SET_UID | SET_GID)) == whole.0
    }
}

/// A text is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a mode in four octal digits")]
pub struct ModeError(String);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Mode, ModeError> {
        let octal = text.len() == 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u16::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(Mode(bits)),
            _ => Err(ModeError(text.to_string())),
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = ModeError;

    fn try_from(text: String) -> Result<Mode, ModeError> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripped_means_set_id_bits_only() {
        let mode = Mode::from_st_mode;
        assert!(mode(0o755).is_stripped_of(mode(0o6755)));
        assert!(mode(0o2755).is_stripped_of(mode(0o6755)));
        assert!(mode(0o6755).is_stripped_of(mode(0o6755)));
        assert!(!mode(0o6755).is_stripped_of(mode(0o2755)));
        assert!(!mode(0o754).is_stripped_of(mode(0o4755)));
        assert!(!mode(0o755).is_stripped_of(mode(0o1755)));
    }

    #[test]
    fn every_mode_reads_back() {
        for bits in 0..=0o7777 {
            let mode = Mode::from_st_mode(bits | 0o100_000);
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(u32::from(mode.bits()), bits);
        }
        for bad in ["755", "00755", "0o75", "+755", "8755", ""] {
            assert!(bad.parse::<Mode>().is_err(), "{bad}");
        }
    }
}
