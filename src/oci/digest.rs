//! SHA-256 digests as the OCI image specification writes them, checked before anything is named by them.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Text that is not a digest or an id. It must not name a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a {1}")]
pub struct BadId(pub(super) String, pub(super) &'static str);

/// 64 lowercase hexadecimal digits, and nothing else: safe as a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexId(String);

impl HexId {
    /// The hash of these bytes.
    pub fn hash(bytes: &[u8]) -> HexId {
        HexId(hex(&Sha256::digest(bytes)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HexId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<HexId, BadId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Ok(HexId(text.into())),
            false => Err(BadId(text.into(), "id of 64 hexadecimal digits")),
        }
    }
}

impl TryFrom<String> for HexId {
    type Error = BadId;

    fn try_from(text: String) -> Result<HexId, BadId> {
        text.parse()
    }
}

impl From<HexId> for String {
    fn from(id: HexId) -> String {
        id.0
    }
}

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `sha256:` and 64 lowercase hexadecimal digits. No other algorithm: neither Docker nor containerd makes one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(HexId);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(HexId::hash(bytes))
    }

    /// The part behind `sha256:`, which names files.
    pub fn hex(&self) -> &HexId {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Digest, BadId> {
        let hex = text
            .strip_prefix("sha256:")
            .and_then(|hex| hex.parse().ok());
        hex.map(Digest)
            .ok_or_else(|| BadId(text.into(), "sha256 digest"))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadId;

    fn try_from(text: String) -> Result<Digest, BadId> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl From<HexId> for Digest {
    fn from(hex: HexId) -> Digest {
        Digest(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The digest of a finished hash.
pub(crate) fn of_hash(hash: Sha256) -> Digest {
    Digest(HexId(hex(&hash.finalize())))
}

/// Hashes what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> HashingReader<R> {
    /// Around this.
    pub fn new(inner: R) -> HashingReader<R> {
        HashingReader {
            inner,
            hash: Sha256::new(),
        }
    }

    /// The digest of everything that was read so far.
    pub fn digest(&self) -> Digest {
        of_hash(self.hash.clone())
    }

    /// Reads what is left; the digest of everything.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn drain(&mut self) -> io::Result<Digest> {
        io::copy(self, &mut io::sink())?;
        Ok(self.digest())
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.hash.update(&into[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_what_sha256_says() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        let mut reader = HashingReader::new(&b"abc"[..]);
        reader.read_exact(&mut [0]).unwrap();
        assert_eq!(reader.drain().unwrap().to_string(), ABC);
    }

    #[test]
    fn what_could_name_another_file_is_no_digest() {
        let good: Digest = ABC.parse().unwrap();
        assert_eq!(good.hex().as_str(), &ABC[7..]);
        let hex = &ABC[7..];
        for bad in [
            "",
            "sha256:",
            hex,
            &ABC[..70],
            &format!("{ABC}0"),
            &format!("sha512:{hex}{hex}"),
            &format!("sha256:../{}", &hex[3..]),
            &format!("sha256:{}/", &hex[1..]),
            &ABC.to_uppercase(),
            &format!("sha256:{}", hex.to_uppercase()),
            &format!(" {ABC}"),
            &format!("{ABC}\n"),
            &format!("sha256:{}é", &hex[2..]),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
            let json = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<Digest>(&json).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Digest>(&format!("{ABC:?}")).unwrap() == good);
    }
}
