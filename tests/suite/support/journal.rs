//! The frames of a journal file, by the description in `docs/formats.md` and without the program's
//! own code.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use super::{Idshift, Kind, Run, Snapshot, TestFs, tree};

/// Bytes of the skippable zstd frame before each frame: magic, size, number, length, CRC-32.
pub const HEAD: usize = 20;
const MAGIC: u32 = 0x184D_2A5E;

/// Where each whole frame is, its head included.
pub fn frames(file: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let mut frames = Vec::new();
    let mut at = 0;
    while word(at) == Some(MAGIC) {
        let Some(len) = word(at + 12) else { break };
        let end = at + HEAD + len as usize;
        if end > file.len() {
            break;
        }
        frames.push(at..end);
        at = end;
    }
    frames
}

/// The lines of one frame.
pub fn lines(frame: &[u8]) -> String {
    let lines = zstd::stream::decode_all(&frame[HEAD..]).expect("zstd");
    String::from_utf8(lines).expect("UTF-8")
}

/// Lines as the frame with this number.
pub fn frame(number: u32, lines: &str) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).expect("zstd");
    encoder.include_checksum(true).expect("a checksum");
    encoder
        .set_pledged_src_size(Some(lines.len() as u64))
        .expect("a size");
    std::io::Write::write_all(&mut encoder, lines.as_bytes()).expect("zstd");
    let compressed = encoder.finish().expect("zstd");
    let facts = [
        number.to_le_bytes(),
        (compressed.len() as u32).to_le_bytes(),
    ]
    .concat();
    let mut frame = [MAGIC.to_le_bytes(), 12u32.to_le_bytes()].concat();
    frame.extend_from_slice(&facts);
    frame.extend_from_slice(&crc32fast::hash(&facts).to_le_bytes());
    frame.extend_from_slice(&compressed);
    frame
}

/// A tree that was shifted, and its journal.
pub struct Journalled {
    _fs: TestFs,
    pub tree: PathBuf,
    pub idshift: Idshift,
    pub start: Snapshot,
    pub journal: PathBuf,
    pub bytes: Vec<u8>,
}

/// A tree that was shifted, large enough for a journal of several frames.
pub fn journalled() -> Journalled {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), 20_000);
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    let journal = idshift.the_journal();
    let bytes = fs::read(&journal).unwrap();
    assert!(frames(&bytes).len() >= 5, "{:?}", frames(&bytes));
    Journalled {
        _fs: fs,
        tree,
        idshift,
        start,
        journal,
        bytes,
    }
}

impl Journalled {
    /// Puts other bytes into the journal's place.
    pub fn write(&self, bytes: &[u8]) {
        fs::write(&self.journal, bytes).unwrap();
    }

    pub fn check(&self) -> Run {
        self.idshift.run(["journal", "check", "latest", "--json"])
    }

    pub fn rollback(&self, more: &[&str]) -> Run {
        self.idshift.run(
            ["rollback", self.journal.to_str().unwrap(), "--json"]
                .iter()
                .chain(more),
        )
    }
}

impl Journalled {
    /// Puts the mark behind the journal's last frame.
    pub fn mark(&self, mark: &str) {
        let mut bytes = fs::read(&self.journal).unwrap();
        let frames = frames(&bytes);
        // What the journal names is in each of its marks.
        let last = lines(&bytes[frames[frames.len() - 1].clone()]);
        let line = last.replace("\"finished\"", &format!("\"{mark}\""));
        assert_ne!(line, last);
        bytes.extend(frame(frames.len() as u32, &line));
        self.write(&bytes);
    }

    /// What a new run on the tree is told.
    pub fn new_run(&self) -> Run {
        self.idshift.shift_with(&self.tree, &["--reverse"]).exits(4)
    }
}
