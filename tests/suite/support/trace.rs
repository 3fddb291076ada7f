//! Commands under `ptrace(2)`: each system call by which one changes the disk is seen before it
//! takes effect and after, counted over all its threads, and may be its last.
//!
//! The disk changes in system calls only: killed before and after each of them, a command leaves
//! every state that a kill can leave. (strace can kill too, but counts for each thread by itself:
//! the journal's thread writes less often than the main thread, and would never be hit.)

mod calls;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{Run, seccomp};

/// A system call that changes the disk.
#[derive(Clone, Debug)]
pub struct Call {
    pub thread: Pid,
    pub name: &'static str,
    pub args: [u64; 6],
}

impl Call {
    /// The file that its first argument, a descriptor, means.
    pub fn file(&self) -> Option<PathBuf> {
        fs::read_link(self.descriptor()).ok()
    }

    /// The inode number of that file.
    pub fn ino(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(self.descriptor()).ok().map(|file| file.ino())
    }

    /// Whether it starts a thread, no process (`clone(2)`).
    pub fn starts_a_thread(&self) -> bool {
        let flags = match self.name {
            "clone" => self.args[0],
            // The first member of a struct.
            "clone3" => self.word_at(self.args[0]),
            _ => 0,
        };
        flags & nix::libc::CLONE_THREAD as u64 != 0
    }

    /// Eight bytes of the command's memory.
    fn word_at(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.memory(address, &mut bytes);
        u64::from_ne_bytes(bytes)
    }

    fn memory(&self, address: u64, bytes: &mut [u8]) -> usize {
        use std::os::unix::fs::FileExt;
        let memory = File::open(format!("/proc/{}/mem", self.thread)).unwrap();
        memory.read_at(bytes, address).unwrap_or(0)
    }

    /// The text that one of its arguments points to.
    fn text(&self, argument: usize) -> PathBuf {
        let mut bytes = vec![0; 4096];
        // To the end of a page only: the next one may not be there.
        let address = self.args[argument];
        let room = 4096 - (address % 4096) as usize;
        let mut len = self.memory(address, &mut bytes[..room]);
        len = bytes[..len]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(len);
        bytes.truncate(len);
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }

    /// The inode that it reads or changes, by a path that is only for looking.
    pub fn inode(&self) -> Option<PathBuf> {
        match self.name {
            "fchownat" | "statx" | "openat" | "openat2" => {
                let dir = match self.args[0] as i32 {
                    nix::libc::AT_FDCWD => {
                        fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?
                    }
                    _ => self.file()?,
                };
                let name = self.text(1);
                Some(if name.as_os_str().is_empty() {
                    dir
                } else {
                    dir.join(name)
                })
            }
            // By a pin: /proc/thread-self/fd/N.
            "chmod" | "fchmodat" | "setxattr" | "removexattr" | "getxattr" | "listxattr" => {
                let path = self.text(usize::from(self.name == "fchmodat"));
                let number = path.strip_prefix("/proc/thread-self/fd").ok()?;
                fs::read_link(format!("/proc/{}/fd/{}", self.thread, number.display())).ok()
            }
            "llistxattr" => {
                let dir = fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?;
                Some(dir.join(self.text(0)))
            }
            _ => self.file(),
        }
    }

    fn descriptor(&self) -> String {
        // Each thread has a descriptor table of its own.
        format!("/proc/{}/fd/{}", self.thread, self.args[0] as i32)
    }
}

/// What a traced command comes to.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// It is about to make the call. Killed here, the call has no effect.
    Before(&'a Call),
    /// The call has taken effect, and gave this.
    After(&'a Call, i64),
    /// It is about to make a call that reads something of an inode, or opens it.
    Reading(&'a Call),
}

/// What is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    /// All of it is killed, with SIGKILL.
    Kill,
    /// The call has no effect and gives this error.
    Fail(Errno),
}

/// Runs a command; `each` hears of every event that changes the disk while the thread that it happens
/// in waits.
pub fn run(command: &Command, mut each: impl FnMut(Event<'_>) -> Then) -> Run {
    run_all(command, Heard::Changes, |event| match event {
        Event::Reading(_) => Then::GoOn,
        event => each(event),
    })
}

/// Runs a command in which each call that `fails` picks gives an error instead.
pub fn run_failing(command: &Command, mut fails: impl FnMut(&Call) -> Option<Errno>) -> Run {
    run_all(command, Heard::ChangesAndReads, |event| match event {
        Event::Before(call) | Event::Reading(call) => fails(call).map_or(Then::GoOn, Then::Fail),
        Event::After(..) => Then::GoOn,
    })
}

/// Which calls a tracer is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Changes,
    ChangesAndReads,
}

fn run_all(command: &Command, heard: Heard, each: impl FnMut(Event<'_>) -> Then) -> Run {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let status = Tracer::start(command, (&out, &err), heard, each).follow();
    Run {
        command: format!("{command:?}"),
        code: status.code(),
        signal: status.signal(),
        stdout: text(&mut out),
        stderr: String::from_utf8_lossy(&text(&mut err)).into_owned(),
    }
}

fn text(file: &mut File) -> Vec<u8> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

struct Tracer<F> {
    leader: Pid,
    each: F,
    /// Its threads, and those of what it started.
    alive: BTreeSet<Pid>,
    /// The call each thread is in.
    inside: HashMap<Pid, Call>,
    /// Threads in a call that is to fail.
    failing: HashMap<Pid, Errno>,
    killed: bool,
    /// Calls that nobody has said of whether they change the disk.
    unknown: BTreeSet<u64>,
}

impl<F: FnMut(Event<'_>) -> Then> Tracer<F> {
    /// Starts the command stopped, so that nothing of it is missed. It stops at the calls `heard` of, and at those that nobody
    /// knows; all others go on at full speed.
    fn start(command: &Command, (out, err): (&File, &File), heard: Heard, each: F) -> Self {
        let mut traced = Command::new(command.get_program());
        traced
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap());
        for (name, value) in command.get_envs() {
            traced.env(name, value.unwrap());
        }
        // SAFETY: between fork and exec it only makes a system call.
        unsafe { traced.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
        let passed = calls::passed(heard).map(|number| (number, nix::libc::SECCOMP_RET_ALLOW));
        seccomp::filter(&mut traced, passed, nix::libc::SECCOMP_RET_TRACE);
        let leader = Pid::from_raw(traced.spawn().unwrap().id() as i32);
        let stopped = waitpid(leader, None).unwrap();
        assert_eq!(
            stopped,
            WaitStatus::Stopped(leader, Signal::SIGTRAP),
            "at its execve(2)"
        );
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(leader, options).unwrap();
        ptrace::cont(leader, None).unwrap();
        Tracer {
            leader,
            each,
            alive: BTreeSet::from([leader]),
            inside: HashMap::new(),
            failing: HashMap::new(),
            killed: false,
            unknown: BTreeSet::new(),
        }
    }

    /// Follows it to its end.
    fn follow(mut self) -> ExitStatus {
        // Only what this test thread traces and started.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = loop {
            let status = waitpid(None, Some(flags)).expect("the command is there");
            self.alive.extend(status.pid());
            match status {
                WaitStatus::Exited(pid, code) => {
                    self.alive.remove(&pid);
                    if pid == self.leader {
                        break ExitStatus::from_raw(code << 8);
                    }
                }
                WaitStatus::Signaled(pid, signal, _) => {
                    self.alive.remove(&pid);
                    if pid == self.leader {
                        break ExitStatus::from_raw(signal as i32);
                    }
                }
                WaitStatus::PtraceEvent(pid, _, nix::libc::PTRACE_EVENT_SECCOMP) => {
                    self.before(pid);
                    self.let_go_on(pid, None);
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.after(pid);
                    self.let_go_on(pid, None);
                }
                // A new thread or process begins with a SIGSTOP.
                WaitStatus::PtraceEvent(pid, ..)
                | WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGCONT) => {
                    self.let_go_on(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => self.let_go_on(pid, Some(signal)),
                _ => {}
            }
        };
        self.end_the_rest();
        let unknown = self.unknown;
        assert!(unknown.is_empty(), "do these change the disk? {unknown:?}");
        status
    }

    /// What a killed command started goes too.
    fn end_the_rest(&mut self) {
        for pid in &self.alive {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        // A thread that was just made may be heard of only now, and the process is not over before it is.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::StillAlive) if self.alive.is_empty() => {
                    self.alive = tracees();
                    if self.alive.is_empty() {
                        break;
                    }
                    for pid in &self.alive {
                        let _ = kill(*pid, Signal::SIGKILL);
                    }
                }
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    self.alive.remove(&pid);
                }
                Ok(status) => {
                    if let Some(pid) = status.pid() {
                        let _ = ptrace::cont(pid, None);
                    }
                }
                Err(_) => break,
            }
        }
    }

    /// To the end of the call that it is in, or to the next call that is heard of.
    fn let_go_on(&self, pid: Pid, signal: Option<Signal>) {
        let is_inside = self.inside.contains_key(&pid) || self.failing.contains_key(&pid);
        let gone_on = match is_inside {
            true => ptrace::syscall(pid, signal),
            false => ptrace::cont(pid, signal),
        };
        match gone_on {
            // It was killed.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => panic!("ptrace: {errno}"),
        }
    }

    /// The thread is about to make a call.
    fn before(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else {
            return; // It was killed.
        };
        assert_eq!(info.op, nix::libc::PTRACE_SYSCALL_INFO_SECCOMP);
        // SAFETY: `op` says which member of the union the kernel has filled in.
        let entry = unsafe { info.u.seccomp };
        let call = |name| Call {
            thread: pid,
            name,
            args: entry.args,
        };
        let then = match calls::meaning(entry.nr) {
            calls::Meaning::Changes(name) if call(name).is_on_disk() => {
                let call = call(name);
                let then = (self.each)(Event::Before(&call));
                self.inside.insert(pid, call);
                then
            }
            calls::Meaning::Changes(name) if name.starts_with("open") => {
                (self.each)(Event::Reading(&call(name)))
            }
            calls::Meaning::Reads(name) => (self.each)(Event::Reading(&call(name))),
            calls::Meaning::Unknown => {
                self.unknown.insert(entry.nr);
                Then::GoOn
            }
            _ => Then::GoOn,
        };
        if let Then::Fail(errno) = then {
            // No such call: it does nothing.
            give(pid, |registers| registers.orig_rax = u64::MAX);
            self.failing.insert(pid, errno);
        }
        self.kill_if(then);
    }

    /// The thread has made a call.
    fn after(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else {
            return; // It was killed.
        };
        assert_eq!(info.op, nix::libc::PTRACE_SYSCALL_INFO_EXIT);
        // SAFETY: `op` says which member of the union the kernel has filled in.
        let mut result = unsafe { info.u.exit.sval };
        if let Some(errno) = self.failing.remove(&pid) {
            result = -i64::from(errno as i32);
            give(pid, |registers| registers.rax = result as u64);
        }
        if let Some(call) = self.inside.remove(&pid) {
            let then = (self.each)(Event::After(&call, result));
            self.kill_if(then);
        }
    }

    fn kill_if(&mut self, then: Then) {
        if then == Then::Kill && !self.killed {
            self.killed = true;
            kill(self.leader, Signal::SIGKILL).expect("the command is there");
        }
    }
}

/// Processes that this thread still traces: one that was made in the moment of the kill was perhaps never heard of, and stays
/// stopped.
fn tracees() -> BTreeSet<Pid> {
    let tracer = format!("TracerPid:\t{}\n", nix::unistd::gettid());
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_traced = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|status| status.contains(&tracer) && !status.contains("State:\tZ"))
    };
    pids.filter(is_traced).map(Pid::from_raw).collect()
}

/// How many events a command comes to, run to its end; it must work.
pub fn count(command: &Command) -> u64 {
    let mut events = 0;
    let run = run(command, |_| {
        events += 1;
        Then::GoOn
    });
    run.exits(0);
    events
}

/// Runs a command and kills it at its `n`-th event, from 0; false when it ended by itself before.
pub fn kill_at(command: &Command, n: u64) -> bool {
    let mut events = 0;
    let run = run(command, |_| {
        events += 1;
        match events > n {
            true => Then::Kill,
            false => Then::GoOn,
        }
    });
    run.signal == Some(9)
}

/// Changes a stopped thread's registers.
fn give(pid: Pid, change: impl FnOnce(&mut nix::libc::user_regs_struct)) {
    let Ok(mut registers) = ptrace::getregs(pid) else {
        return; // It was killed.
    };
    change(&mut registers);
    let _ = ptrace::setregs(pid, registers);
}
