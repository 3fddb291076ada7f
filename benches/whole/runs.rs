//! Running a program and taking its time.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::ForkResult;

use crate::floor;

/// One run of a program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Wall time.
    pub seconds: f64,
    /// Peak memory, KiB (`ru_maxrss`).
    pub memory_kib: i64,
}

impl Run {
    /// One after the other.
    pub fn and(self, next: Run) -> Run {
        Run {
            seconds: self.seconds + next.seconds,
            memory_kib: self.memory_kib.max(next.memory_kib),
        }
    }
}

/// Runs of one program, taken in turn with those of others.
#[derive(Default)]
pub struct Series(RefCell<Vec<Run>>);

impl Series {
    /// Adds a run.
    pub fn take(&self, run: Run) {
        self.0.borrow_mut().push(run);
    }

    fn sorted(&self) -> Vec<Run> {
        let mut runs = self.0.borrow().clone();
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        runs
    }

    /// The run in the middle.
    pub fn median(&self) -> Run {
        let runs = self.sorted();
        runs.get(runs.len() / 2).copied().unwrap_or_default()
    }

    /// Fastest and slowest, seconds.
    pub fn spread(&self) -> (f64, f64) {
        let runs = self.sorted();
        let seconds = |run: Option<&Run>| run.map_or(0.0, |run| run.seconds);
        (seconds(runs.first()), seconds(runs.last()))
    }
}

/// A tree that is there.
pub struct Tree {
    /// Its top.
    pub path: PathBuf,
    /// How many inodes.
    pub inodes: usize,
}

/// Where the trees are, and how programs are run on them.
pub struct Bench {
    place: PathBuf,
    journals: PathBuf,
}

impl Bench {
    /// In this directory, which is emptied.
    pub fn new(place: &Path) -> io::Result<Bench> {
        remove(place)?;
        fs::create_dir_all(place)?;
        Ok(Bench {
            place: place.to_path_buf(),
            journals: place.join("journals"),
        })
    }

    /// Makes a tree, in a process of its own: a program's peak memory starts from that of the process that starts it
    /// (`exec_mmap` in fs/exec.c), so this one is to stay small.
    pub fn tree(&self, name: &str, make: impl Fn(&Path) -> io::Result<usize>) -> io::Result<Tree> {
        eprintln!("making {name} ...");
        let path = self.place.join(name);
        let (mut made, mut told) = io::pipe()?;
        // SAFETY: this program has one thread, so that the child may do what it likes.
        match unsafe { nix::unistd::fork() }? {
            ForkResult::Child => {
                let inodes = make(&path).map_err(|error| eprintln!("{}: {error}", path.display()));
                let is_told = inodes.is_ok_and(|inodes| write!(told, "{inodes}").is_ok());
                std::process::exit(i32::from(!is_told));
            }
            ForkResult::Parent { child } => {
                drop(told);
                let mut inodes = String::new();
                made.read_to_string(&mut inodes)?;
                nix::sys::wait::waitpid(child, None)?;
                let inodes = inodes.parse().map_err(io::Error::other)?;
                Ok(Tree { path, inodes })
            }
        }
    }

    /// Removes a tree.
    pub fn remove(&self, tree: &Tree) -> io::Result<()> {
        remove(&tree.path)
    }

    /// Empty series.
    pub fn series<const N: usize>(&self) -> [Series; N] {
        std::array::from_fn(|_| Series::default())
    }

    /// Waits until nothing is left to be written by what ran before.
    pub fn settle(&self) -> io::Result<()> {
        nix::unistd::sync();
        if self.journals.exists() {
            fs::remove_dir_all(&self.journals)?;
        }
        Ok(())
    }

    /// Has the disk write out what is left, and keeps the journals.
    pub fn settle_disk(&self) {
        nix::unistd::sync();
    }

    /// Empties the kernel's caches.
    pub fn forget(&self) -> io::Result<()> {
        self.settle()?;
        fs::write("/proc/sys/vm/drop_caches", "3")
    }

    /// Runs a program on a tree.
    pub fn run(&self, program: &str, args: &[&str], tree: &Path) -> io::Result<Run> {
        time(Command::new(program).args(args).arg(tree))
    }

    /// `find -printf`
    pub fn find(&self, tree: &Path) -> io::Result<Run> {
        time(Command::new("find").arg(tree).args(["-printf", "%U %G\\n"]))
    }

    /// `fuidshift` into the range, from Debian's lxd-tools.
    pub fn fuidshift(&self, tree: &Path) -> io::Result<Run> {
        if Command::new("fuidshift")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            let packages = ["install", "-qy", "--no-install-recommends", "lxd-tools"];
            Command::new("apt-get")
                .args(packages)
                .stdout(Stdio::null())
                .status()?;
        }
        self.settle()?;
        let run = time(Command::new("fuidshift").arg(tree).arg("b:0:100000:65536"))?;
        // Back, for the next time: an ACL that is shifted twice makes it stop.
        let mut back = Command::new("fuidshift");
        time(back.arg(tree).args(["-r", "b:0:100000:65536"]))?;
        Ok(run)
    }

    /// The floor, by its own clock: it reads the names first.
    pub fn floor(&self, tree: &Path) -> io::Result<Run> {
        self.floor_by(floor::WORD, tree)
    }

    /// The floor of a tree that is not known and is to be on the disk.
    pub fn whole_floor(&self, tree: &Path) -> io::Result<Run> {
        self.floor_by(floor::WHOLE_WORD, tree)
    }

    fn floor_by(&self, word: &str, tree: &Path) -> io::Result<Run> {
        let output = Command::new(std::env::current_exe()?)
            .arg(word)
            .arg(tree)
            .output()?;
        let seconds = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .map_err(io::Error::other)?;
        Ok(Run {
            seconds,
            ..Run::default()
        })
    }

    /// `idshift shift --dry-run` that gives way to others, started and not waited for.
    pub fn polite_dry_run(&self, tree: &Path, rate: u32) -> io::Result<Child> {
        self.program()
            .args(["shift", "--dry-run", "--quiet", "--nice", "--rate"])
            .arg(rate.to_string())
            .args(["--map", "b:0:100000:65536"])
            .arg(tree)
            .stdout(Stdio::null())
            .spawn()
    }

    /// A directory for something else.
    pub fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.place.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idshift"));
        command.stderr(Stdio::inherit());
        command
    }

    /// `idshift COMMAND… TREE`
    pub fn idshift(&self, command: &[&str], tree: &Path) -> io::Result<Run> {
        time(
            self.program()
                .args(command)
                .args(["--quiet", "--map", "b:0:100000:65536", "--journal-dir"])
                .arg(&self.journals)
                .arg(tree),
        )
    }

    /// `idshift shift TREE`, killed after some seconds. False: it was over by then.
    pub fn shift_killed(&self, tree: &Path, after: f64) -> io::Result<bool> {
        let mut child = self
            .program()
            .args([
                "shift",
                "--quiet",
                "--map",
                "b:0:100000:65536",
                "--journal-dir",
            ])
            .arg(&self.journals)
            .arg(tree)
            .stdout(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_secs_f64(after));
        let is_running = child.try_wait()?.is_none();
        child.kill()?;
        child.wait()?;
        Ok(is_running)
    }

    /// `idshift journal list`
    pub fn journal_list(&self) -> io::Result<Run> {
        time(
            self.program()
                .args(["journal", "list", "--journal-dir"])
                .arg(&self.journals),
        )
    }

    /// `idshift umount TREE`
    pub fn unmount(&self, tree: &Path) -> io::Result<Run> {
        time(self.program().args(["umount", "--quiet"]).arg(tree))
    }

    /// `idshift docker COMMAND…` on a data-root.
    pub fn docker(&self, command: &[&str], data_root: &Path) -> io::Result<Run> {
        let mut program = self.program();
        program.arg("docker").args(command).arg("--data-root");
        program
            .arg(data_root)
            .args(["--daemon-json", "/nonexistent/daemon.json", "--quiet"])
            .arg("--journal-dir")
            .arg(&self.journals);
        time(&mut program)
    }

    /// `idshift COMMAND latest`
    pub fn idshift_on_journal(&self, command: &str) -> io::Result<Run> {
        let mut program = self.program();
        program
            .args([command, "latest", "--quiet", "--journal-dir"])
            .arg(&self.journals);
        time(&mut program)
    }

    /// `idshift shift --dry-run --manifest`
    pub fn dry_run(&self, tree: &Path) -> io::Result<Run> {
        let manifest = self.manifest();
        if manifest.exists() {
            fs::remove_file(&manifest)?;
        }
        let mut program = self.program();
        program
            .args([
                "shift",
                "--dry-run",
                "--quiet",
                "--map",
                "b:0:100000:65536",
                "--manifest",
            ])
            .arg(manifest)
            .arg(tree);
        time(&mut program)
    }

    /// The manifest of the last dry run.
    pub fn manifest(&self) -> PathBuf {
        self.place.join("manifest.jsonl")
    }

    fn page(&self) -> PathBuf {
        self.place.join("page.html")
    }

    /// `idshift report` of a manifest or a journal.
    pub fn report(&self, source: &Path) -> io::Result<Run> {
        let mut program = self.program();
        program.arg("report").arg(source);
        program.arg("--output").arg(self.page());
        time(program.arg("--journal-dir").arg(&self.journals))
    }

    /// Bytes of the last page.
    pub fn page_bytes(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.page())?.len())
    }

    /// Bytes of the last journal.
    pub fn journal_bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.journals)? {
            bytes = bytes.max(entry?.metadata()?.len());
        }
        Ok(bytes)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = remove(&self.place);
    }
}

/// Removes what there is at a path. The standard library opens a directory for each level, all at once.
fn remove(path: &Path) -> io::Result<()> {
    time(Command::new("rm").arg("-rf").arg(path)).map(|_| ())
}

/// Runs a command to its end; it must succeed.
fn time(command: &mut Command) -> io::Result<Run> {
    command.stdout(Stdio::null());
    let start = Instant::now();
    let child = command.spawn()?;
    let pid = rustix::process::Pid::from_raw(child.id() as i32);
    let (status, memory_kib) = wait(pid)?;
    let seconds = start.elapsed().as_secs_f64();
    match status {
        0 => Ok(Run {
            seconds,
            memory_kib,
        }),
        status => Err(io::Error::other(format!("{command:?} ended with {status}"))),
    }
}

/// Waits for a child; its status and its peak memory.
fn wait(pid: Option<rustix::process::Pid>) -> io::Result<(i32, i64)> {
    let pid = pid.ok_or(io::ErrorKind::NotFound)?.as_raw_nonzero().get();
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of that plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, writable values of the types wait4(2) takes.
    match unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok((status, usage.ru_maxrss)),
    }
}
