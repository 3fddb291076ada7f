//! The system calls alone: what no program that pins inodes and looks at their attributes can be
//! faster than. Two threads, each with a descriptor table and a working directory of its own, go over
//! names that are known beforehand: open with `O_PATH`, stat, list attributes, chown, close.
//!
//! Or what no program can be faster than that does this to a tree it does not know, and says that it is
//! done when it is on the disk: the names are read within the time that is taken, and the filesystem is
//! synced at its end. Not even then is anything recorded.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RawDir, Uid};

/// The word that makes this program the floor instead of the bench.
pub const WORD: &str = "floor-of";

/// The word that makes it the floor of a tree that is not known and is to be on the disk.
pub const WHOLE_WORD: &str = "whole-floor-of";

/// When the command line asks for it: does it, and prints the seconds that the calls took.
pub fn asked(args: &mut impl Iterator<Item = String>) -> Option<ExitCode> {
    let is_whole = match args.next()?.as_str() {
        WORD => false,
        WHOLE_WORD => true,
        _ => return None,
    };
    let tree = args.next().unwrap_or_default();
    Some(match floor(Path::new(&tree), is_whole) {
        Ok(seconds) => {
            println!("{seconds}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{tree}: {error}");
            ExitCode::FAILURE
        }
    })
}

struct Names {
    dir: PathBuf,
    names: Vec<CString>,
}

fn floor(tree: &Path, is_whole: bool) -> std::io::Result<f64> {
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
        if is_whole {
            names.clear();
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
        let threads = parts.map(|part| scope.spawn(move || one_thread(part, is_whole)));
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    if is_whole {
        rustix::fs::syncfs(std::fs::File::open(tree)?)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn one_thread(dirs: &[Names], reads_names: bool) -> std::io::Result<()> {
    unshare(CloneFlags::CLONE_FILES | CloneFlags::CLONE_FS)?;
    let mut list = [0u8; 1024];
    let mut buffer = vec![MaybeUninit::uninit(); 64 << 10];
    let mut read = Vec::new();
    for Names { dir, names } in dirs {
        let dir = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        rustix::process::fchdir(&dir)?;
        let names = match reads_names {
            true => {
                read.clear();
                let mut entries = RawDir::new(&dir, &mut buffer);
                while let Some(entry) = entries.next() {
                    let name = entry?.file_name().to_owned();
                    if ![c".", c".."].contains(&name.as_c_str()) {
                        read.push(name);
                    }
                }
                &read
            }
            false => names,
        };
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
