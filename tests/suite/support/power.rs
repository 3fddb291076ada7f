//! What a power cut leaves of a journal: of all that was written since the last sync, any part.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Numbers;
use super::trace::{Call, Event};

/// Hears what a traced command does, and knows what of it is safely on the disk: the files of the
/// journal directory as they were when a sync of them last came to its end.
#[derive(Default)]
pub struct Disk {
    /// By inode: a journal gets another name while it is written.
    synced: HashMap<u64, Vec<u8>>,
    written: HashSet<u64>,
    /// The directory was synced, so that the names in it are on the disk.
    pub names_synced: bool,
}

impl Disk {
    /// `journals`: the directory.
    pub fn hear(&mut self, event: Event<'_>, journals: &Path) {
        let (Event::Before(call) | Event::After(call, _) | Event::Reading(call)) = event;
        let file = match call.name {
            "pwrite64" | "ftruncate" | "fsync" | "fdatasync" => call.file(),
            _ => None,
        };
        let Some(file) = file.filter(|file| file.starts_with(journals)) else {
            return;
        };
        let ino = call.ino().unwrap();
        let is_sync = call.name.ends_with("sync");
        match event {
            Event::Reading(_) => {}
            Event::Before(_) if is_sync => {}
            Event::Before(_) => {
                self.synced.entry(ino).or_insert_with(|| call.content());
            }
            Event::After(_, 0) if is_sync && file == journals => self.names_synced = true,
            // Nothing else writes to it meanwhile: a frame is written after the one before it is
            // synced.
            Event::After(_, 0) if is_sync => {
                self.synced.insert(ino, call.content());
                self.written.remove(&ino);
            }
            Event::After(_, _) => {
                self.written.insert(ino);
            }
        }
    }

    /// Whether a power cut can lose anything of the journal now.
    pub fn is_at_risk(&self) -> bool {
        !self.written.is_empty() || !self.names_synced
    }

    /// Does to a journal what a power cut may do; whether that made a difference.
    pub fn cut(&self, journal: &Path, how: Cut, numbers: &mut Numbers) -> bool {
        let now = fs::read(journal).unwrap();
        let ino = File::open(journal).unwrap().metadata().unwrap().ino();
        let synced = self.synced.get(&ino).unwrap_or(&now);
        let left = how.apply(synced, &now, numbers);
        fs::write(journal, &left).unwrap();
        left != now
    }
}

impl Call {
    fn content(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/fd/{}", self.thread, self.args[0])).unwrap()
    }
}

/// What is left of the writes since the last sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// The file's length alone.
    Length,
    /// The first half.
    Half,
    /// All but the first sector.
    AllButFirst,
    /// Any sectors of 512 bytes.
    Sectors,
    /// Any pages of 4096 bytes.
    Pages,
    /// All, and the file has grown by zeros.
    Grown,
}

pub const CUTS: [Cut; 7] = [
    Cut::Nothing,
    Cut::Length,
    Cut::Half,
    Cut::AllButFirst,
    Cut::Sectors,
    Cut::Pages,
    Cut::Grown,
];

impl Cut {
    fn apply(self, synced: &[u8], now: &[u8], numbers: &mut Numbers) -> Vec<u8> {
        if self == Cut::Nothing {
            return synced.to_vec();
        }
        let piece = if self == Cut::Pages { 4096 } else { 512 };
        let len = now.len().max(synced.len());
        let padded = |bytes: &[u8]| [bytes, &vec![0; len - bytes.len()]].concat();
        let (old, new) = (padded(synced), padded(now));
        let pieces = |bytes: &[u8]| bytes.chunks(piece).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (old, new) = (pieces(&old), pieces(&new));
        let differing: Vec<usize> = (0..old.len()).filter(|&i| old[i] != new[i]).collect();
        let mut left = old;
        for (n, &i) in differing.iter().enumerate() {
            let is_kept = match self {
                Cut::Nothing | Cut::Length => false,
                Cut::Half => n < differing.len() / 2,
                Cut::AllButFirst => n > 0,
                Cut::Sectors | Cut::Pages => numbers.below(2) == 0,
                Cut::Grown => true,
            };
            if is_kept {
                left[i].clone_from(&new[i]);
            }
        }
        let mut left = left.concat();
        if self == Cut::Grown {
            left.resize(len + 100_000, 0);
        }
        left
    }
}
