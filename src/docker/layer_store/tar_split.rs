//! tar-split: what Docker keeps of a layer's tar, to put it together again, byte for byte, from the files of the layer.
//!
//! `tar-split.json.gz` is one JSON object a line: raw bytes of the tar (type 2), and files (type 1), whose content is
//! taken from the disk and compared by its CRC-64 (`github.com/vbatts/tar-split`, `tar/storage`). Docker gives no layer
//! out of which one name is there twice or one file does not have its checksum: such content is written as raw bytes.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_64_GO_ISO, Crc, Table};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::digest::{Digest, HashingReader};
use super::path::clean;
use super::tar_reader::{Entry, Kind, RawBytes, TarError, TarReader};

/// CRC-64 as `crc64.MakeTable(crc64.ISO)` of Go.
pub(super) static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// As long as this, a segment is written: Docker takes the zeros at the end in pieces of it.
const SEGMENT: usize = 1 << 20;

/// Docker opens `overlay2/<64 digits>/diff/NAME` by one path, which the kernel takes up to 4095 bytes of.
const MAX_NAME: usize = 3072;

/// Type 1: `Line::File` of Docker's `storage.FileType`; 2: `SegmentType`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_raw: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    payload: Option<String>,
    position: u64,
}

fn is_zero(size: &u64) -> bool {
    *size == 0
}

/// Writes `tar-split.json.gz`.
pub struct TarSplitWriter<W: Write> {
    out: GzEncoder<BufWriter<W>>,
    position: u64,
    segment: Vec<u8>,
    /// Hashes of the names so far. Two names of one hash cost a file that is stored as raw bytes, and nothing else.
    names: HashSet<u64, foldhash::fast::FixedState>,
}

impl<W: Write> TarSplitWriter<W> {
    /// Into this.
    pub fn new(out: W) -> TarSplitWriter<W> {
        TarSplitWriter {
            out: GzEncoder::new(BufWriter::new(out), Compression::default()),
            position: 0,
            segment: Vec::new(),
            names: HashSet::default(),
        }
    }

    /// Whether an entry may have this name: it is its only one. Docker compares names when they are cleaned.
    pub fn take_name(&mut self, name: &[u8]) -> bool {
        let hash = foldhash::fast::FixedState::with_seed(0).hash_one(clean(name));
        self.names.insert(hash)
    }

    /// An entry whose content is on the disk; without content for all that is not a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&mut self, name: &[u8], size: u64, crc: Option<u64>) -> io::Result<()> {
        self.end_segment()?;
        let text = std::str::from_utf8(name).ok();
        self.line(|position| Line {
            kind: 1,
            name: text.filter(|name| !name.is_empty()),
            name_raw: text.is_none().then(|| STANDARD.encode(name)),
            size,
            payload: crc.map(|crc| STANDARD.encode(crc.to_be_bytes())),
            position,
        })
    }

    /// Writes raw bytes out so far: the next begin a line of their own.
    fn end_segment(&mut self) -> io::Result<()> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let payload = STANDARD.encode(&self.segment);
        self.segment.clear();
        self.line(|position| Line {
            kind: 2,
            name: None,
            name_raw: None,
            size: 0,
            payload: Some(payload),
            position,
        })
    }

    fn line<'a>(&mut self, line: impl FnOnce(u64) -> Line<'a>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &line(self.position))?;
        self.position += 1;
        self.out.write_all(b"\n")
    }

    /// Writes the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_segment()?;
        let out = self.out.finish()?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> RawBytes for TarSplitWriter<W> {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let room = SEGMENT - self.segment.len();
            let (now, later) = left.split_at(room.min(left.len()));
            self.segment.extend_from_slice(now);
            left = later;
            if self.segment.len() == SEGMENT {
                self.end_segment()?;
            }
        }
        Ok(())
    }
}

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
        if entry.kind != Kind::File || (entry.size == 0 && entry.sparse.is_none()) {
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

impl<W: Write> TarSplitWriter<W> {
    /// Docker's tar reader takes the two blocks of zeros with what is before them; the zeros behind in pieces.
    fn end_of_archive<R: Read>(&mut self, reader: &mut TarReader<R>) -> Result<(), TarError> {
        reader.second_zero_block(self)?;
        self.end_segment()?;
        reader.finish(self)
    }
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
    if entry.kind == Kind::Global || name.is_empty() || name.starts_with(b".wh.") {
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
