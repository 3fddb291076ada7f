//! A layer's tar, entry by entry, with every byte that is not a file content.
//!
//! The framing is done here, on the header types of the `tar` crate, and not by its `Archive`: tar-split needs the bytes
//! between the contents, and `Archive` ends a pax record at any newline, also inside the value of a capability. What a
//! name or size means is as in Go's `archive/tar`, which Docker and containerd read layers with: pax before the header,
//! GNU long names before pax, links, devices and directories without content.

mod entry;
mod fault;
mod header;
mod kind;
mod pax;
mod sparse;

use std::io::{self, Read};

use thiserror::Error;

pub use fault::TarFault;
use header::{Fields, is_zero};
pub use kind::EntryKind;
use pax::Pax;
pub use sparse::Segment;

/// Extended headers and long names may not be longer (`maxSpecialFileSize` of Go's `archive/tar`).
const MAX_SPECIAL: u64 = 1 << 20;

/// Bytes of a block.
const BLOCK: usize = 512;

/// Why a tar is not read on.
#[derive(Debug, Error)]
pub enum TarError {
    /// The stream, or where its bytes go to.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no tar, or says two things.
    #[error("tar entry {entry}: {reason}", entry = crate::fs::escape::escaped(std::path::Path::new(
        std::ffi::OsStr::new(&**name)
    )))]
    Bad {
        /// The entry's name, or that of the one before it.
        name: String,
        /// What is wrong with it.
        reason: TarFault,
    },
}

/// What takes the bytes that are no file content: an `io::Write` in miniature.
pub trait RawBytes {
    /// Takes these.
    ///
    /// # Errors
    /// They cannot be written.
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Drops them.
impl RawBytes for () {
    fn raw(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written: not cleaned, and any bytes.
    pub name: Vec<u8>,
    /// Of a hard link and a symlink.
    pub link_name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content in the stream.
    pub size: u64,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner, a container id.
    pub uid: u32,
    /// Group, a container id.
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// `SCHILY.xattr.` records.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file: where its content belongs, and how long the file is.
    pub sparse: Option<(Vec<Segment>, u64)>,
}

/// Reads a tar.
pub struct TarReader<R> {
    stream: R,
    /// Content that was not read yet.
    left: u64,
    /// Zeros behind the content.
    padding: usize,
    last_name: String,
}

impl<R: Read> TarReader<R> {
    /// Of this stream, which is not compressed.
    pub fn new(stream: R) -> TarReader<R> {
        TarReader {
            stream,
            left: 0,
            padding: 0,
            last_name: String::new(),
        }
    }

    /// The next entry; `raw` gets the bytes before its content, and content of the last entry that was not read.
    ///
    /// # Errors
    /// The stream fails, ends early, or is no tar.
    pub fn next(&mut self, raw: &mut dyn RawBytes) -> Result<Option<Entry>, TarError> {
        self.skip(raw)?;
        let mut pax = Pax::default();
        let (mut long_name, mut long_link) = (None, None);
        let mut specials = 0;
        loop {
            let block = self.block(raw)?.filter(|block| !is_zero(block));
            let Some(block) = block else {
                return match specials {
                    0 => Ok(None),
                    _ => Err(self.bad(TarFault::NoEntry)),
                };
            };
            let fields = Fields::of(&block).map_err(|reason| self.bad(reason))?;
            match fields.type_flag {
                b'x' => pax
                    .read(&self.special(&fields, raw)?)
                    .map_err(|reason| self.bad(reason))?,
                b'L' => long_name = Some(until_nul(self.special(&fields, raw)?)),
                b'K' => long_link = Some(until_nul(self.special(&fields, raw)?)),
                b'g' => {
                    self.special(&fields, raw)?;
                    return Ok(Some(fields.global()));
                }
                _ => {
                    return self
                        .entry(&block, fields, pax, long_name, long_link, raw)
                        .map(Some);
                }
            }
            specials += 1;
            if specials > 16 {
                return Err(self.bad(TarFault::ManyHeaders));
            }
        }
    }

    /// Content of the entry; 0 at its end.
    ///
    /// # Errors
    /// The stream fails, or ends before the content does.
    pub fn read_content(&mut self, into: &mut [u8]) -> Result<usize, TarError> {
        let most = into
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.stream.read(&mut into[..most])?;
        if count == 0 {
            return Err(self.bad(TarFault::Ends("before the file does")));
        }
        self.left -= count as u64;
        Ok(count)
    }

    /// The second of the two blocks of zeros that end a tar, where there is one.
    ///
    /// # Errors
    /// The stream fails.
    pub fn second_zero_block(&mut self, raw: &mut dyn RawBytes) -> Result<(), TarError> {
        let mut block = [0; BLOCK];
        let count = self.fill(&mut block)?;
        Ok(raw.raw(&block[..count])?)
    }

    /// Everything behind the last entry.
    ///
    /// # Errors
    /// The stream fails.
    pub fn finish(&mut self, raw: &mut dyn RawBytes) -> Result<(), TarError> {
        self.skip(raw)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => raw.raw(&buffer[..count])?,
            }
        }
    }

    /// What is left of the entry.
    fn skip(&mut self, raw: &mut dyn RawBytes) -> Result<(), TarError> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.read_content(&mut buffer)? {
                0 => break,
                count => raw.raw(&buffer[..count])?,
            }
        }
        let mut block = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding);
        let count = self.fill(&mut block[..padding])?;
        raw.raw(&block[..count])?;
        match count == padding {
            true => Ok(()),
            false => Err(self.bad(TarFault::Ends("in the zeros after it"))),
        }
    }

    /// A block, whole; none at the end of the stream.
    fn block(&mut self, raw: &mut dyn RawBytes) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let count = self.fill(&mut block)?;
        raw.raw(&block[..count])?;
        match count {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.bad(TarFault::Ends("in a header after it"))),
        }
    }

    fn special(&mut self, fields: &Fields, raw: &mut dyn RawBytes) -> Result<Vec<u8>, TarError> {
        let size = u64::try_from(fields.size)
            .ok()
            .filter(|&size| size <= MAX_SPECIAL);
        let Some(size) = size else {
            return Err(self.bad(TarFault::LongHeader));
        };
        let mut bytes = vec![0; size as usize + padding(size)];
        let count = self.fill(&mut bytes)?;
        raw.raw(&bytes[..count])?;
        match count == bytes.len() {
            true => bytes.truncate(size as usize),
            false => return Err(self.bad(TarFault::Ends("in an extended header after it"))),
        }
        Ok(bytes)
    }

    fn fill(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.stream.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// An error about the entry that was read last.
    pub(super) fn bad(&self, reason: impl Into<TarFault>) -> TarError {
        TarError::Bad {
            name: self.last_name.clone(),
            reason: reason.into(),
        }
    }
}

/// Zeros after so much content.
fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

#[cfg(test)]
mod tests;
