//! The changes of owners in a journal, each with the path that the journal knows it by.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::{Damage, JournalError};
use super::file::{Journal, Section};
use super::name::Name;
use super::record::Entry;
use super::root_line::RootLine;
use super::transition::Transition;

/// One inode whose ownership a run changes.
#[derive(Clone, Copy, Debug)]
pub struct JournalChange<'a> {
    /// Its tree.
    pub root: &'a RootLine,
    /// The names from there to its directory.
    pub dir: &'a [Name],
    /// Its name and its inode.
    pub entry: Entry<'a>,
    /// What changes.
    pub transition: &'a Transition,
}

impl JournalChange<'_> {
    /// Its absolute path.
    pub fn path(&self) -> PathBuf {
        let mut path = self.root.path.as_path().to_path_buf();
        path.extend(self.dir.iter().map(Name::as_path));
        if self.entry.name.0 != b"." {
            path.push(self.entry.name.as_path());
        }
        path
    }
}

impl Journal {
    /// Goes through all changes, frame by frame: they may not fit into memory.
    ///
    /// # Errors
    /// The journal cannot be read any more, or the first error of `each`.
    pub fn for_each_change<E: From<JournalError>>(
        &self,
        mut each: impl FnMut(JournalChange<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for frame in 0..self.frames() {
            let undefined = || self.damaged(frame, Damage::Undefined);
            let mut transitions: HashMap<u32, Transition> = HashMap::new();
            let mut dir: Vec<Name> = Vec::new();
            for section in self.read(frame)? {
                let line = match section {
                    Section::Own(n, transition) => {
                        transitions.insert(n, transition);
                        continue;
                    }
                    Section::Dir(line) => line,
                };
                dir.truncate(line.keep);
                dir.extend(line.path.iter().cloned());
                let root = self.header.roots.get(line.root).ok_or_else(undefined)?;
                for entry in line.entries() {
                    let transition = transitions.get(&entry.own).ok_or_else(undefined)?;
                    each(JournalChange {
                        root,
                        dir: &dir,
                        entry,
                        transition,
                    })?;
                }
            }
        }
        Ok(())
    }
}
