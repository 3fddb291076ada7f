//! System calls that no library wraps: the only file with `unsafe`.
#![allow(unsafe_code, reason = "there is no other way to make them")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use rustix::ioctl::{Getter, Opcode, Setter};
use rustix::mount::MountAttrFlags;

/// Closes the descriptors `first` to `last` (`close_range(2)`, Linux 5.9), all of which the caller owns and
/// gives up. False: none of them is closed.
pub(crate) fn close_range(first: RawFd, last: RawFd) -> bool {
    let (Ok(first), Ok(last)) = (u32::try_from(first), u32::try_from(last)) else {
        return false;
    };
    // SAFETY: the call touches no memory. Every descriptor of the range is owned by the caller, who
    // gives up that ownership when it succeeds and keeps it when it fails (ENOSYS).
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// `IOPRIO_WHO_PROCESS` and `IOPRIO_CLASS_IDLE` (linux/ioprio.h); the class is in the upper bits.
const WHO_PROCESS: i32 = 1;
const IDLE: i32 = 3 << 13;

/// Puts the calling thread, and those it starts from now on, into the idle class of disk access
/// (`ioprio_set(2)`).
pub(crate) fn set_io_idle() -> io::Result<()> {
    // SAFETY: the call touches no memory.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a lease that ends with the file's last handle (`F_SETLEASE`, `F_RDLCK`). Whoever is kept waiting by it makes the
/// kernel send a signal: `SIGURG`, which does nothing, in the place of `SIGIO`, which would end the process.
pub(crate) fn take_read_lease(file: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let fcntl = |command: i32, argument: i32| {
        // SAFETY: both commands take a number; the descriptor is open as long as it is borrowed.
        match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
            -1 => {
                let error = io::Error::last_os_error();
                Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
            }
            _ => Ok(()),
        }
    };
    fcntl(F_SETSIG, libc::SIGURG)?;
    fcntl(libc::F_SETLEASE, libc::F_RDLCK)
}

/// `F_SETSIG` (asm-generic/fcntl.h).
const F_SETSIG: i32 = 10;

/// `statmount(2)` (Linux 6.8); the same on every architecture.
const SYS_STATMOUNT: libc::c_long = 457;
/// `STATMOUNT_SB_BASIC`, `STATMOUNT_MNT_BASIC` and `MOUNT_ATTR_IDMAP` (linux/mount.h).
const STATMOUNT_SB_BASIC: u64 = 1;
const STATMOUNT_MNT_BASIC: u64 = 2;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `struct mnt_id_req` as it first was (`MNT_ID_REQ_SIZE_VER0`).
#[repr(C)]
struct MountRequest {
    size: u32,
    spare: u32,
    mount: u64,
    wanted: u64,
}

/// The beginning of `struct statmount`, and room for the rest of it.
#[repr(C)]
struct MountStat {
    size: u32,
    options: u32,
    found: u64,
    device: [u32; 2],
    magic: u64,
    flags: u32,
    fs_type: u32,
    ids: [u64; 2],
    old_ids: [u32; 2],
    attributes: u64,
    rest: [u64; 64],
}

/// Whether the mount with this unique number (`STATX_MNT_ID_UNIQUE`) is idmapped, and the device of its filesystem as
/// `MAJOR:MINOR`. `None`: the kernel does not tell.
pub(crate) fn mount_attributes(mount: u64) -> Option<(bool, String)> {
    let wanted = STATMOUNT_SB_BASIC | STATMOUNT_MNT_BASIC;
    let request = MountRequest {
        size: size_of::<MountRequest>() as u32,
        spare: 0,
        mount,
        wanted,
    };
    let mut found = std::mem::MaybeUninit::<MountStat>::zeroed();
    let size = size_of::<MountStat>();
    // SAFETY: both structures live until the call returns, and the kernel is told their sizes.
    let answer = unsafe {
        libc::syscall(
            SYS_STATMOUNT,
            &raw const request,
            found.as_mut_ptr(),
            size,
            0,
        )
    };
    // SAFETY: it was zeroed, and every bit pattern is a value of it.
    let found = unsafe { found.assume_init() };
    let is_told = answer == 0 && found.found & wanted == wanted;
    let [major, minor] = found.device;
    is_told.then(|| {
        let idmapped = found.attributes & MOUNT_ATTR_IDMAP != 0;
        (idmapped, format!("{major}:{minor}"))
    })
}

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes of the mount that a handle is the top of (`mount_setattr(2)`, Linux 5.12): that it is private, that
/// it is seen through the map of a user namespace, and those of `more`.
pub(crate) fn set_idmapped(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    more: MountAttrFlags,
) -> io::Result<()> {
    let attributes = MountAttr {
        set: MOUNT_ATTR_IDMAP | u64::from(more.bits()),
        clear: 0,
        propagation: libc::MS_PRIVATE,
        user_namespace: u64::from(user_namespace.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the structure lives until the call returns, and the kernel is told its size; the path is empty.
    let answer = unsafe {
        let (path, size) = (c"".as_ptr(), size_of::<MountAttr>());
        let (mount, attributes) = (mount.as_raw_fd(), &raw const attributes);
        let flags = libc::AT_EMPTY_PATH;
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            path,
            flags,
            attributes,
            size,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts a child in a user namespace of its own (`clone(2)`, `CLONE_NEWUSER`), which does nothing until it is killed. It
/// ends with the thread that started it, which has to wait for it. No signal but `SIGKILL` reaches it.
pub(crate) fn child_in_user_namespace() -> nix::Result<Pid> {
    /// What the child does takes a few hundred bytes.
    const STACK: usize = 64 << 10;
    let mut stack = vec![0_u8; STACK];
    let parent = nix::unistd::getpid();
    let before = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    let child = Box::new(move || {
        // SAFETY: the three calls touch no memory.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            while libc::getppid() == parent.as_raw() {
                libc::pause();
            }
        }
        0
    });
    // SAFETY: without CLONE_VM the child has a copy of all memory, the stack included, so that its only thread, which is
    // the copy of this one, changes nothing of ours. It makes three system calls, allocates nothing and takes no lock.
    let started = unsafe {
        nix::sched::clone(
            child,
            &mut stack,
            // One descriptor table: a copy of it would be a use of every mount that something is open on.
            CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_FILES,
            Some(libc::SIGCHLD),
        )
    };
    // A mask that was there is one that can be set.
    let _ = before.thread_set_mask();
    started
}

/// Has a command end with the thread that starts it, also if that is killed (`PR_SET_PDEATHSIG`). That thread has to wait
/// for it.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let ask = move || {
        // SAFETY: the calls touch no memory.
        unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            match libc::getppid() == parent.as_raw() {
                true => Ok(()),
                // It was killed before it was asked for.
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        }
    };
    // SAFETY: between fork and exec it makes two system calls, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(ask);
    }
}

/// `struct fsxattr` (linux/fs.h).
#[repr(C)]
struct FsXattr {
    flags: u32,
    sizes: [u32; 2],
    project: u32,
    rest: [u32; 3],
}

fn fs_xattr(file: BorrowedFd<'_>) -> rustix::io::Result<FsXattr> {
    const FS_IOC_FSGETXATTR: Opcode = rustix::ioctl::opcode::read::<FsXattr>(b'X', 31);
    // SAFETY: the call fills a structure of this size, of which every bit pattern is a value.
    unsafe { rustix::ioctl::ioctl(file, Getter::<FS_IOC_FSGETXATTR, FsXattr>::new()) }
}

/// The project id of an inode, and whether what comes into the directory gets it (`FS_XFLAG_PROJINHERIT`).
pub(crate) fn project_id(file: BorrowedFd<'_>) -> io::Result<(u32, bool)> {
    const FS_XFLAG_PROJINHERIT: u32 = 0x200;
    let found = fs_xattr(file)?;
    Ok((found.project, found.flags & FS_XFLAG_PROJINHERIT != 0))
}

/// Makes an inode immutable or append-only, or no more so, and leaves its other flags alone.
pub(crate) fn set_protecting_flags(
    file: BorrowedFd<'_>,
    immutable: bool,
    append_only: bool,
) -> rustix::io::Result<()> {
    const FS_XFLAG_IMMUTABLE: u32 = 0x8;
    const FS_XFLAG_APPEND: u32 = 0x10;
    const FS_IOC_FSSETXATTR: Opcode = rustix::ioctl::opcode::write::<FsXattr>(b'X', 32);
    let mut wanted = fs_xattr(file)?;
    for (flag, is_set) in [
        (FS_XFLAG_IMMUTABLE, immutable),
        (FS_XFLAG_APPEND, append_only),
    ] {
        match is_set {
            true => wanted.flags |= flag,
            false => wanted.flags &= !flag,
        }
    }
    // SAFETY: the call reads a structure of this size.
    unsafe { rustix::ioctl::ioctl(file, Setter::<FS_IOC_FSSETXATTR, FsXattr>::new(wanted)) }
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Run by the loader before `main`, as the runtime of Rust opens `/dev/null` in the place of a closed stdout: what
/// is written there would be lost with every sign of success.
// SAFETY: functions of this section take what a C constructor does, and this one uses nothing of the runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: the call touches no memory.
        let is_closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
        STDOUT_WAS_CLOSED.store(is_closed, Ordering::Relaxed);
    }
    look
};

/// Whether the program was started without a stdout.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// `mount_setattr(2)`, which came with idmapped mounts (Linux 5.12).
pub(crate) fn has_idmapped_mounts() -> bool {
    // SAFETY: no descriptor, no path and no attributes: the kernel reads no memory of ours and
    // answers EINVAL for a structure of no size.
    let answer = unsafe {
        let (path, attributes) = (c"".as_ptr(), ptr::null::<libc::c_void>());
        libc::syscall(libc::SYS_mount_setattr, -1, path, 0, attributes, 0_usize)
    };
    is_syscall_known(answer)
}

/// `listxattrat(2)` (Linux 6.13), as kin of the other `*xattrat` calls.
pub(crate) fn has_xattrat() -> bool {
    /// One number on every architecture (`syscalls.h` of Linux 6.13); not in libc yet.
    const SYS_LISTXATTRAT: libc::c_long = 465;
    // SAFETY: the path is a string with its end, and no list is asked for: of no size, at no place.
    let answer = unsafe {
        let (path, list) = (c"/".as_ptr(), ptr::null_mut::<libc::c_char>());
        libc::syscall(SYS_LISTXATTRAT, libc::AT_FDCWD, path, 0, list, 0_usize)
    };
    is_syscall_known(answer)
}

fn is_syscall_known(answer: libc::c_long) -> bool {
    answer >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}
