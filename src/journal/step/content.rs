//! What a file that a step makes holds.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::journal::name::Name;

/// Bytes of a file: a JSON string where they are UTF-8, else `{"b64":"…"}`, as names are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Name", into = "Name")]
pub struct Content(pub Vec<u8>);

impl From<Name> for Content {
    fn from(name: Name) -> Content {
        Content(name.0)
    }
}

impl From<Content> for Name {
    fn from(content: Content) -> Name {
        Name(content.0)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Content {
        Content(text.into_bytes())
    }
}

/// The digest of a file's content, hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
