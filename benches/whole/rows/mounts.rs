//! A mount that shows other owners, to giving them.

use std::io;

use crate::Options;
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// `idshift mount` and `idshift shift` of the same tree.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let size = match options.full {
        true => 1_000_000,
        false => options.inodes,
    };
    let tree = bench.tree("mounted", |path| tree::mixed(path, size))?;
    let [mount, shift] = bench.series();
    for _ in 0..options.rounds {
        bench.settle()?;
        mount.take(bench.idshift(&["mount"], &tree.path)?);
        bench.unmount(&tree.path)?;
        shift.take(bench.idshift(&["shift"], &tree.path)?);
        bench.idshift_on_journal("rollback")?;
    }
    table.ratio(("mount", &mount), ("shift", &shift), None);
    let what = format!("mount of {} inodes, s", tree.inodes);
    table.figure(&what, mount.median().seconds, 0.05);
    bench.remove(&tree)
}
