//! Whole runs, against what people use instead and against what the kernel calls alone cost.
//!
//! `cargo bench --bench whole`, as root; `benches/README.md` says how to read it.
//!
//! - `tree`: the trees, made from a seed
//! - `docker`: a data-root, by a mount and by changed owners
//! - `floor`: the system calls alone, names known beforehand
//! - `runs`: running a program and taking its time, again and again, in turn with others
//! - `reader`: somebody else's reads while a run gives way
//! - `table`: medians, spreads, ratios; for people, and as JSON
//! - `plot`: time against inodes
#![allow(unsafe_code, reason = "wait4(2) has no safe call that tells memory")]

mod docker;
mod floor;
mod plot;
mod reader;
mod runs;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runs::{Bench, Run};
use table::{Row, Table};

/// What the command line asks for.
struct Options {
    rounds: usize,
    inodes: usize,
    full: bool,
    json: bool,
    only_docker: bool,
    plot: Option<PathBuf>,
    place: PathBuf,
}

const HELP: &str = "\
cargo bench --bench whole -- [--rounds N] [--inodes N] [--docker] [--full] [--json] [--plot FILE.svg] [--place DIR]

  --rounds N   runs of each program, the median counts (5)
  --inodes N   inodes of the mixed tree (300000)
  --docker     only Docker data-roots
  --full       also 3,000,000 inodes, and the growth up to there
  --json       print the table as JSON
  --plot FILE  draw time against inodes
  --place DIR  where the trees are made: a directory of its own on the filesystem to measure (target)";

fn main() -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("whole: changing owners takes root: run it as root");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if let Some(floor) = floor::asked(&mut std::env::args().skip(1)) {
        return floor;
    }
    let mut options = Options {
        rounds: 5,
        inodes: 300_000,
        full: false,
        json: false,
        only_docker: false,
        plot: None,
        place: Path::new(env!("CARGO_MANIFEST_DIR")).join("target/whole"),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--rounds" => options.rounds = value().parse().unwrap_or(5),
            "--inodes" => options.inodes = value().parse().unwrap_or(300_000),
            "--full" => options.full = true,
            "--docker" => options.only_docker = true,
            "--json" => options.json = true,
            "--plot" => options.plot = Some(value().into()),
            "--place" => options.place = Path::new(&value()).join("idshift-whole"),
            _ => {
                println!("{HELP}");
                return ExitCode::FAILURE;
            }
        }
    }
    match measure(&options) {
        Ok(table) => {
            match options.json {
                true => println!("{}", table.json()),
                false => print!("{}", table.text()),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("whole: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> std::io::Result<Table> {
    let bench = Bench::new(&options.place)?;
    let mut table = Table::default();
    if options.only_docker {
        docker::measure(&bench, options, &mut table)?;
        return Ok(table);
    }
    mixed(&bench, options, &mut table)?;
    shapes(&bench, options, &mut table)?;
    debian(&bench, &mut table)?;
    polite(&bench, options, &mut table)?;
    growth(&bench, options, &mut table)?;
    mounts(&bench, options, &mut table)?;
    // Last: it takes the program into a mount namespace of its own.
    docker::measure(&bench, options, &mut table)?;
    Ok(table)
}

/// The mixed tree: us, `chown -R`, `find`, `fuidshift` and the floor, in turn.
fn mixed(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
    let ours = bench.tree("mixed-ours", |path| tree::mixed(path, options.inodes))?;
    let theirs = bench.tree("mixed-theirs", |path| tree::mixed(path, options.inodes))?;
    let fuid = bench.tree("mixed-fuidshift", |path| tree::mixed(path, options.inodes))?;
    let count = ours.inodes as f64;
    let [shift, again, rollback, dry, one, cold] = bench.series();
    let [
        chown,
        chown_sync,
        find,
        fuidshift,
        floor,
        whole_floor,
        chown_cold,
    ] = bench.series();
    let mut journal_bytes = 0;
    for _ in 0..options.rounds {
        bench.settle()?;
        shift.take(bench.idshift(&["shift"], &ours.path)?);
        journal_bytes = bench.journal_bytes()?;
        again.take(bench.idshift(&["shift"], &ours.path)?);
        rollback.take(bench.idshift_on_journal("rollback")?);
        dry.take(bench.dry_run(&ours.path)?);
        bench.settle()?;
        // Each gives owners that are not those of before.
        let chowned = bench.run("chown", &["-hR", "100000:100000"], &theirs.path)?;
        let synced = bench.run("sync", &["-f"], &theirs.path)?;
        chown.take(chowned);
        chown_sync.take(chowned.and(synced));
        find.take(bench.find(&theirs.path)?);
        bench.settle()?;
        floor.take(bench.floor(&theirs.path)?);
        bench.settle()?;
        // The floor leaves the owner of the top alone, and gives the rest to root.
        bench.run("chown", &["-hR", "100000:100000"], &theirs.path)?;
        bench.settle()?;
        whole_floor.take(bench.whole_floor(&theirs.path)?);
        bench.settle()?;
        one.take(bench.idshift(&["shift", "--jobs", "1"], &ours.path)?);
        bench.idshift_on_journal("rollback")?;
    }
    for owner in ["1:1", "2:2", "3:3"] {
        bench.forget()?;
        cold.take(bench.idshift(&["shift"], &ours.path)?);
        bench.idshift_on_journal("rollback")?;
        bench.forget()?;
        chown_cold.take(bench.run("chown", &["-hR", owner], &theirs.path)?);
        bench.settle()?;
        fuidshift.take(bench.fuidshift(&fuid.path)?);
    }
    table.ratio(("shift", &shift), ("chown -R", &chown), 0.85);
    let synced = "chown -R, sync -f";
    table.ratio(("shift", &shift), (synced, &chown_sync), None);
    table.ratio(("rollback", &rollback), (synced, &chown_sync), None);
    table.ratio(("shift", &shift), ("fuidshift", &fuidshift), 0.18);
    table.ratio(("rollback", &rollback), ("chown -R", &chown), 1.0);
    table.ratio(("dry run, manifest", &dry), ("find -printf", &find), 0.65);
    table.ratio(("shift, cold", &cold), ("chown -R, cold", &chown_cold), 0.8);
    table.ratio(("second shift", &again), ("find -printf", &find), 0.7);
    table.ratio(("shift", &shift), ("lower bound", &floor), 1.25);
    let whole = ("lower bound, names read, synced", &whole_floor);
    table.ratio(("shift", &shift), whole, None);
    table.ratio(whole, ("chown -R", &chown), None);
    table.ratio(("shift --jobs 1", &one), ("chown -R", &chown), 1.6);
    table.figure(
        "journal, bytes an inode",
        journal_bytes as f64 / count,
        14.0,
    );
    table.per_inode = shift.median().seconds / count;
    for tree in [&ours, &theirs, &fuid] {
        bench.remove(tree)?;
    }
    Ok(())
}

/// The journal of a Debian root filesystem: the archive that the tests have made, if they have run.
fn debian(bench: &Bench, table: &mut Table) -> std::io::Result<()> {
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
    table.figure("journal of a Debian root, bytes an inode", bytes, 14.0);
    bench.remove(&tree)
}

/// Inodes a second of a run that gives way.
const POLITE: u32 = 20_000;

/// What somebody else's reads take while a dry run gives way, to what they take by themselves.
fn polite(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
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

/// Trees of extreme shapes, per inode against the mixed tree.
fn shapes(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
    let wide_names = if options.full { 1_000_000 } else { 200_000 };
    let wide = bench.tree("wide", |path| tree::wide(path, wide_names))?;
    let deep = bench.tree("deep", |path| tree::deep(path, 20_000))?;
    for (name, tree) in [("one wide directory", &wide), ("a deep chain", &deep)] {
        let [shift, chown] = bench.series();
        for owner in ["1:1", "2:2", "3:3"] {
            bench.settle()?;
            shift.take(bench.idshift(&["shift"], &tree.path)?);
            bench.idshift_on_journal("rollback")?;
            bench.settle()?;
            chown.take(bench.run("chown", &["-hR", owner], &tree.path)?);
        }
        table.ratio(
            (&format!("{name}, shift"), &shift),
            ("chown -R", &chown),
            None,
        );
        let per_inode = shift.median().seconds / tree.inodes as f64;
        table.figure(
            &format!("{name}, per inode to mixed"),
            per_inode / table.per_inode,
            1.3,
        );
    }
    Ok(())
}

/// A mount that shows other owners, against giving them.
fn mounts(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
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

/// Time and memory against the number of inodes.
fn growth(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
    let mut sizes = vec![30_000, 100_000, 300_000];
    if options.full {
        sizes.extend([1_000_000, 3_000_000]);
    }
    let (mut per_inode, mut memory) = (Vec::new(), 0);
    for size in sizes {
        let tree = bench.tree(&format!("growth-{size}"), |path| tree::mixed(path, size))?;
        let [shift, chown, find, fuidshift] = bench.series();
        for round in 0..options.rounds.min(3) {
            bench.settle()?;
            shift.take(bench.idshift(&["shift"], &tree.path)?);
            bench.idshift_on_journal("rollback")?;
            bench.settle()?;
            chown.take(bench.run("chown", &["-hR", "0:0"], &tree.path)?);
            find.take(bench.find(&tree.path)?);
            if round == 0 {
                fuidshift.take(bench.fuidshift(&tree.path)?);
            }
        }
        let Run {
            seconds,
            memory_kib,
            ..
        } = shift.median();
        table.rows.push(Row::Growth {
            inodes: tree.inodes,
            idshift: seconds,
            chown: chown.median().seconds,
            find: find.median().seconds,
            fuidshift: fuidshift.median().seconds,
            memory_kib,
        });
        per_inode.push((tree.inodes, seconds / tree.inodes as f64));
        memory = memory.max(memory_kib);
        bench.remove(&tree)?;
    }
    if let (Some(first), Some(last)) = (per_inode.first(), per_inode.last()) {
        let what = format!("{} inodes, per inode to {}", last.0, first.0);
        table.figure(&what, last.1 / first.1, 1.15);
    }
    table.figure("most memory, MiB", memory as f64 / 1024.0, 96.0);
    if let Some(plot) = &options.plot {
        std::fs::write(plot, plot::plot(table))?;
    }
    Ok(())
}
