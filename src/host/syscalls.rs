//! Whether the kernel has a system call: asked by calling it so that it does nothing.
//!
//! No library wraps these two; this is the only place with `unsafe`.

use std::io;
use std::ptr;

/// `mount_setattr(2)`, which came with idmapped mounts (Linux 5.12).
pub fn has_idmapped_mounts() -> bool {
    // SAFETY: no descriptor, no path and no attributes: the kernel reads no memory of ours and
    // answers EINVAL for a structure of no size.
    let answer = unsafe {
        let (path, attributes) = (c"".as_ptr(), ptr::null::<libc::c_void>());
        libc::syscall(libc::SYS_mount_setattr, -1, path, 0, attributes, 0_usize)
    };
    is_syscall_known(answer)
}

/// `listxattrat(2)` (Linux 6.13), as kin of the other `*xattrat` calls.
pub fn has_xattrat() -> bool {
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
