//! The system calls alone: what no program that pins inodes and looks at their attributes can be
//! faster than. Two threads, each with a descriptor table and a working directory of its own, go over
//! names that are known beforehand: open with `O_PATH`, stat, list attributes, chown, close.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

/// The word that makes this program the floor instead of the bench.
pub const WORD: &str = "floor-of";

/// When the command line asks for it: does it, and prints the seconds that the calls took.
pub fn asked(args: &mut impl Iterator<Item = String>) -> Option<ExitCode> {
    (args.next()? == WORD).then(|| {
        let tree = args.next().unwrap_or_default();
        match floor(Path::new(&tree)) {
            Ok(seconds) => {
                println!("{seconds}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{tree}: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

struct Names {
    dir: PathBuf,
    names: Vec<CString>,
}

fn floor(tree: &Path) -> std::io::Result<f64> {
    let mut dirs = Vec::new();
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            continue;
        }
        let mut names = Vec::new();
        for name in std::fs::read_dir(entry.path())? {
            names.push(CString::new(name?.file_name().as_bytes())?);
        }
        dirs.push(Names {
            dir: entry.into_path(),
            names,
        });
    }
    let half = dirs.len() / 2;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let parts = [&dirs[..half], &dirs[half..]];
        let threads = parts.map(|part| scope.spawn(move || one_thread(part)));
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    Ok(start.elapsed().as_secs_f64())
}

fn one_thread(dirs: &[Names]) -> std::io::Result<()> {
    unshare(CloneFlags::CLONE_FILES | CloneFlags::CLONE_FS)?;
    let mut list = [0u8; 1024];
    for Names { dir, names } in dirs {
        let dir = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        rustix::process::fchdir(&dir)?;
        for name in names {
            let pin = rustix::fs::openat(
                dir.as_fd(),
                name,
                OFlags::PATH | OFlags::NOFOLLOW,
                Mode::empty(),
            )?;
            let stat = rustix::fs::fstat(&pin)?;
            std::hint::black_box(stat);
            std::hint::black_box(rustix::fs::llistxattr(name, &mut list[..])?);
            let (uid, gid) = (Uid::ROOT, Gid::ROOT);
            rustix::fs::chownat(&pin, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
    }
    Ok(())
}
