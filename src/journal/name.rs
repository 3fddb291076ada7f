//! A file name or path in JSON, whatever its bytes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that name a file: a JSON string where they are UTF-8, else `{"b64":"…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub Vec<u8>);

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Name {
    /// True for a single plain path component: not empty, no slash, no NUL, not `..`. A `.` is the
    /// directory itself and is allowed where the format says so.
    pub fn is_component(&self) -> bool {
        !self.0.is_empty() && self.0 != b".." && !self.0.iter().any(|&b| b == b'/' || b == 0)
    }

    /// The bytes as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl From<&Path> for Name {
    fn from(path: &Path) -> Name {
        Name(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<Name> for PathBuf {
    fn from(name: Name) -> PathBuf {
        PathBuf::from(OsString::from_vec(name.0))
    }
}

/// Whether these bytes need no escape in a JSON string.
pub fn is_plain(bytes: &[u8]) -> bool {
    let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
    bytes.iter().all(plain)
}

/// Writes the JSON of some name bytes to the end of `out`.
pub fn write_json(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    } else {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(out, &Borrowed(bytes));
    }
}

/// For fields of serde: a path as a [`Name`].
///
/// # Errors
/// The serializer's.
pub fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    Borrowed(path.as_os_str().as_bytes()).serialize(serializer)
}

/// One that may be missing, for `serialize_with`.
///
/// # Errors
/// The serializer's.
pub fn serialize_optional_path<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serialize_path(path, serializer),
        None => serializer.serialize_none(),
    }
}

/// Several of them, for `serialize_with`.
///
/// # Errors
/// The serializer's.
pub fn serialize_paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        paths
            .iter()
            .map(|path| Borrowed(path.as_os_str().as_bytes())),
    )
}

struct Borrowed<'a>(&'a [u8]);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("b64", &BASE64.encode(self.0))?;
                map.end()
            }
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Borrowed(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or {\"b64\": its bytes}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Name, E> {
        Ok(Name(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Name, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, text)) if key == "b64" => {
                let bytes = BASE64.decode(text).map_err(A::Error::custom)?;
                match map.next_key::<String>()? {
                    None => Ok(Name(bytes)),
                    Some(key) => Err(A::Error::custom(format!("unexpected \"{key}\" in a name"))),
                }
            }
            _ => Err(A::Error::custom(
                "a name object holds \"b64\" and nothing else",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back_from_json(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut json = Vec::new();
            write_json(&mut json, &bytes);
            prop_assert_eq!(&json, &serde_json::to_vec(&Name(bytes.clone())).unwrap());
            let back: Name = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(back.0, bytes);
        }
    }

    #[test]
    fn only_plain_components_pass() {
        for bad in ["", "..", "a/b", "/", "a\0b"] {
            assert!(!Name(bad.into()).is_component(), "{bad:?}");
        }
        for good in ["a", "...", " ", "-rf", "\n"] {
            assert!(Name(good.into()).is_component(), "{good:?}");
        }
    }
}
