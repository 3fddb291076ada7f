//! Maps of sparse files: GNU's old one, and pax versions 0.0, 0.1 and 1.0.

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::BLOCK;
use super::fault::{SparseFault, TarFault};
use super::header::number;
use super::pax::{Pax, decimal};

/// More pieces than this has no file that anybody made.
const MAX_SEGMENTS: usize = 1 << 16;

/// A piece of a file: offset and length.
pub type Segment = (u64, u64);

/// Whether the pieces follow each other, fit into the file, and are what the tar holds; what is wrong.
pub fn check(segments: &[Segment], real_size: u64, content: u64) -> Result<(), SparseFault> {
    let (mut end, mut sum) = (0u64, 0u64);
    for &(offset, length) in segments {
        let next = offset.checked_add(length).filter(|&next| next <= real_size);
        match next {
            Some(next) if offset >= end => end = next,
            _ => {
                return Err(SparseFault::Pieces);
            }
        }
        sum += length;
    }
    match sum == content && real_size <= i64::MAX as u64 {
        true => Ok(()),
        false => Err(SparseFault::Size),
    }
}

/// The old one, in the header and in blocks behind it.
pub struct OldMap {
    pub segments: Vec<Segment>,
    pub real_size: u64,
    is_extended: bool,
}

impl OldMap {
    pub fn of(block: &[u8; BLOCK]) -> Result<OldMap, SparseFault> {
        let header = Header::from_byte_slice(block);
        let gnu = header.as_gnu().ok_or(SparseFault::NotGnu)?;
        let real_size = number(&gnu.realsize).and_then(|size| u64::try_from(size).ok());
        let mut map = OldMap {
            segments: Vec::new(),
            real_size: real_size.ok_or(SparseFault::RealSize)?,
            is_extended: gnu.is_extended(),
        };
        map.add_all(&gnu.sparse)?;
        Ok(map)
    }

    pub fn goes_on(&self) -> bool {
        self.is_extended
    }

    pub fn add(&mut self, block: &[u8; BLOCK]) -> Result<(), SparseFault> {
        let mut extension = GnuExtSparseHeader::new();
        extension.as_mut_bytes().copy_from_slice(block);
        self.is_extended = extension.is_extended();
        self.add_all(&extension.sparse)
    }

    fn add_all(&mut self, all: &[GnuSparseHeader]) -> Result<(), SparseFault> {
        for one in all {
            // As in Go: the first that is empty ends the map of this block.
            if one.offset[0] == 0 {
                break;
            }
            let value = |field: &[u8]| number(field).and_then(|value| u64::try_from(value).ok());
            let segment = value(&one.offset).zip(value(&one.numbytes));
            self.segments.push(segment.ok_or(SparseFault::Number)?);
        }
        match self.segments.len() > MAX_SEGMENTS {
            true => Err(SparseFault::ManyPieces),
            false => Ok(()),
        }
    }
}

/// What pax records say of a sparse file.
pub struct PaxMap {
    /// Its name; the entry's own is made up.
    pub name: Option<Vec<u8>>,
    pub real_size: u64,
    /// None: the map is in the content (version 1.0).
    pub segments: Option<Vec<Segment>>,
}

impl PaxMap {
    pub fn of(pax: &mut Pax) -> Result<Option<PaxMap>, TarFault> {
        let is_1_0 = match (pax.take("GNU.sparse.major"), pax.take("GNU.sparse.minor")) {
            (Some(major), Some(minor)) => match (&*major, &*minor) {
                (b"1", b"0") => true,
                (b"0", b"0" | b"1") => false,
                _ => return Err(SparseFault::Version.into()),
            },
            _ => false,
        };
        let map = pax.take("GNU.sparse.map");
        let pairs = std::mem::take(&mut pax.sparse);
        if !is_1_0 && map.is_none() && pairs.is_empty() {
            return Ok(None);
        }
        let name = pax.take("GNU.sparse.name");
        let sizes = [
            pax.number("GNU.sparse.realsize")?,
            pax.number("GNU.sparse.size")?,
        ];
        let real_size = sizes.into_iter().flatten().next();
        let numbers: Option<Vec<u64>> = match (&map, is_1_0) {
            (_, true) => None,
            (Some(map), false) => Some(numbers(map.split(|&byte| byte == b','))?),
            (None, false) => Some(numbers(pairs.iter().map(Vec::as_slice))?),
        };
        Ok(Some(PaxMap {
            name,
            real_size: real_size.ok_or(SparseFault::NoRealSize)?,
            segments: numbers.map(|numbers| in_pairs(&numbers)).transpose()?,
        }))
    }
}

fn numbers<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u64>, SparseFault> {
    let numbers: Option<Vec<u64>> = texts.map(decimal).collect();
    numbers.ok_or(SparseFault::Number)
}

fn in_pairs(numbers: &[u64]) -> Result<Vec<Segment>, SparseFault> {
    match numbers.len().is_multiple_of(2) {
        true => Ok(numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()),
        false => Err(SparseFault::OddEnd),
    }
}

/// The map of version 1.0: a count and that many pairs, each number on a line of its own.
#[derive(Default)]
pub struct MapText {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl MapText {
    /// Whether all of it is there; what is wrong with it.
    pub fn is_whole(&self) -> Result<bool, SparseFault> {
        let Some(&count) = self.numbers.first() else {
            return match self.line.len() > BLOCK {
                true => Err(SparseFault::Number),
                false => Ok(false),
            };
        };
        match usize::try_from(count)
            .ok()
            .filter(|&count| count <= MAX_SEGMENTS)
        {
            Some(count) if self.line.len() <= BLOCK => Ok(self.numbers.len() > 2 * count),
            _ => Err(SparseFault::TooLong),
        }
    }

    pub fn add(&mut self, block: &[u8; BLOCK]) {
        for &byte in block {
            // Behind the last number are zeros.
            if self.is_whole() != Ok(false) {
                break;
            }
            match byte {
                // What is no number makes the count absurd, which `is_whole` tells.
                b'\n' => {
                    let number = decimal(&std::mem::take(&mut self.line));
                    match number {
                        Some(number) => self.numbers.push(number),
                        None => self.numbers = vec![u64::MAX],
                    }
                }
                byte => self.line.push(byte),
            }
        }
    }

    pub fn segments(&self) -> Result<Vec<Segment>, SparseFault> {
        in_pairs(self.numbers.get(1..).unwrap_or_default())
    }
}
