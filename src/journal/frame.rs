//! Lines as one durable, checked unit of a journal file.
//!
//! On disk a frame is a zstd skippable frame of 20 bytes (magic `0x184D2A5E`, size 12, then the
//! frame's number, the length of what follows, and the CRC-32 of those two, all little endian) and
//! a zstd frame with a content checksum (RFC 8878). `zstdcat` passes over the first and prints the
//! second. The length lets a reader tell a torn end from damage in the middle; a file may end in
//! zeros: space that was allocated and not used.

use std::fs::File;
use std::os::unix::fs::FileExt;

use thiserror::Error;
use zstd::zstd_safe::CParameter;

/// Bytes before the compressed lines.
pub const HEAD: usize = 20;

/// No frame holds more, so that a damaged length cannot make a reader ask for all memory.
pub const MOST_BYTES: usize = 256 << 20;

/// What lines of [`MOST_BYTES`] cannot exceed compressed (`ZSTD_compressBound`).
const MOST_COMPRESSED: usize = MOST_BYTES + MOST_BYTES / 256;

/// Magic of the skippable zstd frame that every frame begins with. No other file that idshift
/// writes begins with it.
pub const MAGIC: u32 = 0x184D_2A5E;
const HEAD_SIZE: u32 = 12;

/// zstd level: 1 compresses the lines of a walk within a hundredth as well as 3, and 3 about as well as 9.
const LEVEL: i32 = 1;

/// Makes frames, one after the other.
pub struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
}

impl Encoder {
    /// # Errors
    /// When zstd has no memory.
    pub fn new() -> std::io::Result<Encoder> {
        let mut zstd = zstd::bulk::Compressor::new(LEVEL)?;
        zstd.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Encoder { zstd })
    }

    /// The frame with this number.
    pub fn encode(&mut self, number: u32, lines: &[u8]) -> std::io::Result<Vec<u8>> {
        if lines.len() > MOST_BYTES {
            return Err(std::io::Error::other(TooLong));
        }
        let compressed = self.zstd.compress(lines)?;
        let mut frame = Vec::with_capacity(HEAD + compressed.len());
        let facts = [
            number.to_le_bytes(),
            (compressed.len() as u32).to_le_bytes(),
        ]
        .concat();
        frame.extend_from_slice(&MAGIC.to_le_bytes());
        frame.extend_from_slice(&HEAD_SIZE.to_le_bytes());
        frame.extend_from_slice(&facts);
        frame.extend_from_slice(&crc32fast::hash(&facts).to_le_bytes());
        frame.extend_from_slice(&compressed);
        Ok(frame)
    }
}

/// What is at an offset where a frame may begin.
#[derive(Debug, PartialEq, Eq)]
pub enum NextFrame {
    /// A whole frame: its lines, and its length on disk.
    Whole {
        /// The decompressed lines.
        lines: Vec<u8>,
        /// Bytes on disk, head included.
        len: usize,
    },
    /// The end of the file, or zeros up to it.
    End,
    /// A frame whose write was interrupted: nothing in it was done.
    Torn,
}

/// Damage, as opposed to an interrupted write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// The bytes before the compressed lines.
    #[error("the head of the frame is damaged")]
    Head,
    /// It has the number of another frame.
    #[error("frame {found} is in the place of frame {expected}")]
    Number {
        /// Its number.
        found: u32,
        /// The number of the frame that should be there.
        expected: u32,
    },
    /// The length of its lines is missing, or larger than any frame.
    #[error("its size is missing or too large")]
    Size,
    /// The disk cannot read it; with the message of the kernel.
    #[error("{0}")]
    Unreadable(String),
    /// zstd cannot decompress it; with the message of zstd.
    #[error("{0}")]
    Zstd(String),
}

/// More lines than [`MOST_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("more lines than one frame holds")]
pub struct TooLong;

/// The smallest unit that a disk writes as a whole, in bytes.
const SECTOR: u64 = 512;

/// Reads the frame `number` that should begin where `rest`, which reaches to the end of the file,
/// begins: at byte `offset` of the file.
///
/// # Errors
/// [`Damaged`] if the bytes are neither a frame nor what an interrupted write can leave: a frame
/// whose end is missing, or some of whose sectors are still zero.
pub fn decode(number: u32, offset: u64, rest: &[u8]) -> Result<NextFrame, Damaged> {
    if rest.iter().all(|&byte| byte == 0) {
        return Ok(NextFrame::End);
    }
    let whole_head = rest.split_at_checked(HEAD);
    let Some((len, body)) = whole_head.and_then(|(head, body)| Some((read_head(head)?, body)))
    else {
        return match has_torn_head(number, offset, rest) && !has_frame_after(number, rest) {
            true => Ok(NextFrame::Torn),
            false => Err(Damaged::Head),
        };
    };
    let len = match len {
        (found, _) if found != number => {
            let expected = number;
            return Err(Damaged::Number { found, expected });
        }
        (_, len) => len,
    };
    let Some(compressed) = body.get(..len) else {
        return Ok(NextFrame::Torn);
    };
    let is_last = || body[len..].iter().all(|&byte| byte == 0);
    match decompress(compressed) {
        Ok(lines) => Ok(NextFrame::Whole {
            lines,
            len: HEAD + len,
        }),
        Err(_) if was_cut_short(compressed, offset + HEAD as u64) && is_last() => {
            Ok(NextFrame::Torn)
        }
        Err(error) => Err(error),
    }
}

/// A frame's number and the length of what follows its head; `None` where that is damaged.
pub fn read_head(head: &[u8]) -> Option<(u32, usize)> {
    let (words, []) = head.as_chunks::<4>() else {
        return None;
    };
    let [magic, size, number, len, crc] = *words else {
        return None;
    };
    let is_whole = u32::from_le_bytes(magic) == MAGIC
        && u32::from_le_bytes(size) == HEAD_SIZE
        && u32::from_le_bytes(crc) == crc32fast::hash(&head[8..16]);
    let len = u32::from_le_bytes(len) as usize;
    let is_whole = is_whole && len <= MOST_COMPRESSED;
    is_whole.then(|| (u32::from_le_bytes(number), len))
}

/// Whether a whole frame of this number begins there.
pub(super) fn has_whole_frame(file: &File, number: u32, offset: u64) -> std::io::Result<bool> {
    let mut rest = Vec::new();
    let mut head = [0; HEAD];
    if file.read_at(&mut head, offset)? == HEAD
        && let Some((found, len)) = read_head(&head)
        && found == number
    {
        rest.resize(HEAD + len, 0);
        let read = file.read_at(&mut rest, offset)?;
        rest.truncate(read);
    }
    let found = decode(number, offset, &rest);
    Ok(matches!(found, Ok(NextFrame::Whole { .. })))
}

/// Whether an interrupted write of frame `number` can have left these bytes: the end or some
/// sectors of its head are missing, and the rest of the head is right.
fn has_torn_head(number: u32, offset: u64, rest: &[u8]) -> bool {
    let known = [MAGIC, HEAD_SIZE, number].map(u32::to_le_bytes).concat();
    let head = &rest[..rest.len().min(HEAD)];
    let is_right = |at: usize, bytes: &[u8]| {
        let known = known.get(at..).unwrap_or_default();
        bytes.iter().zip(known).all(|(a, b)| a == b)
    };
    // Its first few bytes, and nothing behind them.
    let written = rest.len() - rest.iter().rev().take_while(|&&byte| byte == 0).count();
    if written <= HEAD && is_right(0, &rest[..written]) {
        return true;
    }
    let mut at = 0;
    let (mut missing, mut right) = (false, true);
    for piece in sectors(head, offset) {
        let is_missing = piece.iter().all(|&byte| byte == 0);
        missing |= is_missing;
        right &= is_missing || is_right(at, piece);
        at += piece.len();
    }
    missing && right
}

/// Whether these bytes contain a frame with a higher number: such a frame is only written after
/// this one is durable.
fn has_frame_after(number: u32, bytes: &[u8]) -> bool {
    let magic = MAGIC.to_le_bytes();
    let later = |head: &[u8]| read_head(head).is_some_and(|(found, _)| found > number);
    bytes
        .windows(HEAD)
        .any(|head| head.starts_with(&magic) && later(head))
}

/// Whether a write of these bytes can have been interrupted: then the end, or a whole sector, is
/// still zero. Compressed data ends in a checksum of four bytes, which are zero by chance once in
/// 2^32 frames.
fn was_cut_short(compressed: &[u8], offset: u64) -> bool {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    compressed.ends_with(&[0; 4]) || sectors(compressed, offset).any(is_zero)
}

/// Splits bytes that begin at `offset` of a file into sectors.
fn sectors(bytes: &[u8], offset: u64) -> impl Iterator<Item = &[u8]> {
    let first = (SECTOR - offset % SECTOR) as usize;
    let (first, rest) = bytes.split_at(first.min(bytes.len()));
    std::iter::once(first).chain(rest.chunks(SECTOR as usize))
}

fn decompress(compressed: &[u8]) -> Result<Vec<u8>, Damaged> {
    let size = zstd::zstd_safe::get_frame_content_size(compressed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= MOST_BYTES)
        .ok_or(Damaged::Size)?;
    zstd::bulk::decompress(compressed, size).map_err(|error| Damaged::Zstd(error.to_string()))
}

#[cfg(test)]
mod tests;
