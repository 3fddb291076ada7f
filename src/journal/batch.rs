//! Changes that are gathered for a journal.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::name;
use super::record::{NameCounts, OwnLine, Record};
use super::transition::Transition;
use crate::fs::{DirPath, Identity};

/// Changes of some directories, gathered by one thread until they become lines of a journal.
///
/// The lines of a batch stand alone: their paths start at a root and they define every number that
/// they use. A frame may hold several batches, and a replay may start at any frame.
#[derive(Debug, Default)]
pub struct Batch {
    transitions: Vec<Transition>,
    numbers: HashMap<Transition, u32, RandomState>,
    /// The last one used: neighbours are mostly alike.
    latest: u32,
    dirs: Vec<DirGroup>,
    name_bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct DirGroup {
    path: Arc<DirPath>,
    first_entry: usize,
}

#[derive(Debug)]
struct Entry {
    name_end: usize,
    identity: Identity,
    own: u32,
}

impl Batch {
    /// How many inodes it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the inode called `name` in `dir`; gives the number of its transition.
    pub fn push(
        &mut self,
        dir: &Arc<DirPath>,
        name: &[u8],
        identity: Identity,
        transition: Transition,
    ) -> u32 {
        if !self
            .dirs
            .last()
            .is_some_and(|last| Arc::ptr_eq(&last.path, dir))
        {
            self.dirs.push(DirGroup {
                path: Arc::clone(dir),
                first_entry: self.entries.len(),
            });
        }
        self.name_bytes.extend_from_slice(name);
        let own = self.number(transition);
        self.entries.push(Entry {
            name_end: self.name_bytes.len(),
            identity,
            own,
        });
        own
    }

    fn number(&mut self, transition: Transition) -> u32 {
        if self.transitions.get(self.latest as usize) == Some(&transition) {
            return self.latest;
        }
        self.latest = match self.numbers.get(&transition) {
            Some(&number) => number,
            None => {
                let number = self.transitions.len() as u32;
                self.transitions.push(transition.clone());
                self.numbers.insert(transition, number);
                number
            }
        };
        self.latest
    }

    /// The inodes in the order they were added: their directory, their name, what they are, and the number of
    /// their transition.
    pub fn inodes(&self) -> impl Iterator<Item = (&Arc<DirPath>, &[u8], Identity, u32)> {
        let mut dirs = self.dirs.iter().peekable();
        let mut start = 0;
        self.entries
            .iter()
            .enumerate()
            .filter_map(move |(i, entry)| {
                while dirs.peek().is_some()
                    && dirs
                        .clone()
                        .nth(1)
                        .is_some_and(|next| next.first_entry <= i)
                {
                    dirs.next();
                }
                let name = &self.name_bytes[start..entry.name_end];
                start = entry.name_end;
                dirs.peek()
                    .map(|dir| (&dir.path, name, entry.identity, entry.own))
            })
    }

    /// The transitions by number.
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    /// What its lines name.
    pub fn named(&self) -> NameCounts {
        NameCounts {
            inodes: self.entries.len() as u64,
            steps: 0,
        }
    }

    /// The lines to be journalled.
    pub fn lines(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * 40);
        for (n, transition) in self.transitions.iter().enumerate() {
            let line = Record::Own(Box::new(OwnLine {
                n: n as u32,
                file_type: transition.file_type,
                before: transition.change.before.clone(),
                after: transition.change.after.clone(),
                flags: transition.held,
            }));
            out.extend_from_slice(&line.to_bytes());
        }
        let mut previous: Option<&Arc<DirPath>> = None;
        for (i, dir) in self.dirs.iter().enumerate() {
            let end = self
                .dirs
                .get(i + 1)
                .map_or(self.entries.len(), |next| next.first_entry);
            self.dir_line(&mut out, previous, &dir.path, dir.first_entry..end);
            previous = Some(&dir.path);
        }
        out
    }

    /// Writes a [`DirLine`](super::record::DirLine) by hand: this is done for every inode of a tree.
    fn dir_line(
        &self,
        out: &mut Vec<u8>,
        previous: Option<&Arc<DirPath>>,
        path: &Arc<DirPath>,
        range: std::ops::Range<usize>,
    ) {
        let keep = previous.map_or(0, |previous| path.shared_depth(previous));
        out.extend_from_slice(b"{\"kind\":\"dir\",\"root\":");
        number(out, path.root as i64);
        out.extend_from_slice(b",\"keep\":");
        number(out, keep as i64);
        out.extend_from_slice(b",\"path\":[");
        list(out, path.tail(path.depth - keep), |out, component| {
            name::write_json(out, component);
        });
        out.extend_from_slice(b"],\"names\":[");
        let entries = &self.entries[range.clone()];
        let mut start = match range.start {
            0 => 0,
            first => self.entries[first - 1].name_end,
        };
        list(out, entries, |out, entry| {
            name::write_json(out, &self.name_bytes[start..entry.name_end]);
            start = entry.name_end;
        });
        out.extend_from_slice(b"],\"inos\":[");
        differences(out, entries.iter().map(|entry| entry.identity.ino as i64));
        if entries.iter().any(|entry| entry.identity.born != 0) {
            out.extend_from_slice(b"],\"borns\":[");
            differences(out, entries.iter().map(|entry| entry.identity.born));
        }
        out.extend_from_slice(b"],\"owns\":[");
        list(out, entries, |out, entry| number(out, entry.own.into()));
        out.extend_from_slice(b"]}\n");
    }
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut one: impl FnMut(&mut Vec<u8>, T),
) {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        one(out, item);
    }
}

/// The first number, then each one's difference to the one before: neighbours lie close together,
/// and small numbers compress.
fn differences(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut before = 0i64;
    list(out, numbers, |out, n| {
        number(out, n.wrapping_sub(before));
        before = n;
    });
}

fn number(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

#[cfg(test)]
mod tests;
