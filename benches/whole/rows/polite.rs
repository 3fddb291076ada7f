//! What somebody else's reads take while a run gives way.

use std::io;

use crate::Options;
use crate::reader;
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// Inodes a second of a run that gives way.
const POLITE: u32 = 20_000;

/// Reads beside a dry run with `--nice --rate`, to reads alone.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let tree = bench.tree("polite", |path| tree::mixed(path, 100_000))?;
    let reader = reader::Reader::new(&bench.dir("reader")?)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        alone.extend(reader.read()?);
        let mut child = bench.polite_dry_run(&tree.path, POLITE)?;
        beside.extend(reader.read()?);
        child.kill()?;
        child.wait()?;
    }
    for (what, part) in [("median", 0.5), ("99th percentile", 0.99)] {
        let ratio = reader::percentile(&mut beside, part) / reader::percentile(&mut alone, part);
        let what = format!("read latency beside --nice --rate {POLITE}, {what}");
        table.figure(&what, ratio, 1.1);
    }
    bench.remove(&tree)
}
