//! Threads that share a piece of work: a pool of rayon's for each.

use std::iter::successors;

use rayon::ThreadPoolBuilder;

use super::process;

/// Does `work` on `jobs` threads, each with a descriptor table and a working directory of its own, and returns
/// what each of them returns. The pool lives as long as the work: a thread that outlived it would keep descriptors,
/// and the locks that hang on them.
///
/// The work has to get done however many threads there are: where the kernel gives fewer (`pids.max` of a cgroup,
/// `EAGAIN` in `pthread_create(3)`), half as many are tried, and the calling thread does it where it gives none.
///
/// # Panics
/// When the work panics.
pub fn on_threads<T: Send>(jobs: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let fewer = successors(Some(jobs), |jobs| Some(jobs / 2)).take_while(|jobs| *jobs > 0);
    for jobs in fewer {
        let done = ThreadPoolBuilder::new().num_threads(jobs).build_scoped(
            |thread| {
                process::separate_thread(jobs);
                thread.run();
            },
            |pool| pool.broadcast(|_| work()),
        );
        if let Ok(results) = done {
            return results;
        }
    }
    vec![work()]
}
