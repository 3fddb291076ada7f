//! A journal with any byte changed, any tail cut off or any sector lost is either read right or
//! refused with the place, by the reader that rollback and resume use.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::support;
use crate::support::journal::frames;
use crate::support::promise::Promise;
use crate::support::{Idshift, Kind, Snapshot, TestFs, assert_same, long, sh};
use idshift::formats::{Journal, JournalError, Section};
use tempfile::TempDir;

/// A finished journal of a few inodes, and the tree it is of.
struct Small {
    fs: TestFs,
    tree: PathBuf,
    idshift: Idshift,
    bytes: Vec<u8>,
}

fn small() -> Small {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = fs.path().join("tree");
    fs::create_dir_all(tree.join("directory")).unwrap();
    for name in ["a", "directory/b", "directory/c"] {
        fs::write(tree.join(name), "").unwrap();
        fs::set_permissions(tree.join(name), PermissionsExt::from_mode(0o4755)).unwrap();
    }
    sh(
        "setfacl",
        [
            "-m".as_ref(),
            "u:33:rw".as_ref(),
            tree.join("a").as_os_str(),
        ],
    );
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let bytes = fs::read(idshift.the_journal()).unwrap();
    Small {
        fs,
        tree,
        idshift,
        bytes,
    }
}

/// A file that holds a journal, changed for one case after the other.
struct Copy {
    _place: TempDir,
    path: PathBuf,
}

impl Copy {
    fn new() -> Copy {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("0001-x.jsonl.zst");
        Copy {
            _place: place,
            path,
        }
    }

    fn holds(&self, bytes: &[u8]) {
        fs::write(&self.path, bytes).unwrap();
    }
}

/// All that a rollback takes from a journal; each frame's lines by themselves.
#[derive(Debug, PartialEq)]
struct Content {
    header: String,
    marks: String,
    frames: Vec<String>,
}

fn read(path: &Path) -> Result<Content, JournalError> {
    let journal = Journal::open(path)?;
    let mut frames = Vec::new();
    for frame in 0..journal.frames() {
        let pieces = journal.read(frame)?.into_iter().map(|piece| match piece {
            Section::Own(n, transition) => format!("{n} {transition:?}"),
            Section::Dir(line) => format!("{line:?}"),
        });
        frames.push(pieces.collect::<Vec<_>>().join("\n"));
    }
    Ok(Content {
        header: format!("{:?}", journal.header),
        marks: format!("{:?}", journal.marks),
        frames,
    })
}

/// The number of the frame that is named as damaged; its place must be named too.
#[track_caller]
fn named_frame(error: &JournalError, places: &[std::ops::Range<usize>], case: &str) -> usize {
    match error {
        JournalError::Damaged { frame, offset, .. } => {
            let place = &places[*frame as usize];
            assert_eq!(*offset, place.start as u64, "{case}: {error}");
            *frame as usize
        }
        // Its very beginning is not what it should be.
        JournalError::NotAJournal { .. }
        | JournalError::Newer { .. }
        | JournalError::Empty { .. } => 0,
        other => panic!("{case}: {other}"),
    }
}

#[test]
fn a_changed_byte_is_harmless_or_refused_with_place() {
    let promise = Promise::new(
        "Input",
        "A journal with any byte changed is read right or refused with the place",
        "every byte of a small journal, each bit by itself, zero and 255 (in the long form every value)",
    );
    let small = small();
    let places = frames(&small.bytes);
    let copy = Copy::new();
    copy.holds(&small.bytes);
    let whole = read(&copy.path).unwrap();
    let file = fs::File::options().write(true).open(&copy.path).unwrap();
    for (at, &byte) in small.bytes.iter().enumerate() {
        let values: Vec<u8> = match long() {
            true => (0..=255).collect(),
            false => (0..8).map(|bit| byte ^ 1 << bit).chain([0, 255]).collect(),
        };
        for value in values.into_iter().filter(|&value| value != byte) {
            file.write_all_at(&[value], at as u64).unwrap();
            let case = format!("byte {at} of {} is {value}, not {byte}", small.bytes.len());
            match read(&copy.path) {
                Ok(content) => assert_eq!(content, whole, "{case}"),
                Err(error) => {
                    let named = named_frame(&error, &places, &case);
                    assert!(places[named].contains(&at), "{case}: {error}");
                }
            }
            promise.held();
        }
        file.write_all_at(&[byte], at as u64).unwrap();
    }
    assert!(promise.cases() > 5000, "{}", promise.cases());
}

#[test]
fn a_journal_without_its_tail_is_what_came_before() {
    let promise = Promise::new(
        "Input",
        "A journal with any tail cut off, or turned to zeros, is read as far as its whole frames go",
        "cut at every byte, with and without zeros in the place of the rest",
    );
    let small = small();
    let places = frames(&small.bytes);
    let copy = Copy::new();
    copy.holds(&small.bytes);
    let whole = read(&copy.path).unwrap();
    for cut in 0..small.bytes.len() {
        for zeros in [0, small.bytes.len() - cut, 4096] {
            let mut bytes = small.bytes[..cut].to_vec();
            bytes.resize(cut + zeros, 0);
            copy.holds(&bytes);
            let is_there = |place: &&std::ops::Range<usize>| {
                bytes.get(place.start..place.end) == Some(&small.bytes[place.start..place.end])
            };
            let left = places.iter().take_while(is_there).count();
            match read(&copy.path) {
                Ok(content) => {
                    assert_eq!(
                        content.frames,
                        whole.frames[..left],
                        "cut at {cut}, {zeros} zeros"
                    );
                    assert_eq!(content.header, whole.header);
                }
                Err(JournalError::Empty { .. }) => assert_eq!(left, 0, "cut at {cut}"),
                // Of a checksum's four bytes less than all are zeros: that may be damage.
                Err(error) => {
                    let case = format!("cut at {cut}, {zeros} zeros");
                    assert_eq!(named_frame(&error, &places, &case), left, "{case}");
                    assert!(zeros > 0 && places[left].end - cut < 4, "{case}: {error}");
                }
            }
            promise.held();
        }
    }
}

#[test]
fn lost_sectors_are_refused_unless_at_the_end() {
    let promise = Promise::new(
        "Input",
        "A journal with sectors of zeros is refused with the place, unless behind them is nothing: then a write was cut off",
        "each sector of 512 bytes, and each pair, of a journal of several frames",
    );
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = support::tree::many(&fs.path().join("tree"), 3000);
    let idshift = Idshift::new();
    for _ in 0..2 {
        idshift.shift(&tree);
        idshift.reverse(&tree);
    }
    let copy = Copy::new();
    for journal in idshift.journal_files() {
        let bytes = fs::read(journal).unwrap();
        let places = frames(&bytes);
        copy.holds(&bytes);
        let whole = read(&copy.path).unwrap();
        let sectors = bytes.len().div_ceil(512);
        let pairs = (0..sectors).flat_map(|a| (a..sectors).map(move |b| (a, b)));
        for (a, b) in pairs.filter(|(a, b)| long() || a == b || b - a == 1) {
            let mut lost = bytes.clone();
            for sector in [a, b] {
                let end = lost.len().min((sector + 1) * 512);
                lost[sector * 512..end].fill(0);
            }
            copy.holds(&lost);
            let is_there = |place: &&std::ops::Range<usize>| {
                lost[place.start..place.end] == bytes[place.start..place.end]
            };
            let left = places.iter().take_while(is_there).count();
            let case = format!(
                "sectors {a} and {b} of {sectors}, {left} frames of {}",
                places.len()
            );
            match read(&copy.path) {
                Ok(content) => {
                    // As after a power cut: behind the frame that is not whole there is nothing.
                    let behind = places.get(left).map_or(lost.len(), |place| place.end);
                    let nothing = lost[behind..].iter().all(|&byte| byte == 0);
                    assert!(nothing, "{case}: passed over");
                    assert_eq!(content.frames, whole.frames[..left], "{case}");
                }
                Err(error) => assert_eq!(named_frame(&error, &places, &case), left, "{case}"),
            }
            promise.held();
        }
    }
}

/// The program itself, for some of the bytes: nothing is done under a journal that is damaged.
#[test]
fn a_rollback_of_a_damaged_journal_changes_nothing() {
    let promise = Promise::new(
        "Input",
        "rollback and resume refuse a damaged journal before they change anything",
        "the program run on a journal with a byte changed",
    );
    let small = small();
    let journal = small.idshift.the_journal();
    let shifted = Snapshot::of(&small.tree);
    let step = if long() { 3 } else { 97 };
    for at in (0..small.bytes.len()).step_by(step) {
        let mut bytes = small.bytes.clone();
        bytes[at] ^= 0x55;
        fs::write(&journal, bytes).unwrap();
        for command in ["rollback", "resume"] {
            let run = small
                .idshift
                .run([command.as_ref(), journal.as_os_str()])
                .exits(4);
            let place = run.stderr.contains(" at byte ") || run.stderr.contains("is not a journal");
            assert!(place, "byte {at}: {run}");
        }
        assert_same(&shifted, &Snapshot::of(&small.tree), "the tree");
        promise.held();
    }
    fs::write(&journal, &small.bytes).unwrap();
    small.idshift.rollback();
    drop(small.fs);
}
