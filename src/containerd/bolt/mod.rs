//! A reader for bbolt files (`go.etcd.io/bbolt`): `meta.db` of containerd, `metadata.db` of its snapshotters, `tasks.db` of
//! a swarm's node.
//!
//! It only reads, page by page, and takes nothing for granted: every id, offset, length and type is checked before
//! it is used. Whatever a file holds, reading it ends, with what is in it or with a [`BoltError`] that names the
//! page.
//!
//! - [`database`]: the file, its meta pages, the check of the whole of it
//! - [`bucket`]: keys, values and buckets in buckets
//! - `page`: pure: the elements of one page
//!
//! The format (bbolt `page.go`, `db.go`, `bucket.go`), all numbers little-endian on the hosts that idshift runs on:
//!
//! ```text
//! page     id u64, flags u16 (1 branch, 2 leaf, 4 meta, 16 freelist), count u16, overflow u32, then its elements
//! meta     magic ED0CDAED u32, version 2 u32, page size u32, flags u32, root u64, sequence u64, freelist u64,
//!          high water mark u64, txid u64, checksum u64: FNV-1a of the 56 bytes before it
//! branch   element: position u32, key size u32, page id u64
//! leaf     element: flags u32 (1: a bucket), position u32, key size u32, value size u32
//! bucket   value: root page id u64, sequence u64; with root 0 a leaf page follows in the value (inline)
//! ```
//! Positions count from the element.

pub mod bucket;
mod check;
pub mod database;
mod live;
mod page;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../../../tests/suite/support/bolt_write.rs"]
pub(crate) mod write;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use bucket::{Bucket, Item};
pub use database::Database;

use crate::fs::escape::escaped;

/// Why a bbolt file cannot be read.
#[derive(Debug, Error)]
pub enum BoltError {
    /// The file cannot be opened or read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither of its two meta pages is valid.
    #[error("{path}: is not a bbolt file of this kind of host, or is damaged: {fault}", path = escaped(path))]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong with the first of them.
        fault: MetaFault,
    },
    /// A program writes to it too often for it to be read.
    #[error("{path}: keeps changing while it is read. Try again, or stop what writes to it: containerd, or dockerd", path = escaped(path))]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A page is damaged.
    #[error("{path}: page {page} is damaged: {fault}", path = escaped(path))]
    Page {
        /// The file.
        path: PathBuf,
        /// The page's id. What is wrong with an inline bucket is said of the page that it is in.
        page: u64,
        /// What is wrong with it.
        fault: PageFault,
    },
}

/// What is wrong with a meta page.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MetaFault {
    /// The file ends before it does.
    #[error("it is too short")]
    Short,
    /// The page's flags do not say that it is one.
    #[error("its first page is not a meta page")]
    Type,
    /// Another magic number.
    #[error("it does not begin with bbolt's magic number")]
    Magic,
    /// Another version of the format.
    #[error("it is in version {0} of the format; only version 2 is known")]
    Version(u32),
    /// The checksum is that of something else.
    #[error("the checksum of its meta page is wrong")]
    Checksum,
    /// A page size that no host has.
    #[error("its page size is {0}")]
    PageSize(u32),
}

/// What is wrong with a page.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PageFault {
    /// No page has this id: it is a meta page's, or not below the high water mark.
    #[error("there is no such page")]
    NoSuchPage,
    /// The file ends before it does.
    #[error("the file ends before it does")]
    Truncated,
    /// It says that it is another page.
    #[error("it has the id {0}")]
    Id(u64),
    /// It is neither a branch nor a leaf.
    #[error("it has the type {0:#x}, which is neither a branch nor a leaf")]
    Type(u16),
    /// It spans more than any page of bbolt's does.
    #[error("it spans {0} pages")]
    Overflow(u32),
    /// There is nothing in it, and it is no bucket's only page.
    #[error("it is empty")]
    Empty,
    /// An element lies outside of it.
    #[error("its element {0} lies outside of it")]
    Element(usize),
    /// A flag of an element is not known.
    #[error("its element {0} has unknown flags")]
    ElementFlags(usize),
    /// Keys do not ascend, or are not in the range that the page above has for them. So it is too where a page is
    /// reached twice.
    #[error("the key of its element {0} is out of order")]
    Order(usize),
    /// More pages are above it than in any file.
    #[error("it is too deep in its tree, or in a cycle")]
    Depth,
    /// It is part of two trees, or twice of one.
    #[error("two other pages refer to it")]
    Shared,
    /// The value of an element that is a bucket is none.
    #[error("its element {0} is not a bucket")]
    Bucket(usize),
}
