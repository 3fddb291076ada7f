//! The mixed tree: idshift, `chown -R`, `find`, `fuidshift` and the lower bound, by turns.

use std::io;
use std::path::Path;

use crate::Options;
use crate::goals::{Goals, JOURNAL_BYTES};
use crate::runs::{Bench, Series, Tree};
use crate::table::Table;
use crate::tree;

const SYNCED: &str = "chown -R, sync -f";

/// The trees: one a program, as each leaves other owners.
struct Trees {
    ours: Tree,
    theirs: Tree,
    fuidshift: Tree,
}

/// What is run on them.
#[derive(Default)]
struct Runs {
    shift: Series,
    again: Series,
    rollback: Series,
    resume: Series,
    dry_run: Series,
    one_thread: Series,
    cold: Series,
    chown: Series,
    chown_synced: Series,
    chown_cold: Series,
    find: Series,
    fuidshift: Series,
    bound: Series,
    bound_synced: Series,
    journal_bytes: u64,
}

/// Measures on the filesystem of `bench`.
pub fn measure(
    bench: &Bench,
    options: &Options,
    goals: &Goals,
    table: &mut Table,
) -> io::Result<()> {
    let tree = |name: &str| bench.tree(name, |path| tree::mixed(path, options.inodes));
    let trees = Trees {
        ours: tree("mixed-ours")?,
        theirs: tree("mixed-theirs")?,
        fuidshift: tree("mixed-fuidshift")?,
    };
    let mut runs = Runs::default();
    for _ in 0..options.rounds {
        runs.warm(bench, &trees)?;
    }
    for _ in 0..options.rounds.min(3) {
        runs.cold(bench, &trees)?;
        runs.resume(bench, &trees.ours.path)?;
    }
    runs.report(goals, trees.ours.inodes, table);
    for tree in [trees.ours, trees.theirs, trees.fuidshift] {
        bench.remove(&tree)?;
    }
    Ok(())
}

impl Runs {
    fn warm(&mut self, bench: &Bench, trees: &Trees) -> io::Result<()> {
        let (ours, theirs) = (&trees.ours.path, &trees.theirs.path);
        bench.settle()?;
        self.shift.take(bench.idshift(&["shift"], ours)?);
        self.journal_bytes = bench.journal_bytes()?;
        self.again.take(bench.idshift(&["shift"], ours)?);
        bench.settle_disk();
        self.rollback.take(bench.idshift_on_journal("rollback")?);
        self.dry_run.take(bench.dry_run(ours)?);
        bench.settle()?;
        // Each gives owners that are not those of before.
        let chowned = bench.run("chown", &["-hR", "100000:100000"], theirs)?;
        let synced = bench.run("sync", &["-f"], theirs)?;
        self.chown.take(chowned);
        self.chown_synced.take(chowned.and(synced));
        self.find.take(bench.find(theirs)?);
        bench.settle()?;
        self.bound.take(bench.floor(theirs)?);
        bench.settle()?;
        // The lower bound leaves the owner of the top alone, and gives the rest to root.
        bench.run("chown", &["-hR", "100000:100000"], theirs)?;
        bench.settle()?;
        self.bound_synced.take(bench.whole_floor(theirs)?);
        bench.settle()?;
        self.one_thread
            .take(bench.idshift(&["shift", "--jobs", "1"], ours)?);
        bench.idshift_on_journal("rollback").map(|_| ())
    }

    fn cold(&mut self, bench: &Bench, trees: &Trees) -> io::Result<()> {
        let (ours, theirs) = (&trees.ours.path, &trees.theirs.path);
        bench.forget()?;
        self.cold.take(bench.idshift(&["shift"], ours)?);
        bench.idshift_on_journal("rollback")?;
        bench.run("chown", &["-hR", "1:1"], theirs)?;
        bench.forget()?;
        let chowned = bench.run("chown", &["-hR", "2:2"], theirs)?;
        let synced = bench.run("sync", &["-f"], theirs)?;
        self.chown_cold.take(chowned.and(synced));
        bench.settle()?;
        self.fuidshift.take(bench.fuidshift(&trees.fuidshift.path)?);
        Ok(())
    }

    /// A run that is killed at nine tenths of its time, and resumed once the kernel has written out what it did.
    fn resume(&mut self, bench: &Bench, tree: &Path) -> io::Result<()> {
        bench.settle()?;
        // The caches are cold.
        bench.find(tree)?;
        let after = self.shift.median().seconds * 0.9;
        if bench.shift_killed(tree, after)? {
            bench.settle_disk();
            self.resume.take(bench.idshift_on_journal("resume")?);
        }
        bench.idshift_on_journal("rollback").map(|_| ())
    }

    fn report(&self, goals: &Goals, inodes: usize, table: &mut Table) {
        let shift = ("shift", &self.shift);
        let synced = (SYNCED, &self.chown_synced);
        let find = ("find -printf", &self.find);
        table.ratio(shift, synced, goals.shift);
        table.ratio(("rollback", &self.rollback), synced, goals.rollback);
        table.ratio(("dry run, manifest", &self.dry_run), find, goals.dry_run);
        table.ratio(("second shift", &self.again), find, goals.second);
        let cold = ("chown -R, sync -f, cold", &self.chown_cold);
        table.ratio(("shift, cold", &self.cold), cold, goals.cold);
        table.ratio(shift, ("fuidshift", &self.fuidshift), goals.fuidshift);
        table.ratio(
            ("resume of the last tenth", &self.resume),
            ("shift", &self.shift),
            goals.resume,
        );
        table.ratio(shift, ("chown -R", &self.chown), None);
        table.ratio(shift, ("lower bound", &self.bound), None);
        let bound = ("lower bound, names read, synced", &self.bound_synced);
        table.ratio(shift, bound, None);
        table.ratio(bound, synced, None);
        table.ratio(("shift --jobs 1", &self.one_thread), synced, None);
        let bytes = self.journal_bytes as f64 / inodes as f64;
        table.figure("journal, bytes an inode", bytes, JOURNAL_BYTES);
        table.per_inode = self.shift.median().seconds / inodes as f64;
    }
}
