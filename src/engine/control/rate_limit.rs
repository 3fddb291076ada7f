//! The rate that all threads of a run keep to together.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A number of inodes per second.
#[derive(Debug)]
pub struct RateLimit {
    per_second: NonZeroU32,
    /// When the next inodes are due.
    next: Mutex<Instant>,
}

/// This many groups of inodes a second, so that the work is spread evenly.
const GROUPS_PER_SECOND: u32 = 100;

impl RateLimit {
    /// Not more than so many inodes per second.
    pub fn new(per_second: NonZeroU32) -> RateLimit {
        RateLimit {
            per_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// How many inodes may be taken together.
    pub fn group_size(&self) -> usize {
        (self.per_second.get() / GROUPS_PER_SECOND).max(1) as usize
    }

    /// When so many more inodes are due. Time that passed unused does not come back as a burst.
    pub fn reserve(&self, inodes: usize) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (*next).max(Instant::now());
        *next = due + Duration::from_secs_f64(inodes as f64 / f64::from(self.per_second.get()));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_keep_to_the_rate() {
        let rate = RateLimit::new(NonZeroU32::new(1000).unwrap());
        let start = Instant::now();
        for turn in 0..100u32 {
            let due = rate.reserve(10);
            assert!(due >= start + Duration::from_millis(10) * turn);
        }
    }

    #[test]
    fn time_that_was_not_used_is_no_credit() {
        let long_ago = Instant::now() - Duration::from_secs(1);
        let rate = RateLimit {
            next: Mutex::new(long_ago),
            ..RateLimit::new(NonZeroU32::new(10).unwrap())
        };
        rate.reserve(1);
        assert!(rate.reserve(1) >= Instant::now() + Duration::from_millis(90));
    }
}
