//! Writing `tar-split.json.gz`, line by line.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io::{self, BufWriter, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::docker::layer_store::path::clean;
use crate::docker::layer_store::tar_reader::{RawBytes, TarError, TarReader};

/// As long as this, a segment is written: Docker takes the zeros at the end in pieces of it.
const SEGMENT: usize = 1 << 20;

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

    /// Docker's tar reader takes the two blocks of zeros with what is before them; the zeros behind in pieces.
    pub(super) fn end_of_archive<R: Read>(
        &mut self,
        reader: &mut TarReader<R>,
    ) -> Result<(), TarError> {
        reader.second_zero_block(self)?;
        self.end_segment()?;
        reader.finish(self)
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
            let space = SEGMENT - self.segment.len();
            let (now, later) = left.split_at(space.min(left.len()));
            self.segment.extend_from_slice(now);
            left = later;
            if self.segment.len() == SEGMENT {
                self.end_segment()?;
            }
        }
        Ok(())
    }
}
