//! Lines as one durable, checked unit of a journal file.
//!
//! On disk a frame is a zstd skippable frame of 20 bytes (magic `0x184D2A5E`, size 12, then the
//! frame's number, the length of what follows, and the CRC-32 of those two, all little endian) and
//! a zstd frame with a content checksum (RFC 8878). `zstdcat` passes over the first and prints the
//! second. The length lets a reader tell a torn end from damage in the middle; a file may end in
//! zeros, room that was set aside and not used.

use thiserror::Error;
use zstd::zstd_safe::CParameter;

/// Bytes before the compressed lines.
pub const HEAD: usize = 20;

/// No frame holds more, so that a damaged length cannot make a reader ask for all memory.
pub const MOST_BYTES: usize = 256 << 20;

const MAGIC: u32 = 0x184D_2A5E;
const HEAD_SIZE: u32 = 12;

/// zstd level: 3 compresses the lines of a walk about as well as 9, at a fifth of the time.
const LEVEL: i32 = 3;

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
            return Err(std::io::Error::other("more lines than one frame holds"));
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

/// What stands at a place where a frame may begin.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole frame: its lines, and its length on disk.
    Whole {
        /// The decompressed lines.
        lines: Vec<u8>,
        /// Bytes on disk, head included.
        len: usize,
    },
    /// The end of the file, or zeros up to it.
    End,
    /// A frame whose writing was cut short: it was never acted on.
    Torn,
}

/// Damage: not what a cut-off write leaves.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Damaged {
    /// What is wrong, for people.
    pub reason: String,
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, Damaged> {
    Err(Damaged {
        reason: reason.into(),
    })
}

/// Reads the frame `number` that should begin where `rest`, which reaches to the end of the file,
/// begins.
///
/// # Errors
/// [`Damaged`] where the bytes are neither a frame nor what a cut-off write can have left: an end
/// that is missing, or stretches of it that are still the zeros of before.
pub fn decode(number: u32, rest: &[u8]) -> Result<Found, Damaged> {
    if rest.iter().all(|&byte| byte == 0) {
        return Ok(Found::End);
    }
    let Some((head, body)) = rest.split_at_checked(HEAD) else {
        return match begins_like_a_frame(number, rest) {
            true => Ok(Found::Torn),
            false => damaged("bytes that are not the beginning of a frame"),
        };
    };
    let len = match read_head(head) {
        Some((found, _)) if found != number => {
            return damaged(format!("frame {found} stands where frame {number} should"));
        }
        Some((_, len)) => len,
        None if begins_like_a_frame(number, rest) => return Ok(Found::Torn),
        None => return damaged("the head of the frame is damaged"),
    };
    let Some(compressed) = body.get(..len) else {
        return Ok(Found::Torn);
    };
    match decompress(compressed) {
        Ok(lines) => Ok(Found::Whole {
            lines,
            len: HEAD + len,
        }),
        Err(_) if was_cut_short(compressed) && rest[HEAD + len..].iter().all(|&b| b == 0) => {
            Ok(Found::Torn)
        }
        Err(reason) => damaged(reason),
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
    is_whole.then(|| (u32::from_le_bytes(number), len))
}

/// Whether these bytes are the first few of frame `number`'s head and zeros or nothing after.
fn begins_like_a_frame(number: u32, rest: &[u8]) -> bool {
    let head = [MAGIC, HEAD_SIZE, number].map(u32::to_le_bytes).concat();
    let written = rest.len() - rest.iter().rev().take_while(|&&byte| byte == 0).count();
    let known = written.min(head.len());
    written <= HEAD && rest[..known] == head[..known]
}

/// Whether a write of these bytes can have been cut short: then its end, or a whole sector (512
/// bytes, the least a disk writes) of it, is still zero. Compressed data ends in a checksum; that
/// its four bytes are zero happens once in four thousand million frames.
fn was_cut_short(compressed: &[u8]) -> bool {
    compressed.ends_with(&[0; 4]) || {
        let mut zeros = 0;
        compressed.iter().any(|&byte| {
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            zeros >= 512
        })
    }
}

fn decompress(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let size = zstd::zstd_safe::get_frame_content_size(compressed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= MOST_BYTES)
        .ok_or("its size is missing or beyond reason")?;
    zstd::bulk::decompress(compressed, size).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"{\"kind\":\"mark\",\"mark\":\"finished\"}\n";

    fn frame() -> Vec<u8> {
        Encoder::new().unwrap().encode(7, LINES).unwrap()
    }

    #[test]
    fn a_frame_comes_back() {
        let mut bytes = frame();
        let len = bytes.len();
        bytes.extend_from_slice(&[0; 100]);
        let lines = LINES.to_vec();
        assert_eq!(decode(7, &bytes), Ok(Found::Whole { lines, len }));
        assert_eq!(decode(7, &bytes[len..]), Ok(Found::End));
    }

    #[test]
    fn every_cut_is_seen_as_torn() {
        let bytes = frame();
        for cut in 1..bytes.len() {
            assert_eq!(decode(7, &bytes[..cut]), Ok(Found::Torn), "cut at {cut}");
        }
    }

    #[test]
    fn every_cut_with_zeros_after_it_is_seen_as_torn() {
        let whole = frame();
        for cut in 1..whole.len() - 4 {
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            bytes.extend_from_slice(&[0; 64]);
            // Cutting off bytes that are zero anyway leaves the frame whole.
            if bytes[..whole.len()] != whole {
                assert_eq!(decode(7, &bytes), Ok(Found::Torn), "cut at {cut}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_damage_or_means_nothing() {
        let whole = frame();
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                // zstd has a bit in its frame header that decoders must not look at (RFC 8878).
                match decode(7, &bytes) {
                    Err(_) => {}
                    Ok(Found::Whole { lines, .. }) => assert_eq!(lines, LINES),
                    Ok(found) => panic!("bit {bit} of byte {place}: {found:?}"),
                }
            }
        }
    }
}
