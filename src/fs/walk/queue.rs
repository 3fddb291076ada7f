//! What the threads of a walk share: work that one of them gave away, and who waits for some.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::fs::dir::{DirPath, Names};

/// Work that any thread can take up.
pub enum Shareable {
    Root(usize),
    Dir(Arc<DirPath>),
    /// A piece of a directory too wide for one thread.
    Names(Arc<DirPath>, Names),
}

struct Queue {
    work: VecDeque<Shareable>,
    /// Threads that have begun: work that is not queued is with one of them.
    begun: usize,
    waiting: usize,
}

pub struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Idle threads for which nothing has been queued yet.
    hungry: AtomicUsize,
    over: AtomicBool,
}

impl Shared {
    /// All roots wait.
    pub fn new(roots: usize) -> Shared {
        Shared {
            queue: Mutex::new(Queue {
                work: (0..roots).map(Shareable::Root).collect(),
                begun: 0,
                waiting: 0,
            }),
            wake: Condvar::new(),
            hungry: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// A thread has begun.
    pub fn begin(&self) {
        self.lock().begun += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives some work to another thread.
    pub fn give(&self, work: Shareable) {
        let mut queue = self.lock();
        queue.work.push_back(work);
        self.count_hungry(&queue);
        self.wake.notify_one();
    }

    /// Waits for work; `None` when no thread has any left or the walk is over.
    pub fn take(&self) -> Option<Shareable> {
        let mut queue = self.lock();
        queue.waiting += 1;
        loop {
            if self.is_over() {
                return None;
            }
            if let Some(work) = queue.work.pop_front() {
                queue.waiting -= 1;
                self.count_hungry(&queue);
                return Some(work);
            }
            if queue.waiting == queue.begun {
                drop(queue);
                self.end();
                return None;
            }
            self.count_hungry(&queue);
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count_hungry(&self, queue: &Queue) {
        let hungry = queue.waiting.saturating_sub(queue.work.len());
        self.hungry.store(hungry, Ordering::Relaxed);
    }

    /// Whether a thread is idle and nothing has been queued for it yet.
    pub fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed) > 0
    }

    /// Whether the walk has ended, early or not.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Ends the walk on all threads.
    pub fn end(&self) {
        // Under the lock, so that no thread checks `over`, is overtaken here and then sleeps.
        let _queue = self.lock();
        self.over.store(true, Ordering::Relaxed);
        self.wake.notify_all();
    }
}

/// Ends the walk for the others when its thread panics, so that none waits for it for ever.
pub struct EndOnPanic<'a>(pub &'a Shared);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}
