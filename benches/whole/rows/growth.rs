//! Time and memory against the number of inodes.

use std::io;
use std::path::Path;

use super::docker::{CONTAINERS, LAYER, data_root};
use crate::Options;
use crate::goals::{GROWTH, MEMORY_MIB};
use crate::plot;
use crate::runs::{Bench, Run};
use crate::table::{Growth, Row, Table};

/// Trees of 30,000 inodes and more, each the layer of a data-root.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let mut sizes = vec![30_000, 100_000, 300_000];
    if options.full {
        sizes.extend([1_000_000, 3_000_000]);
    }
    let mut rows = Vec::new();
    for size in sizes {
        rows.push(of_size(bench, options, size)?);
    }
    if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
        let what = format!("{} inodes, time an inode to {}", last.inodes, first.inodes);
        let each = |row: &Growth| row.shift / row.inodes as f64;
        table.figure(&what, each(last) / each(first), GROWTH);
        let memory = rows.iter().map(|row| row.memory_kib).max().unwrap_or(0);
        table.figure("most memory, MiB", memory as f64 / 1024.0, MEMORY_MIB);
    }
    table.rows.extend(rows.into_iter().map(Row::Growth));
    if let Some(plot) = &options.plot {
        std::fs::write(plot, plot::plot(table))?;
    }
    Ok(())
}

fn of_size(bench: &Bench, options: &Options, size: usize) -> io::Result<Growth> {
    let make = |path: &Path| data_root(path, size, CONTAINERS);
    let root = bench.tree(&format!("growth-{size}"), make)?;
    let layer = root.path.join(LAYER);
    let [shift, chown, find, fuidshift, idmapped] = bench.series();
    for round in 0..options.rounds.min(3) {
        bench.settle()?;
        shift.take(bench.idshift(&["shift"], &layer)?);
        bench.idshift_on_journal("rollback")?;
        bench.settle()?;
        idmapped.take(bench.docker(&["migrate", "--idmapped"], &root.path)?);
        bench.idshift_on_journal("rollback")?;
        bench.settle()?;
        find.take(bench.find(&layer)?);
        if round == 0 {
            fuidshift.take(bench.fuidshift(&layer)?);
        }
        let chowned = bench.run("chown", &["-hR", "0:0"], &layer)?;
        chown.take(chowned.and(bench.run("sync", &["-f"], &layer)?));
    }
    let Run {
        seconds,
        memory_kib,
        ..
    } = shift.median();
    bench.remove(&root)?;
    Ok(Growth {
        inodes: root.inodes,
        shift: seconds,
        chown: chown.median().seconds,
        find: find.median().seconds,
        fuidshift: fuidshift.median().seconds,
        idmapped: idmapped.median().seconds,
        memory_kib,
    })
}
