//! Threads that share a piece of work.

use std::thread::{Builder, scope};

use super::process;

/// Does `work` on `jobs` threads, each with a descriptor table and a working directory of its own, and gives back
/// what each of them leaves. The work has to get done however many of them there are: where the kernel gives fewer
/// (`pids.max` of a cgroup, `EAGAIN` in `pthread_create(3)`) those do it, and the calling thread where it gives none.
///
/// # Panics
/// When the work panics.
pub fn on_threads<T: Send>(jobs: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let on_its_own = || {
        process::separate_thread(jobs);
        work()
    };
    scope(|scope| {
        let start = |_| Builder::new().spawn_scoped(scope, on_its_own).ok();
        let threads: Vec<_> = (0..jobs).map_while(start).collect();
        if threads.is_empty() {
            return vec![work()];
        }
        let left = threads.into_iter().map(|thread| match thread.join() {
            Ok(left) => left,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        left.collect()
    })
}
