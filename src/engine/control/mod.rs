//! How a run is watched and held back.
//!
//! - [`monitor`]: what it tells while it goes on
//! - [`cancel`]: somebody asks it to end
//! - [`rate_limit`]: how many inodes a second

pub mod cancel;
pub mod monitor;
pub mod rate_limit;

use std::time::{Duration, Instant};

pub use cancel::Cancel;
pub use monitor::{Monitor, Phase};
pub use rate_limit::RateLimit;

/// Progress reports, cancellation and rate limit of a run.
#[derive(Clone, Copy)]
pub struct RunControl<'a> {
    /// Receives progress.
    pub monitor: &'a dyn Monitor,
    /// Ends the run between two inodes.
    pub cancel: &'a Cancel,
    /// The rate limit that its threads share.
    pub rate: Option<&'a RateLimit>,
}

/// How often a waiting thread checks for cancellation.
const LOOK: Duration = Duration::from_millis(50);

impl RunControl<'_> {
    /// Whether somebody asked the run to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_requested()
    }

    /// How many inodes may be processed as one group, at most `most`.
    pub fn group_size(&self, most: usize) -> usize {
        self.rate.map_or(most, |rate| rate.group_size().min(most))
    }

    /// Waits until so many inodes are due, or somebody asks the run to end.
    pub fn wait_turn(&self, inodes: usize) {
        let Some(rate) = self.rate else { return };
        let due = rate.reserve(inodes);
        while !self.is_cancelled() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::engine::control::monitor::Silent;

    #[test]
    fn a_request_to_end_ends_the_waiting() {
        let (cancel, rate) = (Cancel::new(), RateLimit::new(NonZeroU32::MIN));
        let control = RunControl {
            monitor: &Silent,
            cancel: &cancel,
            rate: Some(&rate),
        };
        control.wait_turn(1_000_000);
        cancel.request();
        control.wait_turn(1);
    }

    #[test]
    fn groups_are_small_where_the_rate_is() {
        let cancel = Cancel::new();
        let at = |rate: Option<&RateLimit>| {
            let control = RunControl {
                monitor: &Silent,
                cancel: &cancel,
                rate,
            };
            control.group_size(256)
        };
        let limit = |per_second| RateLimit::new(NonZeroU32::new(per_second).unwrap());
        let groups = [1, 1000, 1_000_000].map(|per_second| at(Some(&limit(per_second))));
        assert_eq!((groups, at(None)), ([1, 10, 256], 256));
    }
}
