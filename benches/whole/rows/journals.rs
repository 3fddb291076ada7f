//! The journal of a real tree, and a list of many long ones.

use std::io;
use std::path::{Path, PathBuf};

use crate::Options;
use crate::goals::{JOURNAL_BYTES, JOURNAL_LIST};
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// Journals in the list.
const JOURNALS: usize = 20;

/// All rows.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    debian(bench, table)?;
    list(bench, options, table)
}

/// The journal of a Debian root filesystem: the archive that the tests have made, if they have run.
fn debian(bench: &Bench, table: &mut Table) -> io::Result<()> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let mut archives = entries.map(|entry| entry.path());
    let is_debian = |path: &PathBuf| path.to_string_lossy().contains("/debian-");
    let Some(archive) = archives.find(is_debian) else {
        eprintln!("no Debian root filesystem: `tests/run` makes one");
        return Ok(());
    };
    let tree = bench.tree("debian", |path| tree::unpacked(&archive, path))?;
    bench.settle()?;
    bench.idshift(&["shift"], &tree.path)?;
    let bytes = bench.journal_bytes()? as f64 / tree.inodes as f64;
    table.figure(
        "journal of a Debian root, bytes an inode",
        bytes,
        JOURNAL_BYTES,
    );
    bench.remove(&tree)
}

/// `journal list` of many journals, each of a tree of its own name.
fn list(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let size = match options.full {
        true => 1_000_000,
        false => options.inodes,
    };
    let tree = bench.tree("listed", |path| tree::mixed(path, size))?;
    bench.settle()?;
    for _ in 0..JOURNALS / 2 {
        bench.idshift(&["shift"], &tree.path)?;
        bench.idshift(&["shift", "--reverse"], &tree.path)?;
    }
    let [list] = bench.series();
    for _ in 0..options.rounds {
        list.take(bench.journal_list()?);
    }
    let what = format!("journal list, {JOURNALS} journals of {size} inodes, s");
    table.figure(&what, list.median().seconds, JOURNAL_LIST);
    bench.remove(&tree)
}
