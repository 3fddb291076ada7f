//! Filters of system calls (`seccomp(2)`), which the kernel asks at each call of a command.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What becomes of each system call, by its number: an action (`SECCOMP_RET_…`) of its own, or `otherwise`.
///
/// The command gets the filter as the last thing before it is executed, and so does all that it starts.
pub fn filter(
    command: &mut Command,
    actions: impl IntoIterator<Item = (libc::c_long, u32)>,
    otherwise: u32,
) -> &mut Command {
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The call's number is the first word of what a filter sees.
    let mut program = vec![instruction(LOAD, 0, 0, 0)];
    for (number, action) in actions {
        program.push(instruction(JUMP_IF, 0, 1, number as u32));
        program.push(instruction(RETURN, 0, 0, action));
    }
    program.push(instruction(RETURN, 0, 0, otherwise));
    let install = move || {
        let program = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: the program and its instructions live until the call is over.
        let installed =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
        Errno::result(installed).map(drop).map_err(Into::into)
    };
    // SAFETY: between fork and exec it only makes a system call.
    unsafe { command.pre_exec(install) }
}
