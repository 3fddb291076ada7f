//! Some names of a directory, as they were read.

use std::ffi::CStr;

use rustix::fs::FileType;

/// Some names of one directory, one after the other in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    kinds: Vec<NameKind>,
}

/// The type of a name as the directory has it (`d_type`, `readdir(3)`). The name may mean something
/// else since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A directory, or the filesystem does not say.
    MaybeDirectory,
    /// Anything else.
    Other,
}

impl From<FileType> for NameKind {
    fn from(kind: FileType) -> NameKind {
        match kind {
            FileType::Directory | FileType::Unknown => NameKind::MaybeDirectory,
            _ => NameKind::Other,
        }
    }
}

impl Names {
    /// Adds a name.
    pub fn push(&mut self, name: &CStr, kind: NameKind) {
        self.kinds.push(kind);
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        // One read gives at most 64 KiB of names.
        self.ends.push(self.bytes.len() as u32);
    }

    /// Removes all names, and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.kinds.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The names and their kinds, in the order they were read.
    pub fn with_kinds(&self) -> impl Iterator<Item = (&CStr, NameKind)> {
        self.iter().zip(self.kinds.iter().copied())
    }

    /// The names in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = &self.bytes[start..end as usize];
            start = end as usize;
            CStr::from_bytes_with_nul(name).unwrap_or(c"")
        })
    }
}
