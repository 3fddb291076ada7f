//! Somebody else's reads: a service that opens a file and reads a piece of it, a thousand times a second.

use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files that are read.
pub struct Reader {
    files: Vec<PathBuf>,
}

const FILES: usize = 2000;
const SIZE: usize = 16 << 10;
const PIECE: usize = 4 << 10;
const READS: usize = 2000;
const PAUSE: Duration = Duration::from_millis(1);

impl Reader {
    /// Makes the files.
    pub fn new(dir: &Path) -> io::Result<Reader> {
        let make = |n| {
            let path = dir.join(format!("{n}"));
            fs::write(&path, vec![b'x'; SIZE]).map(|()| path)
        };
        let files = (0..FILES).map(make).collect::<io::Result<_>>()?;
        Ok(Reader { files })
    }

    /// Reads for some seconds; the seconds that each read took.
    pub fn read(&self) -> io::Result<Vec<f64>> {
        let mut piece = vec![0; PIECE];
        (0..READS)
            .map(|n| {
                std::thread::sleep(PAUSE);
                // A stride that has no factor in common with the number of files.
                let path = &self.files[n * 777 % FILES];
                let start = Instant::now();
                File::open(path)?.read_exact_at(&mut piece, (n % 4 * PIECE) as u64)?;
                black_box(&piece);
                Ok(start.elapsed().as_secs_f64())
            })
            .collect()
    }
}

/// The value that this part of them is below.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last as f64 * part) as usize)
        .copied()
        .unwrap_or_default()
}
