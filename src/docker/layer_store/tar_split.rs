//! tar-split: what Docker keeps of a layer's tar, to put it together again, byte for byte, from the files of the layer.
//!
//! `tar-split.json.gz` is one JSON object a line: raw bytes of the tar (type 2), and files (type 1), whose content is
//! taken from the disk and compared by its CRC-64 (`github.com/vbatts/tar-split`, `tar/storage`). Docker gives no layer
//! out of which one name is there twice or one file does not have its checksum: such content is written as raw bytes.

mod writer;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use crc::{CRC_64_GO_ISO, Crc, Table};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use self::writer::TarSplitWriter;
use super::digest::{Digest, HashingReader};
use super::path::clean;
use super::tar_reader::{Entry, EntryKind, RawBytes, TarError, TarReader};

/// CRC-64 as `crc64.MakeTable(crc64.ISO)` of Go.
pub(super) static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// Docker opens `overlay2/<64 digits>/diff/NAME` by one path, which the kernel takes up to 4095 bytes of.
const MAX_NAME: usize = 3072;

/// What [`split_layer`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The digest of the tar, which must be the layer's diff id.
    pub diff_id: Digest,
    /// Files whose content the disk does not have as it is in the tar. Docker gives them out all the same.
    pub raw_files: u64,
    /// What is not there as it is in the tar: files with other content, and what is gone from a directory that is there.
    /// Somebody has changed it. Paths from the top.
    pub changed: BTreeSet<Vec<u8>>,
}

/// Writes the `tar-split.json.gz` of a layer whose files are in `diff` already. Every file is compared with the tar.
///
/// Memory is bounded, but for 8 bytes for each name.
///
/// # Errors
/// The stream is no tar, or something cannot be read or written.
pub fn split_layer(
    tar: impl Read,
    diff: BorrowedFd<'_>,
    out: impl Write,
) -> Result<Split, TarError> {
    let mut hashing = HashingReader::new(tar);
    let mut reader = TarReader::new(&mut hashing);
    let mut split = TarSplitWriter::new(out);
    let mut raw_files = 0;
    let mut changed = BTreeSet::new();
    let mut buffers = Buffers::default();
    while let Some(entry) = reader.next(&mut split)? {
        let is_first = split.take_name(&entry.name);
        if !is_first {
            // The disk has what comes last.
            changed.remove(&path_of(&entry));
        }
        if is_first && is_gone(diff, &entry) {
            changed.insert(path_of(&entry));
        }
        if entry.kind != EntryKind::File || (entry.size == 0 && entry.sparse.is_none()) {
            if is_first {
                split.file(&entry.name, 0, None)?;
            }
            continue;
        }
        let on_disk = match is_first {
            true => open_same(diff, &entry),
            false => None,
        };
        let crc = match &on_disk {
            Some((file, size)) if *size == entry.size => {
                buffers.compare(&mut reader, file, &mut split)?
            }
            _ => None,
        };
        if on_disk.is_some() && crc.is_none() {
            changed.insert(path_of(&entry));
        }
        match crc {
            Some(crc) => split.file(&entry.name, entry.size, Some(crc))?,
            // The rest of it goes into raw bytes as the reader passes over it.
            None => raw_files += 1,
        }
    }
    split.end_of_archive(&mut reader)?;
    split.finish()?;
    drop(reader);
    Ok(Split {
        diff_id: hashing.drain()?,
        raw_files,
        changed,
    })
}

/// Where the file of this entry is, from the top of the layer.
fn path_of(entry: &Entry) -> Vec<u8> {
    let path = clean(&entry.name);
    path.strip_prefix(b"/").unwrap_or(&path).to_vec()
}

/// The file of this entry, when Docker would find it by its name: no symlink on the way, nothing odd in the name. And its
/// size.
fn open_same(diff: BorrowedFd<'_>, entry: &Entry) -> Option<(File, u64)> {
    if entry.sparse.is_some() || entry.name.len() > MAX_NAME || entry.name.ends_with(b"/") {
        return None;
    }
    // A run that is undone leaves no trace on what it read.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOATIME;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let file = rustix::fs::openat2(diff, path_of(entry), flags, Mode::empty(), resolve).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_file.then(|| (file.into(), stat.st_size.unsigned_abs()))
}

/// Whether the directory of an entry is there and has nothing of its name. Where the directory is not there, the layer may
/// have it elsewhere: behind a symlink of a layer below, through which containerd unpacked it.
fn is_gone(diff: BorrowedFd<'_>, entry: &Entry) -> bool {
    let path = path_of(entry);
    let (above, name) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], &path[..]),
    };
    // What deletes something below has another name on the disk.
    if entry.kind == EntryKind::Global || name.is_empty() || name.starts_with(b".wh.") {
        return false;
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open =
        |path: &[u8], more| rustix::fs::openat2(diff, path, flags | more, Mode::empty(), resolve);
    open(&path, OFlags::empty()).is_err_and(|errno| errno == Errno::NOENT)
        && open(above, OFlags::DIRECTORY).is_ok()
}

struct Buffers {
    tar: Vec<u8>,
    disk: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers {
            tar: vec![0; 128 << 10],
            disk: vec![0; 128 << 10],
        }
    }
}

impl Buffers {
    /// The checksum of the entry's content, when the file has the same. Otherwise what was read of it is in raw bytes.
    fn compare<R: Read, W: Write>(
        &mut self,
        reader: &mut TarReader<R>,
        file: &File,
        split: &mut TarSplitWriter<W>,
    ) -> Result<Option<u64>, TarError> {
        let mut crc = CRC.digest();
        let mut done = 0u64;
        loop {
            let count = reader.read_content(&mut self.tar)?;
            if count == 0 {
                return Ok(Some(crc.finalize()));
            }
            let (tar, disk) = (&self.tar[..count], &mut self.disk[..count]);
            let is_same = match file.read_exact_at(disk, done) {
                Ok(()) => tar == disk,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error.into()),
            };
            if !is_same {
                // Up to here they are equal, so the disk has it.
                let mut at = 0;
                while at < done {
                    let most = (done - at).min(self.disk.len() as u64) as usize;
                    file.read_exact_at(&mut self.disk[..most], at)?;
                    split.raw(&self.disk[..most])?;
                    at += most as u64;
                }
                split.raw(&self.tar[..count])?;
                return Ok(None);
            }
            crc.update(tar);
            done += count as u64;
        }
    }
}

#[cfg(test)]
mod tests;
