//! System calls that no library wraps.
#![allow(unsafe_code, reason = "there is no other way to make them")]

use std::io;
use std::os::fd::RawFd;

/// Closes the descriptors `first` to `last` (`close_range(2)`, Linux 5.9), all of which the caller owns and
/// gives up. False: none of them is closed.
pub(super) fn close_range(first: RawFd, last: RawFd) -> bool {
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
pub(super) fn set_io_idle() -> io::Result<()> {
    // SAFETY: the call touches no memory.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
