//! One `--map` of a command line, in fuidshift's syntax.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::range::{Range, RangeError};

/// Which ids a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ids {
    /// `u`
    Uids,
    /// `g`
    Gids,
    /// `b`
    Both,
}

/// `u|g|b:CONTAINER:HOST:SIZE`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapSpec {
    /// For uids, gids or both.
    pub ids: Ids,
    /// The range.
    pub range: Range,
}

/// Why a text is not such a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapSpecError {
    /// Its first part is not a letter of those.
    #[error(
        "{0:?} does not begin with u: (uids), g: (gids) or b: (both), as b:0:100000:65536 does"
    )]
    Letter(String),
    /// `subid:` alone.
    #[error("subid: needs a user, as in subid:dockremap")]
    NoUser,
    /// The rest is no range.
    #[error(transparent)]
    Range(#[from] RangeError),
}

impl FromStr for MapSpec {
    type Err = MapSpecError;

    fn from_str(text: &str) -> Result<MapSpec, MapSpecError> {
        let (ids, range) = match text.split_once(':') {
            Some(("u", range)) => (Ids::Uids, range),
            Some(("g", range)) => (Ids::Gids, range),
            Some(("b", range)) => (Ids::Both, range),
            _ => return Err(MapSpecError::Letter(text.to_string())),
        };
        Ok(MapSpec {
            ids,
            range: range.parse()?,
        })
    }
}

impl fmt::Display for MapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.ids {
            Ids::Uids => 'u',
            Ids::Gids => 'g',
            Ids::Both => 'b',
        };
        write!(f, "{letter}:{}", self.range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Ok(spec) = text.parse::<MapSpec>() {
                prop_assert_eq!(spec.to_string().parse::<MapSpec>(), Ok(spec));
            }
        }

        #[test]
        fn a_line_reads_back_as_it_is_shown(container in 0u32..1 << 31, host in 0u32..1 << 31, size in 1u32..1 << 30) {
            let spec = MapSpec { ids: Ids::Both, range: Range::new(container, host, size).unwrap() };
            prop_assert_eq!(spec.to_string().parse::<MapSpec>(), Ok(spec));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| text.parse::<MapSpec>().unwrap_err().to_string();
        assert!(said("0:100000:65536").contains("does not begin with u:"));
        assert!(said("x:0:100000:65536").contains("does not begin with u:"));
        assert!(said("b:0:100000").contains("CONTAINER:HOST:SIZE"));
        assert!(said("b:0:+5:1").contains("CONTAINER:HOST:SIZE"));
        assert!(said("b:0:100000:65536:1").contains("CONTAINER:HOST:SIZE"));
        assert!(said("b:0:100000:0").contains("size 0"));
        assert!(said("b:0:4294967290:10").contains("goes past host id 4294967294"));
        assert!(said("b:0:99999999999:10").contains("CONTAINER:HOST:SIZE"));
    }
}
