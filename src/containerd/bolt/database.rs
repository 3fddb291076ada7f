//! A bbolt file: its meta pages, and its pages by their ids.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::page::{HEADER, Header, META, u32_at, u64_at};
use super::{BoltError, MetaFault, PageFault};
use crate::fs::file_ops::open_regular;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// Bytes of a meta page that are used, and those before its checksum.
const META_LEN: usize = 64;
const SUMMED: usize = 56;

/// bbolt takes the page size of the host.
const PAGE_SIZES: [u32; 7] = [4096, 16384, 65536, 8192, 32768, 1024, 2048];

/// Bytes that one page may span with all it overflows into. containerd's largest values are the specs and labels of
/// containers, of some hundred kilobytes.
const MAX_PAGE: u64 = 16 << 20;

/// A bbolt file, open for reading.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    file: File,
    meta: Meta,
    in_use: bool,
}

/// What a meta page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    page_size: u32,
    root: u64,
    /// The first page id that is not used.
    high_water: u64,
    txid: u64,
}

impl Database {
    /// Opens a file and takes the newest of its meta pages that is whole. The file is locked as a reader of bbolt
    /// locks it, if it can be: as long as this is open, containerd waits before it starts on it.
    ///
    /// # Errors
    /// It is no bbolt file. Pages are checked as they are read, or all of them by [`Database::check`].
    pub fn open(path: &Path) -> Result<Database, BoltError> {
        let opened = open_regular(rustix::fs::CWD, path.as_os_str().as_bytes());
        let (file, _) = opened.map_err(|error| io(path, error))?;
        Database::of(file, path)
    }

    /// Opens a database of which the file is open already. `path` is for messages.
    ///
    /// # Errors
    /// As of [`Database::open`].
    pub fn of(file: File, path: &Path) -> Result<Database, BoltError> {
        let lock = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
        Ok(Database {
            meta: read_meta(&file, path)?,
            path: path.to_path_buf(),
            file,
            in_use: lock == Err(rustix::io::Errno::WOULDBLOCK),
        })
    }

    /// Whether somebody has it open for writing: containerd, as long as it runs.
    pub fn in_use(&self) -> bool {
        self.in_use
    }

    /// Whether its newest transaction is the one that was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        read_meta(&self.file, &self.path).is_ok_and(|meta| meta == self.meta)
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn root_page(&self) -> u64 {
        self.meta.root
    }

    pub(super) fn fault(&self, page: u64, fault: PageFault) -> BoltError {
        let path = self.path.clone();
        BoltError::Page { path, page, fault }
    }

    /// A branch or leaf page with all that it overflows into.
    pub(super) fn read(&self, id: u64) -> Result<Vec<u8>, BoltError> {
        let fault = |fault| self.fault(id, fault);
        let size = u64::from(self.meta.page_size);
        if id < 2 || id >= self.meta.high_water {
            return Err(fault(PageFault::NoSuchPage));
        }
        let at = id
            .checked_mul(size)
            .ok_or_else(|| fault(PageFault::NoSuchPage))?;
        let mut header = [0; HEADER];
        self.read_exact_at(id, &mut header, at)?;
        let header = Header::parse(&header);
        if header.id != id {
            return Err(fault(PageFault::Id(header.id)));
        }
        let pages = u64::from(header.overflow) + 1;
        if pages * size > MAX_PAGE || pages > self.meta.high_water - id {
            return Err(fault(PageFault::Overflow(header.overflow)));
        }
        // What the file does not have is found out before there is memory for it.
        let len = self
            .file
            .metadata()
            .map_err(|error| io(&self.path, error))?;
        if at.saturating_add(pages * size) > len.len() {
            return Err(fault(PageFault::Truncated));
        }
        let mut bytes = vec![0; (pages * size) as usize];
        self.read_exact_at(id, &mut bytes, at)?;
        Ok(bytes)
    }

    fn read_exact_at(&self, id: u64, bytes: &mut [u8], at: u64) -> Result<(), BoltError> {
        let read = self.file.read_exact_at(bytes, at);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault(id, PageFault::Truncated),
            _ => io(&self.path, error),
        })
    }
}

fn io(path: &Path, source: io::Error) -> BoltError {
    let path = path.to_path_buf();
    BoltError::Io { path, source }
}

/// The newest meta page that is whole: they are written in turn, so that one is always.
fn read_meta(file: &File, path: &Path) -> Result<Meta, BoltError> {
    let at = |at: u64| -> Result<Result<Meta, MetaFault>, BoltError> {
        let mut bytes = [0; HEADER + META_LEN];
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(parse_meta(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(MetaFault::Short)),
            Err(error) => Err(io(path, error)),
        }
    };
    let first = at(0)?;
    let sizes = match &first {
        Ok(meta) => vec![meta.page_size],
        Err(_) => PAGE_SIZES.to_vec(),
    };
    for size in sizes {
        // The second is where its own page size puts it.
        let second = at(u64::from(size))?.ok();
        let Some(second) = second.filter(|meta| meta.page_size == size) else {
            continue;
        };
        return Ok(match first {
            Ok(first) if first.txid > second.txid => first,
            _ => second,
        });
    }
    let path = path.to_path_buf();
    first.map_err(|fault| BoltError::Meta { path, fault })
}

fn parse_meta(bytes: &[u8; HEADER + META_LEN]) -> Result<Meta, MetaFault> {
    let (header, meta) = bytes.split_at(HEADER);
    let flags = u16::from_le_bytes([header[8], header[9]]);
    if u32_at(meta, 0) != MAGIC {
        return Err(MetaFault::Magic);
    }
    if flags != META {
        return Err(MetaFault::Type);
    }
    match u32_at(meta, 4) {
        VERSION => {}
        other => return Err(MetaFault::Version(other)),
    }
    if fnv_1a(&meta[..SUMMED]) != u64_at(meta, SUMMED) {
        return Err(MetaFault::Checksum);
    }
    let page_size = u32_at(meta, 8);
    if !PAGE_SIZES.contains(&page_size) {
        return Err(MetaFault::PageSize(page_size));
    }
    Ok(Meta {
        page_size,
        root: u64_at(meta, 16),
        high_water: u64_at(meta, 40),
        txid: u64_at(meta, 48),
    })
}

/// FNV-1a with 64 bits.
pub(super) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
