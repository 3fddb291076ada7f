//! The times of inodes, and the clock that they come from.
//!
//! The kernel gives an inode the time of its last clock tick (`ktime_get_coarse_real_ts64`, `CLOCK_REALTIME_COARSE`).
//! A kernel has 100 to 1000 ticks a second (`CONFIG_HZ`), and a filesystem may keep whole seconds only. So a change can
//! get a time from before one that a program read just before it, and two changes after one another can get the same.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_getres, clock_gettime};

/// By how much an inode's time may lie before that of its change: two ticks of the slowest clock.
const CLOCK_LAG: Duration = Duration::from_millis(20);

/// Longer than some ticks of the slowest clock.
pub const SOME_TICKS: Duration = Duration::from_millis(50);

const NANOSECONDS: i128 = 1_000_000_000;

static TICK: LazyLock<Duration> = LazyLock::new(|| {
    let resolution = clock_getres(ClockId::RealtimeCoarse);
    Duration::from_nanos(resolution.tv_nsec.unsigned_abs())
});

/// For so long the clock of this kernel stands still (`clock_getres(2)`): a change in the same tick as the one before it
/// leaves the ctime as it was.
pub fn tick() -> Duration {
    *TICK
}

/// When an inode was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InodeTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds since then.
    pub nanoseconds: u32,
}

impl InodeTime {
    /// What a change would get now.
    pub fn now() -> InodeTime {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        InodeTime::from_ns(i128::from(now.tv_sec) * NANOSECONDS + i128::from(now.tv_nsec))
    }

    /// The earliest that a change after this moment may have got, where the filesystem keeps parts of a second.
    pub fn earliest_after(moment: Timestamp) -> InodeTime {
        InodeTime::from_ns(moment.as_nanosecond() - CLOCK_LAG.as_nanos().cast_signed())
    }

    fn from_ns(nanoseconds: i128) -> InodeTime {
        InodeTime {
            seconds: nanoseconds.div_euclid(NANOSECONDS) as i64,
            nanoseconds: nanoseconds.rem_euclid(NANOSECONDS) as u32,
        }
    }

    /// Nanoseconds since 1970.
    pub fn as_ns(self) -> i128 {
        i128::from(self.seconds) * NANOSECONDS + i128::from(self.nanoseconds)
    }

    /// Whole milliseconds since 1970.
    pub fn as_ms(self) -> i64 {
        self.seconds * 1000 + i64::from(self.nanoseconds / 1_000_000)
    }

    /// It has no part of a second: maybe the filesystem keeps whole ones (ext2 to ext4 with inodes of 128 bytes).
    pub fn is_whole_second(self) -> bool {
        self.nanoseconds == 0
    }
}

impl From<Timestamp> for InodeTime {
    fn from(time: Timestamp) -> InodeTime {
        InodeTime::from_ns(time.as_nanosecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_in_order() {
        let time = |text: &str| InodeTime::from(text.parse::<Timestamp>().unwrap());
        let before = time("1969-12-31T23:59:58.75Z");
        assert_eq!((before.seconds, before.nanoseconds), (-2, 750_000_000));
        assert_eq!((before.as_ns(), before.as_ms()), (-1_250_000_000, -1250));
        assert!(
            before < time("1969-12-31T23:59:59Z")
                && time("1970-01-01T00:00:00Z") < InodeTime::now()
        );
    }
}
