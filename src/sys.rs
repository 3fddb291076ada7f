//! System calls that no library wraps: the only file with `unsafe`.
#![allow(unsafe_code, reason = "there is no other way to make them")]

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// The same on every architecture (`syscalls.h` of Linux 6.13); not in libc yet.
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
