//! File capabilities (`capabilities(7)`, `include/uapi/linux/capability.h`, `struct vfs_ns_cap_data`).

use serde::{Deserialize, Serialize};
use thiserror::Error;

const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_1: u32 = 0x0100_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
/// `VFS_CAP_FLAGS_EFFECTIVE`
const EFFECTIVE: u32 = 1;

/// The value of `security.capability`: version 2, or version 3 when it has a `rootid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "CapabilityFields", into = "CapabilityFields")]
pub struct Capability {
    /// The capabilities take effect at once.
    pub effective: bool,
    /// Bit n: capability number n is permitted.
    pub permitted: u64,
    /// Bit n: capability number n is inheritable.
    pub inheritable: u64,
    /// Host uid of the root of the user namespace in which they count. `None`: they count on the
    /// host itself.
    pub rootid: Option<u32>,
}

/// Why bytes are not a valid file capability.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CapabilityError {
    /// The first version had 32 capabilities; no kernel since 2.6.25 writes it.
    #[error("is of version 1, which idshift cannot keep; set it again with setcap")]
    Version1,
    /// None of 1, 2 and 3.
    #[error("unknown revision {0:#010x}")]
    Revision(u32),
    /// Not the size of its version.
    #[error("{0} bytes are not the size of a capability of its version")]
    Size(usize),
    /// More flags than the effective one.
    #[error("unknown flags {0:#x}")]
    Flags(u32),
}

impl Capability {
    /// From the value of `security.capability`.
    ///
    /// # Errors
    /// For every value that [`encode`](Capability::encode) would not give back byte for byte.
    pub fn decode(bytes: &[u8]) -> Result<Capability, CapabilityError> {
        let size = CapabilityError::Size(bytes.len());
        let (words, []) = bytes.as_chunks::<4>() else {
            return Err(size);
        };
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let Some(&magic) = words.first() else {
            return Err(size);
        };
        let rootid = match (magic & REVISION_MASK, words.len()) {
            (REVISION_1, _) => return Err(CapabilityError::Version1),
            (REVISION_2, 5) => None,
            (REVISION_3, 6) => Some(words[5]),
            (REVISION_2 | REVISION_3, _) => return Err(size),
            (revision, _) => return Err(CapabilityError::Revision(revision)),
        };
        let flags = magic & !REVISION_MASK;
        if flags & !EFFECTIVE != 0 {
            return Err(CapabilityError::Flags(flags));
        }
        let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        Ok(Capability {
            effective: flags & EFFECTIVE != 0,
            permitted: wide(words[1], words[3]),
            inheritable: wide(words[2], words[4]),
            rootid,
        })
    }

    /// The value for the extended attribute.
    pub fn encode(&self) -> Vec<u8> {
        let revision = match self.rootid {
            None => REVISION_2,
            Some(_) => REVISION_3,
        };
        let low = |wide: u64| wide as u32;
        let high = |wide: u64| (wide >> 32) as u32;
        let words = [
            revision | u32::from(self.effective),
            low(self.permitted),
            low(self.inheritable),
            high(self.permitted),
            high(self.inheritable),
        ];
        words
            .into_iter()
            .chain(self.rootid)
            .flat_map(u32::to_le_bytes)
            .collect()
    }
}

/// How a capability looks in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapabilityFields {
    version: u8,
    effective: bool,
    permitted: String,
    inheritable: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rootid: Option<u32>,
}

impl From<Capability> for CapabilityFields {
    fn from(capability: Capability) -> CapabilityFields {
        CapabilityFields {
            version: if capability.rootid.is_some() { 3 } else { 2 },
            effective: capability.effective,
            permitted: format!("{:#x}", capability.permitted),
            inheritable: format!("{:#x}", capability.inheritable),
            rootid: capability.rootid,
        }
    }
}

/// Fields that are no capability.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CapabilityFieldsError {
    /// Its version says whether there is one.
    #[error("a capability of version 3, and no other, has a rootid")]
    RootId,
    /// A set of capabilities is a number.
    #[error("{0:?} is not a hexadecimal number")]
    NotHexadecimal(String),
}

impl TryFrom<CapabilityFields> for Capability {
    type Error = CapabilityFieldsError;

    fn try_from(fields: CapabilityFields) -> Result<Capability, CapabilityFieldsError> {
        match (fields.version, fields.rootid) {
            (2, None) | (3, Some(_)) => {}
            _ => return Err(CapabilityFieldsError::RootId),
        }
        let hex = |text: &str| {
            let digits = text
                .strip_prefix("0x")
                .filter(|digits| !digits.starts_with('+'));
            digits
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or_else(|| CapabilityFieldsError::NotHexadecimal(text.to_string()))
        };
        Ok(Capability {
            effective: fields.effective,
            permitted: hex(&fields.permitted)?,
            inheritable: hex(&fields.inheritable)?,
            rootid: fields.rootid,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ownership::acl::tests::unhex;

    pub fn capabilities(
        rootid: impl Strategy<Value = Option<u32>>,
    ) -> impl Strategy<Value = Capability> {
        (any::<bool>(), any::<u64>(), any::<u64>(), rootid).prop_map(
            |(effective, permitted, inheritable, rootid)| Capability {
                effective,
                permitted,
                inheritable,
                rootid,
            },
        )
    }

    #[test]
    fn what_setcap_wrote_is_read_and_written_back() {
        // `setcap cap_net_raw+ep`
        let v2 = unhex("0x0100000200200000000000000000000000000000");
        let ping = Capability {
            effective: true,
            permitted: 1 << 13,
            inheritable: 0,
            rootid: None,
        };
        assert_eq!(Capability::decode(&v2), Ok(ping));
        assert_eq!(ping.encode(), v2);
        // `setcap -n 100000 cap_net_bind_service+p`
        let v3 = unhex("0x0000000300040000000000000000000000000000a0860100");
        let bind = Capability {
            effective: false,
            permitted: 1 << 10,
            inheritable: 0,
            rootid: Some(100_000),
        };
        assert_eq!(Capability::decode(&v3), Ok(bind));
        assert_eq!(bind.encode(), v3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let v2 = unhex("0x0100000200200000000000000000000000000000");
        assert_eq!(
            Capability::decode(&v2[..19]),
            Err(CapabilityError::Size(19))
        );
        assert_eq!(
            Capability::decode(&v2[..16]),
            Err(CapabilityError::Size(16))
        );
        assert_eq!(Capability::decode(&[]), Err(CapabilityError::Size(0)));
        let mut v1 = v2.clone();
        v1[3] = 1;
        assert_eq!(
            Capability::decode(&v1[..12]),
            Err(CapabilityError::Version1)
        );
        let mut v4 = v2.clone();
        v4[3] = 4;
        assert_eq!(
            Capability::decode(&v4),
            Err(CapabilityError::Revision(0x0400_0000))
        );
        let mut flags = v2;
        flags[0] = 3;
        assert_eq!(Capability::decode(&flags), Err(CapabilityError::Flags(3)));
    }

    proptest! {
        #[test]
        fn every_capability_comes_back(capability in capabilities(any::<Option<u32>>())) {
            prop_assert_eq!(Capability::decode(&capability.encode()), Ok(capability));
            let json = serde_json::to_string(&capability).unwrap();
            prop_assert_eq!(serde_json::from_str::<Capability>(&json).unwrap(), capability);
        }

        #[test]
        fn any_bytes_come_back_or_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(capability) = Capability::decode(&bytes) {
                prop_assert_eq!(capability.encode(), &*bytes);
            }
            bytes.resize(20, 0);
            bytes[..4].copy_from_slice(&[1, 0, 0, 2]);
            prop_assert_eq!(Capability::decode(&bytes).unwrap().encode(), bytes);
        }

        #[test]
        fn bytes_near_a_capability_come_back_or_are_refused(
            flags in 0u8..4,
            high_flags in prop::option::weighted(0.2, (1usize..3, any::<u8>())),
            revision in 1u8..5,
            data in proptest::collection::vec(any::<u8>(), 20),
            len in prop::sample::select(vec![12usize, 19, 20, 21, 23, 24]),
        ) {
            let mut bytes = [&[flags, 0, 0, revision], &data[..]].concat();
            if let Some((place, byte)) = high_flags { bytes[place] = byte }
            bytes.truncate(len);
            if let Ok(capability) = Capability::decode(&bytes) {
                prop_assert_eq!(capability.encode(), bytes);
            }
        }
    }
}
