//! The extended attributes in which overlayfs keeps what it must know of an inode of a layer: `opaque`, `redirect`,
//! `metacopy`, `origin` and others (Linux `Documentation/filesystems/overlayfs.rst`).
//!
//! A mount of root's reads them in `trusted.overlay.`, one that was made in a user namespace (with the option
//! `userxattr`) in `user.overlay.`. Each takes no notice of the other's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which attributes a mount reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverlayNamespace {
    /// `trusted.overlay.`: of a mount of root's.
    Trusted,
    /// `user.overlay.`: of a mount in a user namespace.
    User,
}

impl OverlayNamespace {
    const ALL: [OverlayNamespace; 2] = [OverlayNamespace::Trusted, OverlayNamespace::User];

    /// What the names of its attributes begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            OverlayNamespace::Trusted => "trusted.overlay.",
            OverlayNamespace::User => "user.overlay.",
        }
    }
}

/// The part of an attribute's name that is the same in both namespaces; `None`: it is not overlayfs's.
fn suffix(name: &str) -> Option<&str> {
    let all = OverlayNamespace::ALL.into_iter();
    let mut of = all.filter_map(|it| name.strip_prefix(it.prefix()));
    of.next().filter(|rest| !rest.is_empty())
}

/// The same attribute in the other namespace.
fn counterpart(name: &str) -> Option<String> {
    let rest = suffix(name)?;
    let all = OverlayNamespace::ALL.into_iter();
    let mut others = all.map(OverlayNamespace::prefix);
    let other = others.find(|prefix| !name.starts_with(prefix))?;
    Some(format!("{other}{rest}"))
}

/// Attributes that a mount with `userxattr` does not follow: what has one cannot be opened there (`EPERM`, seen on Linux
/// 6.18, which logs `refusing to follow redirect`).
const ROOTS_ONLY: [&str; 2] = ["redirect", "metacopy"];

/// What a user may have written, and a mount of root's needs: the others are file handles and numbers with which overlayfs
/// finds inodes again, and it does without.
const KEPT_FOR_ROOT: [&str; 3] = ["opaque", "whiteout", "impure"];

/// Of an overlay in an overlay: the outer one keeps attributes of the inner one with this in their names (Linux 6.7).
const OF_INNER: &str = "overlay.";

/// The longest value of an attribute of an inner overlay that is believed: a path, for a redirect.
const LONGEST_VALUE: usize = 4096;

/// Whether overlayfs writes such a value (Linux 6.18, `fs/overlayfs/`).
fn is_written_by_overlayfs(suffix: &str, value: &[u8]) -> bool {
    // A file handle: version, magic, length, flags, type, then the UUID and the handle (`struct ovl_fb`); nothing where the
    // lower filesystem has none.
    let is_handle = || value.is_empty() || (value.len() <= 255 && value.get(1) == Some(&0xfb));
    match suffix {
        "opaque" => matches!(value, b"y" | b"x"),
        "impure" => value == b"y",
        "whiteout" => value.is_empty() || value == b"y",
        "origin" | "upper" => is_handle(),
        "uuid" => value.len() == 16,
        "protattr" => value.len() <= 32 && value.iter().all(u8::is_ascii_alphabetic),
        "nlink" => match value {
            [b'U' | b'L', b'+' | b'-', digits @ ..] => {
                (1..=10).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit)
            }
            _ => false,
        },
        other => other.starts_with(OF_INNER) && value.len() <= LONGEST_VALUE,
    }
}

/// Why an attribute cannot be moved to the other namespace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotMoved {
    /// It would count from now on.
    #[error(
        "it has the attribute {0}, which its daemon ignores and the other daemon would follow. \
         `setfattr -x {0}` on it removes the attribute"
    )]
    Taken(String),
    /// No mount in a user namespace follows it.
    #[error(
        "it has the attribute {0}, which overlays of a rootless daemon refuse: containers could not open it. `docker \
         commit` its container, remove that, and create it again from the new image"
    )]
    Refused(String),
    /// Somebody else wrote it.
    #[error(
        "it has the attribute {0} with a value that overlayfs does not write. `getfattr -d -m - -e hex` on it shows the \
         value, and `setfattr -x {0}` removes it"
    )]
    Strange(String),
}

/// The attributes of overlayfs that an inode has, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct OverlayXattrs(BTreeMap<String, Vec<u8>>);

impl OverlayXattrs {
    /// The names of overlayfs's attributes in a list as `listxattr(2)` gives it. The kernel makes none that is not plain
    /// text.
    pub fn names_in(list: &[u8]) -> impl Iterator<Item = &str> {
        let names = list.split(|&byte| byte == 0);
        let names = names.filter_map(|name| std::str::from_utf8(name).ok());
        names.filter(|name| suffix(name).is_some())
    }

    /// With these values.
    pub fn new(all: impl IntoIterator<Item = (String, Vec<u8>)>) -> OverlayXattrs {
        OverlayXattrs(all.into_iter().collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that `other` does not have so: name and value.
    pub fn missing_in<'a>(
        &'a self,
        other: &'a OverlayXattrs,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let missing = self
            .0
            .iter()
            .filter(|(name, value)| !other.has(name, value));
        missing.map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The same attributes in this namespace. What was a user's is not all believed by root: of those, some go.
    ///
    /// # Errors
    /// One that is in it already, that mounts of this namespace refuse, or that overlayfs did not write.
    pub fn moved_to(&self, namespace: OverlayNamespace) -> Result<OverlayXattrs, NotMoved> {
        let prefix = namespace.prefix();
        let mut moved = BTreeMap::new();
        for (name, value) in &self.0 {
            let rest = suffix(name).unwrap_or_default();
            if name.starts_with(prefix) {
                return Err(NotMoved::Taken(name.clone()));
            }
            if ROOTS_ONLY.contains(&rest) {
                return Err(NotMoved::Refused(name.clone()));
            }
            if !is_written_by_overlayfs(rest, value) {
                return Err(NotMoved::Strange(name.clone()));
            }
            let is_users = namespace == OverlayNamespace::Trusted;
            if !is_users || KEPT_FOR_ROOT.contains(&rest) || rest.starts_with(OF_INNER) {
                moved.insert(format!("{prefix}{rest}"), value.clone());
            }
        }
        Ok(OverlayXattrs(moved))
    }

    /// Whether an inode that has these is on the way from `before` to `after`, or back: each attribute has one of its two
    /// names, or, for a moment, none.
    pub fn is_between(&self, before: &OverlayXattrs, after: &OverlayXattrs) -> bool {
        let mut all = self.0.iter();
        all.all(|(name, value)| before.has(name, value) || after.has(name, value))
    }

    fn has(&self, name: &str, value: &[u8]) -> bool {
        self.0.get(name).is_some_and(|found| found == value)
    }

    /// Whether this attribute is there with this value, under either name.
    fn has_either(&self, name: &str, value: &[u8]) -> bool {
        self.has(name, value) || counterpart(name).is_some_and(|other| self.has(&other, value))
    }

    /// These attributes as a forced undoing gives them back to an inode that has `now` others: what was removed or written
    /// anew since stays so, and what came stays.
    pub fn given_back(&self, now: &OverlayXattrs) -> OverlayXattrs {
        let back = (self.0.iter()).filter(|(name, value)| now.has_either(name, value));
        let came = (now.0.iter()).filter(|(name, value)| !self.has_either(name, value));
        let both = back.chain(came);
        OverlayXattrs::new(both.map(|(name, value)| (name.clone(), value.clone())))
    }
}

impl From<OverlayXattrs> for BTreeMap<String, String> {
    fn from(xattrs: OverlayXattrs) -> BTreeMap<String, String> {
        let all = xattrs.0.into_iter();
        all.map(|(name, value)| (name, BASE64_STANDARD.encode(value)))
            .collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for OverlayXattrs {
    type Error = &'static str;

    /// A record names no other attributes than overlayfs's: what it says is done as root.
    fn try_from(all: BTreeMap<String, String>) -> Result<OverlayXattrs, &'static str> {
        let mut found = BTreeMap::new();
        for (name, value) in all {
            // XATTR_NAME_MAX (linux/limits.h)
            if suffix(&name).is_none() || name.len() >= 256 || name.contains('\0') {
                return Err("is not the name of an attribute of overlayfs");
            }
            let value = BASE64_STANDARD.decode(value);
            let value = value.map_err(|_| "the value of an attribute is not base64")?;
            if value.len() > LONGEST_VALUE {
                return Err("the value of an attribute is longer than overlayfs writes one");
            }
            found.insert(name, value);
        }
        Ok(OverlayXattrs(found))
    }
}

#[cfg(test)]
mod tests;
