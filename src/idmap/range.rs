//! One line of a `uid_map`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `(uid_t) -1`: means "leave it" to `chown(2)` and is nobody's id.
pub const RESERVED: u32 = u32::MAX;

/// Consecutive container ids and the host ids they stand for: one line of `/proc/PID/uid_map`
/// (`user_namespaces(7)`). Written `container:host:size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    container: u32,
    host: u32,
    size: u32,
}

/// Why three numbers do not make a range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    /// It holds no id.
    #[error("the range {container}:{host}:0 has size 0 and maps nothing")]
    Empty {
        /// As given.
        container: u32,
        /// As given.
        host: u32,
    },
    /// It reaches the reserved id 4294967295 or goes past it.
    #[error(
        "the range {container}:{host}:{size} goes past {side} id 4294967294, the last there is"
    )]
    TooFar {
        /// As given.
        container: u32,
        /// As given.
        host: u32,
        /// As given.
        size: u32,
        /// `container` or `host`.
        side: &'static str,
    },
    /// Not `container:host:size`.
    #[error("{0:?} is not CONTAINER:HOST:SIZE, three numbers as in 0:100000:65536")]
    Text(String),
}

impl Range {
    /// Ids `container..container + size` stand for `host..host + size`.
    ///
    /// # Errors
    /// When it is empty or reaches 4294967295.
    pub fn new(container: u32, host: u32, size: u32) -> Result<Range, RangeError> {
        if size == 0 {
            return Err(RangeError::Empty { container, host });
        }
        for (side, first) in [("container", container), ("host", host)] {
            if first
                .checked_add(size - 1)
                .is_none_or(|last| last == RESERVED)
            {
                return Err(RangeError::TooFar {
                    container,
                    host,
                    size,
                    side,
                });
            }
        }
        Ok(Range {
            container,
            host,
            size,
        })
    }

    /// First container id.
    pub fn container(&self) -> u32 {
        self.container
    }

    /// First host id.
    pub fn host(&self) -> u32 {
        self.host
    }

    /// How many ids; never 0.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Whether it maps each id to itself.
    pub fn is_identity(&self) -> bool {
        self.container == self.host
    }

    /// The host id of a container id in it.
    pub fn to_host(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.container)?;
        (offset < self.size).then(|| self.host + offset)
    }

    /// The container id of a host id in it.
    pub fn to_container(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.host)?;
        (offset < self.size).then(|| self.container + offset)
    }
}

impl Range {
    /// The same ids, the two sides exchanged.
    pub fn inverse(self) -> Range {
        Range {
            container: self.host,
            host: self.container,
            size: self.size,
        }
    }

    /// The composition with `next`, if the host side of this one overlaps the container side of
    /// that one.
    pub fn then(self, next: Range) -> Option<Range> {
        let first = self.host.max(next.container);
        let last = (self.host + (self.size - 1)).min(next.container + (next.size - 1));
        (first <= last).then(|| Range {
            container: self.container + (first - self.host),
            host: next.host + (first - next.container),
            size: last - first + 1,
        })
    }

    /// What is left of it without these container ids.
    pub fn without_container_ids(self, first: u32, size: u32) -> Vec<Range> {
        let end = u64::from(first) + u64::from(size);
        let own_end = u64::from(self.container) + u64::from(self.size);
        let part = |from: u64, to: u64| {
            let offset = (from - u64::from(self.container)) as u32;
            (from < to).then(|| Range {
                container: self.container + offset,
                host: self.host + offset,
                size: (to - from) as u32,
            })
        };
        let before = part(self.container.into(), own_end.min(first.into()));
        let after = part(end.max(self.container.into()), own_end);
        before.into_iter().chain(after).collect()
    }

    /// What is left of it without these host ids.
    pub fn without_host_ids(self, first: u32, size: u32) -> Vec<Range> {
        let parts = self.inverse().without_container_ids(first, size);
        parts.into_iter().map(Range::inverse).collect()
    }
}

/// Whether `size_a` ids from `a` and `size_b` ids from `b` have one in common.
pub(super) fn meet(a: u32, size_a: u32, b: u32, size_b: u32) -> bool {
    // A range ends before 2^32, so these sums do too.
    a < b + size_b && b < a + size_a
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.container, self.host, self.size)
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Range, RangeError> {
        let bad = || RangeError::Text(text.to_string());
        let mut numbers = text.split(':').map(decimal);
        let mut next = || numbers.next().flatten().ok_or_else(bad);
        let (container, host, size) = (next()?, next()?, next()?);
        match numbers.next() {
            None => Range::new(container, host, size),
            Some(_) => Err(bad()),
        }
    }
}

/// A number in plain digits: `u32::from_str` would also take a sign.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl TryFrom<String> for Range {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Range, RangeError> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        range.to_string()
    }
}
