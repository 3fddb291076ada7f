//! ACLs in the short text form of `acl(5)`, with ids as numbers: what a person reads and a record
//! keeps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::acl::{Acl, AclEntry, AclError, Who};

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, AclEntry { who, perm }) in self.entries().iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match who {
                Who::UserObj => write!(f, "{comma}u::")?,
                Who::User(id) => write!(f, "{comma}u:{id}:")?,
                Who::GroupObj => write!(f, "{comma}g::")?,
                Who::Group(id) => write!(f, "{comma}g:{id}:")?,
                Who::Mask => write!(f, "{comma}m::")?,
                Who::Other => write!(f, "{comma}o::")?,
            }
            for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
                write!(f, "{}", if perm & bit != 0 { letter } else { '-' })?;
            }
        }
        Ok(())
    }
}

impl FromStr for Acl {
    type Err = AclError;

    fn from_str(text: &str) -> Result<Acl, AclError> {
        let entries: Result<Vec<_>, _> = text.split(',').map(entry).collect();
        Acl::new(entries?)
    }
}

fn entry(text: &str) -> Result<AclEntry, AclError> {
    let bad = || AclError::Text(text.to_string());
    let parts: Vec<&str> = text.split(':').collect();
    let [tag, id, perm] = parts[..] else {
        return Err(bad());
    };
    let named = || {
        let digits = id.bytes().all(|byte| byte.is_ascii_digit());
        id.parse()
            .ok()
            .filter(|id| digits && *id != u32::MAX)
            .ok_or_else(bad)
    };
    let who = match (tag, id) {
        ("u", "") => Who::UserObj,
        ("u", _) => Who::User(named()?),
        ("g", "") => Who::GroupObj,
        ("g", _) => Who::Group(named()?),
        ("m", "") => Who::Mask,
        ("o", "") => Who::Other,
        _ => return Err(bad()),
    };
    let [r, w, x] = *perm.as_bytes() else {
        return Err(bad());
    };
    let mut bits = 0;
    for (byte, letter, bit) in [(r, b'r', 4), (w, b'w', 2), (x, b'x', 1)] {
        match byte {
            b'-' => {}
            _ if byte == letter => bits |= bit,
            _ => return Err(bad()),
        }
    }
    Ok(AclEntry { who, perm: bits })
}

impl Serialize for Acl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Acl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Acl, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ownership::acl::tests::acls;

    proptest! {
        #[test]
        fn every_acl_reads_back_as_it_is_shown(acl in acls(0u32..u32::MAX)) {
            prop_assert_eq!(acl.to_string().parse(), Ok(acl));
        }

        #[test]
        fn text_near_an_acl_means_one_thing_or_is_refused(
            text in "(u::[r-][w-][x-],)?([ug]:[05]{1,2}:[r-][w-]x,){0,2}g::r-x,(m::r[w-]x,)?o::[r-]{2,3}"
        ) {
            if let Ok(acl) = text.parse::<Acl>() {
                prop_assert_eq!(acl.to_string().parse(), Ok(acl.clone()));
                prop_assert_eq!(Acl::decode(&acl.encode()), Ok(acl));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ugmo:,rwx0-9-]{0,40}|\\PC{0,20}") {
            let _ = text.parse::<Acl>();
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "",
            "u::rwx",
            "u::rwx,g::rwx,o::rw",
            "x::rwx",
            "u:+1:rwx",
            "u::xwr",
            "m:5:rwx",
            "u::rwx,u:4294967295:rwx,g::rwx,m::rwx,o::rwx",
            "u::rwx,u:5:rwx,u:05:r--,g::rwx,m::rwx,o::rwx",
            "u::rwx,u:5:rwx,g::rwx,o::rwx",
            "u::rwx,g::rwx,o::rwx,",
        ] {
            assert!(bad.parse::<Acl>().is_err(), "{bad}");
        }
    }
}
