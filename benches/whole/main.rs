//! Whole runs, against what people use instead and against what the kernel calls alone cost.
//!
//! `cargo bench --bench whole`, as root; `benches/README.md` says how to read it.
//!
//! - `rows/`: what is measured, one file for each subject
//! - `goals`: what is to be reached
//! - `tree`: the trees, made from a seed
//! - `filesystem`, `accounts`: images with ext4, xfs and btrfs; a mount namespace with accounts of its own
//! - `floor`: the system calls alone, names known beforehand
//! - `runs`: running a program and taking its time, again and again, in turn with others
//! - `reader`: somebody else's reads while a run gives way
//! - `table`: medians, spreads, ratios; for people, and as JSON
//! - `plot`: time against inodes
#![allow(unsafe_code, reason = "wait4(2) has no safe call that tells memory")]

mod accounts;
mod filesystem;
mod floor;
mod goals;
mod plot;
mod reader;
mod rows;
mod runs;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use filesystem::{Filesystem, Kind};
use runs::Bench;
use table::{Row, Table};

/// What the command line asks for.
struct Options {
    rounds: usize,
    inodes: usize,
    full: bool,
    json: bool,
    filesystems: Vec<Kind>,
    only: Option<String>,
    plot: Option<PathBuf>,
    place: PathBuf,
}

const HELP: &str = "\
cargo bench --bench whole -- [--rounds N] [--inodes N] [--filesystems LIST] [--only PART] [--full] [--json]
                             [--plot FILE.svg] [--place DIR]

  --rounds N          runs of each program, the median counts (5)
  --inodes N          inodes of the mixed tree (150000)
  --filesystems LIST  of ext4,xfs,btrfs: those that the mixed tree is measured on (all); the rest is on the first
  --only PART         mixed, shapes, journals, reports, polite, growth, mounts, docker or through-mount
  --full              also 3,000,000 inodes, and the growth up to there
  --json              print the table as JSON
  --plot FILE         draw time against inodes
  --place DIR         where the images of the filesystems are made (target)";

fn main() -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("whole: changing owners needs root: run it as root");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if let Some(floor) = floor::asked(&mut std::env::args().skip(1)) {
        return floor;
    }
    let mut options = Options {
        rounds: 5,
        inodes: 150_000,
        full: false,
        json: false,
        filesystems: Kind::ALL.to_vec(),
        only: None,
        plot: None,
        place: Path::new(env!("CARGO_MANIFEST_DIR")).join("target/whole"),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--rounds" => options.rounds = value().parse().unwrap_or(5),
            "--inodes" => options.inodes = value().parse().unwrap_or(150_000),
            "--full" => options.full = true,
            "--only" => options.only = Some(value()),
            "--filesystems" => {
                options.filesystems = value().split(',').filter_map(Kind::named).collect();
            }
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
    accounts::isolate(&options.place.join("etc"))?;
    let mut table = Table::default();
    // The largest trees of all parts: the mixed ones are three, and the ones that grow go up to 300,000 or 3,000,000.
    let room = match options.full {
        true => 3_500_000,
        false => 700_000.max(options.inodes * 4),
    };
    for (n, kind) in options.filesystems.iter().enumerate() {
        table.rows.push(Row::Filesystem(kind.name()));
        let filesystem = Filesystem::make(*kind, &options.place, room)?;
        let bench = Bench::new(&filesystem.top.join("bench"))?;
        if options.wants("mixed") {
            rows::mixed::measure(&bench, options, kind.goals(), &mut table)?;
        }
        if n == 0 {
            others(&bench, options, &mut table)?;
        }
    }
    Ok(table)
}

/// What is measured on one filesystem only.
fn others(bench: &Bench, options: &Options, table: &mut Table) -> std::io::Result<()> {
    type Part = fn(&Bench, &Options, &mut Table) -> std::io::Result<()>;
    let parts: [(&str, Part); 8] = [
        ("shapes", rows::shapes::measure),
        ("journals", rows::journals::measure),
        ("reports", rows::reports::measure),
        ("polite", rows::polite::measure),
        ("growth", rows::growth::measure),
        ("mounts", rows::mounts::measure),
        ("docker", rows::docker::measure),
        ("through-mount", rows::through_mount::measure),
    ];
    for (name, measure) in parts {
        if options.wants(name) {
            measure(bench, options, table)?;
        }
    }
    Ok(())
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}
