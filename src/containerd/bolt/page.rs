//! Pure: the elements of one page.

use super::PageFault;

/// Bytes before the elements.
pub const HEADER: usize = 16;

/// Bytes of an element of either kind.
const ELEMENT: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
pub const META: u16 = 0x04;

/// The flag of a leaf's element whose value is a bucket.
const IS_BUCKET: u32 = 0x01;

/// The header of a page.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub id: u64,
    pub flags: u16,
    pub count: u16,
    pub overflow: u32,
}

impl Header {
    pub fn parse(bytes: &[u8; HEADER]) -> Header {
        Header {
            id: u64_at(bytes, 0),
            flags: u16::from_le_bytes([bytes[8], bytes[9]]),
            count: u16::from_le_bytes([bytes[10], bytes[11]]),
            overflow: u32_at(bytes, 12),
        }
    }
}

/// Of a slice that is long enough; zero where it is not.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_le_bytes)
}

/// Of a slice that is long enough; zero where it is not.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes
        .get(at..at + 8)
        .and_then(|eight| eight.try_into().ok());
    eight.map_or(0, u64::from_le_bytes)
}

/// A branch or leaf page, with all pages that it overflows into.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    bytes: &'a [u8],
    pub is_leaf: bool,
    pub count: usize,
}

/// An element of a branch.
#[derive(Clone, Copy, Debug)]
pub struct BranchElement<'a> {
    pub key: &'a [u8],
    pub child: u64,
}

/// An element of a leaf.
#[derive(Clone, Copy, Debug)]
pub struct LeafElement<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub is_bucket: bool,
}

impl<'a> Page<'a> {
    /// Of all its bytes, header included.
    pub fn parse(bytes: &'a [u8]) -> Result<Page<'a>, PageFault> {
        let header = bytes.first_chunk().ok_or(PageFault::Truncated)?;
        let header = Header::parse(header);
        let is_leaf = match header.flags {
            BRANCH => false,
            LEAF => true,
            other => return Err(PageFault::Type(other)),
        };
        let count = usize::from(header.count);
        if HEADER + count * ELEMENT > bytes.len() {
            return Err(PageFault::Element(count - 1));
        }
        Ok(Page {
            bytes,
            is_leaf,
            count,
        })
    }

    /// Bytes of an element's, `offset` behind its start. They lie behind all elements.
    fn data(&self, n: usize, offset: usize, len: usize) -> Result<&'a [u8], PageFault> {
        let first = HEADER + self.count * ELEMENT;
        let start = HEADER + n * ELEMENT + offset;
        let is_data = len == 0 || start >= first;
        let data = self.bytes.get(start..start.saturating_add(len));
        data.filter(|_| is_data).ok_or(PageFault::Element(n))
    }

    fn element(&self, n: usize) -> Result<&'a [u8], PageFault> {
        let start = HEADER + n * ELEMENT;
        let found = self.bytes.get(start..start + ELEMENT);
        found
            .filter(|_| n < self.count)
            .ok_or(PageFault::Element(n))
    }

    pub fn branch(&self, n: usize) -> Result<BranchElement<'a>, PageFault> {
        let element = self.element(n)?;
        let (at, key_len) = (u32_at(element, 0) as usize, u32_at(element, 4) as usize);
        Ok(BranchElement {
            key: self.data(n, at, key_len)?,
            child: u64_at(element, 8),
        })
    }

    pub fn leaf(&self, n: usize) -> Result<LeafElement<'a>, PageFault> {
        let element = self.element(n)?;
        let flags = u32_at(element, 0);
        if flags & !IS_BUCKET != 0 {
            return Err(PageFault::ElementFlags(n));
        }
        let at = u32_at(element, 4) as usize;
        let (key_len, value_len) = (u32_at(element, 8) as usize, u32_at(element, 12) as usize);
        Ok(LeafElement {
            key: self.data(n, at, key_len)?,
            value: self.data(n, at.saturating_add(key_len), value_len)?,
            is_bucket: flags & IS_BUCKET != 0,
        })
    }

    /// The element of a branch below which a key is, if anywhere.
    pub fn child_of(&self, key: &[u8]) -> Result<usize, PageFault> {
        let mut found = 0;
        for n in 1..self.count {
            if self.branch(n)?.key > key {
                break;
            }
            found = n;
        }
        Ok(found)
    }
}
