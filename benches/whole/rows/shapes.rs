//! Trees of extreme shapes.

use std::io;

use crate::Options;
use crate::runs::{Bench, Tree};
use crate::table::Table;
use crate::tree;

/// One wide directory and one deep chain: to `chown -R`, and an inode of them to one of the mixed tree.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let names = if options.full { 1_000_000 } else { 200_000 };
    let wide = bench.tree("wide", |path| tree::wide(path, names))?;
    shape(bench, "one wide directory", wide, table)?;
    let deep = bench.tree("deep", |path| tree::deep(path, 20_000))?;
    shape(bench, "a deep chain", deep, table)
}

fn shape(bench: &Bench, name: &str, tree: Tree, table: &mut Table) -> io::Result<()> {
    let [shift, chown] = bench.series();
    for owner in ["1:1", "2:2", "3:3"] {
        bench.settle()?;
        shift.take(bench.idshift(&["shift"], &tree.path)?);
        bench.idshift_on_journal("rollback")?;
        bench.settle()?;
        let chowned = bench.run("chown", &["-hR", owner], &tree.path)?;
        chown.take(chowned.and(bench.run("sync", &["-f"], &tree.path)?));
    }
    let what = format!("{name}, shift");
    table.ratio((&what, &shift), ("chown -R, sync -f", &chown), None);
    // Measured before, unless only this part was asked for.
    if table.per_inode > 0.0 {
        let per_inode = shift.median().seconds / tree.inodes as f64;
        let what = format!("{name}, time an inode to the mixed tree");
        table.figure(&what, per_inode / table.per_inode, 1.3);
    }
    bench.remove(&tree)
}
