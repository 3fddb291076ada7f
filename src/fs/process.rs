//! What a process and a walking thread need of the kernel.

use std::cell::Cell;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::thread::CapabilitySet;
use thiserror::Error;

use crate::sys;

thread_local! {
    static OWN_WORKING_DIRECTORY: Cell<bool> = const { Cell::new(false) };
    /// Threads that work with the calling thread's descriptor table.
    static SHARERS: Cell<usize> = const { Cell::new(1) };
}

/// Gives the calling thread a descriptor table and a working directory of its own (`unshare(2)`,
/// `CLONE_FILES` and `CLONE_FS`): opening and closing then shares no lock with other threads.
/// Descriptors open before keep their numbers.
///
/// Where the kernel refuses (Docker's seccomp profile does), the thread goes on sharing: slower, and each of the
/// `jobs` threads that do so has its part of the descriptors.
pub fn separate_thread(jobs: usize) {
    let shares = unshare(CloneFlags::CLONE_FILES).is_err();
    SHARERS.set(if shares { jobs } else { 1 });
    OWN_WORKING_DIRECTORY.set(unshare(CloneFlags::CLONE_FS).is_ok());
}

/// Whether the calling thread may change its working directory without others noticing.
pub fn has_own_working_directory() -> bool {
    OWN_WORKING_DIRECTORY.get()
}

/// Gives priority to every other process that wants the CPU (`setpriority(2)`, 19) or the disk
/// (`ioprio_set(2)`, the idle class). Threads made from now on do too; where the kernel refuses,
/// they do not.
pub fn give_way() {
    let _ = rustix::process::setpriority_process(None, 19);
    let _ = sys::set_io_idle();
}

/// Whether the program was started without a stdout.
pub fn stdout_was_closed() -> bool {
    sys::stdout_was_closed()
}

/// With fewer descriptors than this a run could stop midway, and could not even undo itself.
const FEWEST_DESCRIPTORS: u64 = 64;

/// This process may not have as many files open as a run needs.
#[derive(Debug, Error)]
#[error(
    "this process may have {limit} files open at a time, and idshift needs {FEWEST_DESCRIPTORS}. Raise the limit, with \
     `ulimit -n 1024` or LimitNOFILE= of its unit, and run it again; nothing was changed"
)]
pub struct TooFewDescriptors {
    /// The hard limit.
    pub limit: u64,
}

/// Raises the soft limit of open descriptors to the hard one; keeps the old where that is refused.
///
/// # Errors
/// There are too few for any run.
pub fn raise_descriptor_limit() -> Result<(), TooFewDescriptors> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    match limit < FEWEST_DESCRIPTORS {
        true => Err(TooFewDescriptors { limit }),
        false => Ok(()),
    }
}

/// How many descriptors the calling thread may use. The limit counts for each table by itself.
fn descriptors() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let all = usize::try_from(soft).unwrap_or(usize::MAX).min(1 << 20);
    all.saturating_sub(RESERVED) / SHARERS.get()
}

/// How many threads there are descriptors for. The limit is of a table, and counts for all threads where they have to
/// share theirs.
pub fn most_threads() -> usize {
    let has_own = || unshare(CloneFlags::CLONE_FILES).is_ok();
    let tried = std::thread::Builder::new().spawn(has_own);
    match tried.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => usize::MAX,
        _ => ((descriptors() * SHARERS.get()) / (2 * FEWEST_EACH)).max(1),
    }
}

/// Of each kind, however few there are.
const FEWEST_EACH: usize = 4;

/// Kept free for what is open already and for the record.
const RESERVED: usize = 32;

/// How many directories a thread may keep open: a quarter of its descriptors.
pub fn descriptors_for_directories() -> usize {
    (descriptors() / 4).max(FEWEST_EACH)
}

/// How many pins a thread may hold: half of its descriptors.
pub fn descriptors_for_pins() -> usize {
    (descriptors() / 2).max(FEWEST_EACH)
}

/// The capabilities that are needed to change any inode and to undo that (`capabilities(7)`).
/// Without `CAP_FSETID`, `chmod` drops a set-group-ID bit and says that all went well; without
/// `CAP_SETFCAP`, a capability that a chown took cannot be given back.
const NEEDED: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::FSETID, "CAP_FSETID"),
    (CapabilitySet::SETFCAP, "CAP_SETFCAP"),
];

/// What this process lacks to change any owner and to write journals that are root's: `uid 0`, capabilities.
pub fn lacks_to_change_owners() -> Vec<&'static str> {
    let mut missing = missing_capabilities();
    if !nix::unistd::geteuid().is_root() {
        // Its journals would be another's.
        missing.insert(0, "uid 0");
    }
    missing
}

/// The capabilities that this process lacks to change owners. All, where the kernel does not tell.
pub fn missing_capabilities() -> Vec<&'static str> {
    let sets = rustix::thread::capabilities(None);
    let has = sets.map_or(CapabilitySet::empty(), |sets| sets.effective);
    let lacks =
        |(one, name): &(CapabilitySet, &'static str)| (!has.contains(*one)).then_some(*name);
    NEEDED.iter().filter_map(lacks).collect()
}
