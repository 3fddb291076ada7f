//! Which system calls change the disk.

use nix::libc::*;

use super::{Call, Heard};

/// What a system call means for the disk.
pub enum Meaning {
    Changes(&'static str),
    /// It reads something of an inode, or is to do with threads: a test may want it to fail.
    Reads(&'static str),
    Harmless,
    /// Nobody has said.
    Unknown,
}

pub fn meaning(number: u64) -> Meaning {
    let number = number as c_long;
    if let Some((_, name)) = CHANGES.iter().find(|(known, _)| *known == number) {
        return Meaning::Changes(name);
    }
    if let Some((_, name)) = READS.iter().find(|(known, _)| *known == number) {
        return Meaning::Reads(name);
    }
    match HARMLESS.contains(&number) {
        true => Meaning::Harmless,
        false => Meaning::Unknown,
    }
}

/// Numbers of the calls that a tracer is not told of.
pub(super) fn passed(heard: Heard) -> impl Iterator<Item = c_long> {
    let reads = READS.iter().map(|(number, _)| *number);
    let harmless = HARMLESS.iter().copied();
    harmless.chain(reads.filter(move |_| heard == Heard::Changes))
}

impl Call {
    /// Whether this very call can change something on a disk: not one that only opens, or that
    /// writes to a terminal or a pipe.
    pub(super) fn is_on_disk(&self) -> bool {
        let creates =
            |flags: u64| flags as c_int & (O_CREAT | O_TRUNC | O_TMPFILE & !O_DIRECTORY) != 0;
        match self.name {
            "open" => creates(self.args[1]),
            "openat" => creates(self.args[2]),
            // Its flags are the first member of a struct (`open_how(2type)`).
            "openat2" => creates(self.word_at(self.args[2])),
            "ioctl" => [FS_IOC_SETFLAGS, FICLONE].contains(&(self.args[1] as c_ulong)),
            "write" | "writev" => {
                let file = self.file().unwrap_or_default();
                let elsewhere = ["/dev", "/proc", "/sys"];
                // The command's own output is in files without a name.
                let is_output = self.args[0] <= 2;
                file.is_absolute() && !is_output && !elsewhere.iter().any(|at| file.starts_with(at))
            }
            _ => true,
        }
    }
}

/// `chattr(1)`; Linux gives the number as if the argument were a long.
const FS_IOC_SETFLAGS: c_ulong = 0x4008_6602;
const FICLONE: c_ulong = 0x4004_9409;

/// `SYS_` numbers and their names.
macro_rules! calls {
    ($($number:ident $name:literal,)*) => { &[$(($number, $name)),*] };
}

const CHANGES: &[(c_long, &str)] = calls! {
    SYS_chmod "chmod", SYS_chown "chown", SYS_copy_file_range "copy_file_range", SYS_creat "creat",
    SYS_fallocate "fallocate", SYS_fchmod "fchmod", SYS_fchmodat "fchmodat", SYS_fchmodat2 "fchmodat2",
    SYS_fchown "fchown", SYS_fchownat "fchownat", SYS_fdatasync "fdatasync",
    SYS_fremovexattr "fremovexattr", SYS_fsetxattr "fsetxattr", SYS_fsync "fsync",
    SYS_ftruncate "ftruncate", SYS_ioctl "ioctl", SYS_lchown "lchown", SYS_link "link",
    SYS_linkat "linkat", SYS_lremovexattr "lremovexattr", SYS_lsetxattr "lsetxattr",
    SYS_move_mount "move_mount", SYS_umount2 "umount2",
    SYS_mkdir "mkdir", SYS_mkdirat "mkdirat", SYS_mknod "mknod", SYS_mknodat "mknodat",
    SYS_open "open", SYS_openat "openat", SYS_openat2 "openat2", SYS_pwrite64 "pwrite64", SYS_pwritev "pwritev",
    SYS_removexattr "removexattr", SYS_rename "rename", SYS_renameat "renameat",
    SYS_renameat2 "renameat2", SYS_rmdir "rmdir", SYS_sendfile "sendfile", SYS_setxattr "setxattr",
    SYS_symlink "symlink", SYS_symlinkat "symlinkat", SYS_sync "sync",
    SYS_sync_file_range "sync_file_range", SYS_syncfs "syncfs", SYS_truncate "truncate",
    SYS_unlink "unlink", SYS_unlinkat "unlinkat", SYS_utimensat "utimensat", SYS_write "write",
    SYS_writev "writev",
};

const READS: &[(c_long, &str)] = calls! {
    SYS_fgetxattr "fgetxattr", SYS_flistxattr "flistxattr", SYS_getdents64 "getdents64",
    SYS_getxattr "getxattr", SYS_lgetxattr "lgetxattr", SYS_listxattr "listxattr",
    SYS_llistxattr "llistxattr", SYS_statx "statx", SYS_clone "clone", SYS_clone3 "clone3",
    SYS_pread64 "pread64",
};

const HARMLESS: &[c_long] = &[
    SYS_access,
    SYS_chroot,
    SYS_readahead,
    SYS_preadv2,
    SYS_preadv,
    SYS_accept,
    SYS_landlock_create_ruleset,
    SYS_setrlimit,
    SYS_mlock2,
    SYS_futex_waitv,
    SYS_pause,
    SYS_alarm,
    SYS_setitimer,
    SYS_getitimer,
    SYS_rt_sigpending,
    SYS_pidfd_send_signal,
    SYS_tkill,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    SYS_signalfd4,
    SYS_getcpu,
    SYS_clock_getres,
    SYS_personality,
    SYS_setns,
    SYS_setfsgid,
    SYS_setfsuid,
    SYS_setregid,
    SYS_setreuid,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_epoll_create,
    SYS_pselect6,
    SYS_select,
    SYS_time,
    SYS_gettimeofday,
    SYS_getpriority,
    SYS_munlock,
    SYS_mlock,
    SYS_sched_getscheduler,
    SYS_sched_getparam,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_mincore,
    SYS_times,
    SYS_getrusage,
    SYS_getsid,
    SYS_getpgid,
    SYS_setsid,
    SYS_setpgid,
    SYS_setgid,
    SYS_setuid,
    SYS_ptrace,
    SYS_accept4,
    SYS_listen,
    SYS_getgroups,
    SYS_getresgid,
    SYS_getresuid,
    SYS_getsockname,
    SYS_getpeername,
    SYS_capset,
    SYS_seccomp,
    SYS_epoll_pwait,
    SYS_capget,
    SYS_setresgid,
    SYS_setresuid,
    SYS_setgroups,
    SYS_arch_prctl,
    SYS_bind,
    SYS_brk,
    SYS_chdir,
    SYS_setpgid,
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_close_range,
    SYS_connect,
    SYS_dup,
    SYS_dup2,
    SYS_dup3,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_wait,
    SYS_eventfd2,
    SYS_execve,
    SYS_exit,
    SYS_exit_group,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fadvise64,
    SYS_fchdir,
    SYS_fcntl,
    SYS_flock,
    SYS_fork,
    SYS_fstat,
    SYS_fstatfs,
    SYS_futex,
    SYS_getcwd,
    SYS_getegid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getpgrp,
    SYS_getpid,
    SYS_getppid,
    SYS_getrandom,
    SYS_getrlimit,
    SYS_gettid,
    SYS_getuid,
    SYS_kill,
    // Mounts that are nowhere yet, or a thread's own.
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_mount,
    SYS_mount_setattr,
    SYS_open_tree,
    SYS_lseek,
    SYS_lstat,
    SYS_madvise,
    SYS_membarrier,
    SYS_mmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_newfstatat,
    SYS_pidfd_open,
    SYS_pipe,
    SYS_pipe2,
    SYS_poll,
    SYS_ppoll,
    SYS_prctl,
    SYS_prlimit64,
    SYS_read,
    SYS_readlink,
    SYS_readlinkat,
    SYS_readv,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_yield,
    SYS_sendmsg,
    SYS_sendto,
    SYS_set_robust_list,
    SYS_set_tid_address,
    SYS_setsockopt,
    SYS_sigaltstack,
    SYS_socket,
    SYS_socketpair,
    SYS_stat,
    SYS_statfs,
    SYS_sysinfo,
    SYS_tgkill,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_umask,
    SYS_uname,
    SYS_unshare,
    SYS_vfork,
    SYS_wait4,
    SYS_waitid,
];
