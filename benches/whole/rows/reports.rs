//! Pages of long runs.

use std::io;

use crate::Options;
use crate::goals::{REPORT_MB, REPORT_SECONDS};
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// `report` of a manifest, and of the journal of the same tree.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let size = match options.full {
        true => 1_000_000,
        false => options.inodes,
    };
    let tree = bench.tree("reported", |path| tree::mixed(path, size))?;
    bench.settle()?;
    bench.dry_run(&tree.path)?;
    bench.idshift(&["shift"], &tree.path)?;
    let manifest = bench.manifest();
    for (of, source) in [
        ("a manifest", manifest.as_path()),
        ("a journal", "latest".as_ref()),
    ] {
        let [report] = bench.series();
        for _ in 0..options.rounds {
            report.take(bench.report(source)?);
        }
        let run = report.median();
        let what = format!("report of {of} of {} inodes", tree.inodes);
        table.figure(&format!("{what}, s"), run.seconds, REPORT_SECONDS);
        let megabytes = bench.page_bytes()? as f64 / 1e6;
        table.figure(&format!("{what}, MB"), megabytes, REPORT_MB);
        eprintln!("{what}: {} MiB of memory", run.memory_kib / 1024);
    }
    bench.remove(&tree)
}
