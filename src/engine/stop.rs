//! What holds a run back: a signal that ends it, a rate that it keeps to.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Raised by a signal; a run looks at it between inodes and stops with everything that is
/// journalled also applied. And the rate that all threads of a run keep to together, if it has one.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    rate: Option<Arc<Rate>>,
}

#[derive(Debug)]
struct Rate {
    a_second: NonZeroU32,
    /// When the next inodes are due.
    next: Mutex<Instant>,
}

/// Whoever waits for a turn looks this often whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// With a rate, this many groups of inodes a second, so that the work is spread evenly.
const GROUPS_A_SECOND: u32 = 100;

impl Stop {
    /// Nobody has asked yet, and there is no rate.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Not more than so many inodes a second.
    pub fn at_rate(a_second: NonZeroU32) -> Stop {
        Stop {
            rate: Some(Arc::new(Rate {
                a_second,
                next: Mutex::new(Instant::now()),
            })),
            ..Stop::default()
        }
    }

    /// Asks.
    #[cfg(test)]
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The flag itself, for a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Whether there is a rate.
    pub fn has_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// How many inodes may be taken together, of `most`.
    pub fn group(&self, most: usize) -> usize {
        match &self.rate {
            Some(rate) => (rate.a_second.get() / GROUPS_A_SECOND).max(1) as usize,
            None => most,
        }
        .min(most)
    }

    /// Waits until so many inodes are due, or somebody asks to stop.
    pub fn take_turn(&self, inodes: usize) {
        let Some(rate) = &self.rate else { return };
        let due = rate.take(inodes);
        while !self.is_asked() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

impl Rate {
    /// When these are due. Time that passed unused does not come back as a burst.
    fn take(&self, inodes: usize) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (*next).max(Instant::now());
        *next = due + Duration::from_secs_f64(inodes as f64 / f64::from(self.a_second.get()));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_keep_to_the_rate() {
        let rate = Rate {
            a_second: NonZeroU32::new(1000).unwrap(),
            next: Mutex::new(Instant::now()),
        };
        let start = Instant::now();
        for turn in 0..100u32 {
            let due = rate.take(10);
            assert!(due >= start + Duration::from_millis(10) * turn);
        }
    }

    #[test]
    fn time_that_was_not_used_is_no_credit() {
        let long_ago = Instant::now() - Duration::from_secs(1);
        let rate = Rate {
            a_second: NonZeroU32::new(10).unwrap(),
            next: Mutex::new(long_ago),
        };
        rate.take(1);
        assert!(rate.take(1) >= Instant::now() + Duration::from_millis(90));
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let stop = Stop::at_rate(NonZeroU32::MIN);
        stop.take_turn(1_000_000);
        stop.ask();
        stop.take_turn(1);
    }

    #[test]
    fn groups_are_small_where_the_rate_is() {
        let at = |a_second| Stop::at_rate(NonZeroU32::new(a_second).unwrap()).group(256);
        assert_eq!([at(1), at(1000), at(1_000_000)], [1, 10, 256]);
        assert_eq!(Stop::new().group(256), 256);
    }
}
