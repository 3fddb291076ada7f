//! Reads and writes below an overlay mount, as a container does them: of a root that is seen through an idmapped
//! mount, to one whose owners were changed.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::docker::{LAYER, data_root};
use crate::Options;
use crate::goals::THROUGH_MOUNT;
use crate::runs::{Bench, Run, Series};
use crate::table::Table;

/// Files of the layer, and bytes of each.
const FILES: usize = 4_000;
const BYTES: usize = 32 * 1024;

/// Root of the range.
const OWNER: u32 = 100_000;

/// All rows.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let shifted = Root::make(&bench.dir("shifted")?, &["migrate"])?;
    let mounted = Root::make(&bench.dir("mounted")?, &["migrate", "--idmapped"])?;
    let [read_shifted, read_mounted, write_shifted, write_mounted] = bench.series();
    for _ in 0..options.rounds.max(5) {
        shifted.take(&read_shifted, &write_shifted)?;
        mounted.take(&read_mounted, &write_mounted)?;
    }
    let (through, to) = ("through a mount", "in a shifted root");
    let reads = (&format!("reads {through}")[..], &read_mounted);
    table.ratio(reads, (to, &read_shifted), THROUGH_MOUNT);
    let writes = (&format!("writes {through}")[..], &write_mounted);
    table.ratio(writes, (to, &write_shifted), THROUGH_MOUNT);
    mounted.remove()?;
    shifted.remove()
}

/// A remapped root with one layer, and an overlay mount of it.
struct Root {
    bench: Bench,
    merged: PathBuf,
}

impl Root {
    fn make(place: &Path, migrate: &[&str]) -> io::Result<Root> {
        let bench = Bench::new(place)?;
        let root = bench.tree("root", |path| data_root(path, 100, 1))?;
        let files = root.path.join(LAYER).join("files");
        for n in 0..FILES {
            let dir = files.join(format!("{:02}", n % 40));
            fs::create_dir_all(&dir)?;
            fs::write(dir.join(format!("{n}.dat")), vec![n as u8; BYTES])?;
        }
        bench.docker(migrate, &root.path)?;
        let remapped = root.path.join("100000.100000/overlay2/layer");
        let [upper, work] = ["upper", "work"].map(|name| remapped.join(name));
        let merged = bench.dir("merged")?;
        for dir in [&upper, &work] {
            fs::create_dir(dir)?;
            chown(dir, Some(OWNER), Some(OWNER))?;
        }
        let dirs = format!(
            "lowerdir={},upperdir={},workdir={}",
            remapped.join("diff").display(),
            upper.display(),
            work.display()
        );
        mount(
            Some("overlay"),
            &merged,
            Some("overlay"),
            MsFlags::empty(),
            Some(&dirs[..]),
        )?;
        Ok(Root { bench, merged })
    }

    /// Reads all files; then copies them, and removes the copies.
    fn take(&self, reads: &Series, writes: &Series) -> io::Result<()> {
        let files = self.merged.join("files");
        let copy = self.merged.join("copy");
        let [files, copy] = [&files, &copy].map(|path| path.to_string_lossy().into_owned());
        self.bench.settle_disk();
        reads.take(self.as_container("find", &[&files, "-type", "f", "-exec", "cat", "{}", "+"])?);
        let written = self.as_container("cp", &["-r", &files, &copy])?;
        let synced = self.as_container("sync", &["-f", &copy])?;
        let removed = self.as_container("rm", &["-r", &copy])?;
        writes.take(written.and(synced).and(removed));
        Ok(())
    }

    /// Runs a program as root of the range.
    fn as_container(&self, program: &str, args: &[&str]) -> io::Result<Run> {
        let owner = OWNER.to_string();
        let ids = [
            "--reuid",
            &owner,
            "--regid",
            &owner,
            "--clear-groups",
            program,
        ];
        let all = [&ids[..], args].concat();
        let Some((last, all)) = all.split_last() else {
            return Ok(Run::default());
        };
        self.bench.run("setpriv", all, Path::new(last))
    }

    fn remove(self) -> io::Result<()> {
        umount2(&self.merged, MntFlags::empty())?;
        self.bench.idshift_on_journal("rollback").map(|_| ())
    }
}
