//! The changes of one directory as a line of a journal.

use serde::{Deserialize, Serialize};

use crate::fs::Identity;
use crate::journal::line_error::LineError;
use crate::journal::name::Name;

/// Inodes of one directory that are about to be changed, in columns: the i-th of each belong
/// together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirLine {
    /// Which root.
    pub root: usize,
    /// How many names of the previous directory's path, from the root, this one's begins with.
    pub keep: usize,
    /// The names that follow.
    pub path: Vec<Name>,
    /// Names; `.` is the directory itself and occurs only at the root.
    pub names: Vec<Name>,
    /// Inode numbers: the first, then differences to the one before.
    pub inos: Vec<i64>,
    /// Birth times in milliseconds, likewise; left out where none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borns: Vec<i64>,
    /// Numbers of [`super::OwnLine`]s.
    pub owns: Vec<u32>,
}

/// One inode of a [`DirLine`], its columns put together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name in the directory.
    pub name: &'a Name,
    /// Its inode.
    pub identity: Identity,
    /// Number of its [`super::OwnLine`].
    pub own: u32,
}

impl DirLine {
    /// Whether the columns are of one length and the names are names: what [`super::Record::parse`] makes
    /// sure of.
    pub(super) fn check(&self) -> Result<(), LineError> {
        let count = self.names.len();
        let of_one_length = self.inos.len() == count
            && self.owns.len() == count
            && (self.borns.len() == count || self.borns.is_empty());
        if !of_one_length {
            return Err(LineError::Columns);
        }
        let top = self.keep == 0 && self.path.is_empty();
        let plain = |name: &Name| name.is_component() && name.0 != b".";
        let bad_component = self.path.iter().find(|name| !plain(name));
        let bad_name = self
            .names
            .iter()
            .find(|name| !(plain(name) || top && name.0 == b"."));
        match bad_component.or(bad_name) {
            Some(name) => Err(LineError::NotAName {
                kind: "dir",
                name: name.clone().into(),
            }),
            None => Ok(()),
        }
    }

    /// Its inodes.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut ino = 0i64;
        let mut born = 0i64;
        self.names.iter().enumerate().map(move |(i, name)| {
            ino = ino.wrapping_add(self.inos[i]);
            born = born.wrapping_add(self.borns.get(i).copied().unwrap_or(0));
            Entry {
                name,
                identity: Identity {
                    ino: ino as u64,
                    born,
                },
                own: self.owns[i],
            }
        })
    }
}
