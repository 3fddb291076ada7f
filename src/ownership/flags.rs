//! The flags of `chattr(1)` that keep an inode from being changed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Flags that were cleared while an inode was changed, and put back after; in records as the letters
/// of `lsattr(1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Flags {
    /// `i`: nothing of it can be changed.
    pub immutable: bool,
    /// `a`: content can only be added, and its owner not changed.
    pub append_only: bool,
}

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags {
        immutable: false,
        append_only: false,
    };

    /// True when none is set.
    pub fn is_empty(&self) -> bool {
        *self == Flags::NONE
    }

    /// Those that both have.
    pub fn and(self, other: Flags) -> Flags {
        self.without(self.without(other))
    }

    /// Those that `self` has and `other` has not.
    pub fn without(self, other: Flags) -> Flags {
        Flags {
            immutable: self.immutable && !other.immutable,
            append_only: self.append_only && !other.append_only,
        }
    }
}

/// A letter that is none of [`Flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no flag {0:?} is known")]
pub struct UnknownFlag(char);

impl From<Flags> for String {
    fn from(flags: Flags) -> String {
        let letters = [(flags.immutable, 'i'), (flags.append_only, 'a')];
        let set = letters.into_iter().filter(|(set, _)| *set);
        set.map(|(_, letter)| letter).collect()
    }
}

impl TryFrom<String> for Flags {
    type Error = UnknownFlag;

    fn try_from(text: String) -> Result<Flags, UnknownFlag> {
        let mut flags = Flags::NONE;
        for letter in text.chars() {
            match letter {
                'i' => flags.immutable = true,
                'a' => flags.append_only = true,
                other => return Err(UnknownFlag(other)),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_of_lsattr_come_back() {
        for text in ["\"\"", "\"i\"", "\"a\"", "\"ia\""] {
            let flags: Flags = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&flags).unwrap(), text);
        }
        assert!(serde_json::from_str::<Flags>("\"x\"").is_err());
    }
}
