//! What is to be reached: ratios of medians of one run, and figures.

/// Of one filesystem. Each is a ratio, and less is better.
pub struct Goals {
    /// `shift`, to `chown -R` and `sync -f`.
    pub shift: f64,
    /// `rollback`, to the same.
    pub rollback: f64,
    /// `shift --dry-run --manifest`, to `find -printf`.
    pub dry_run: f64,
    /// A `shift` of what is shifted, to `find -printf`.
    pub second: f64,
    /// `shift` with empty caches, to `chown -R` and `sync -f` with empty caches.
    pub cold: f64,
    /// `shift`, to `fuidshift`.
    pub fuidshift: f64,
    /// `resume` of a run that was killed at nine tenths, to the whole run.
    pub resume: f64,
}

pub const EXT4: Goals = Goals {
    shift: 0.8,
    rollback: 0.75,
    dry_run: 0.6,
    second: 0.55,
    cold: 0.8,
    fuidshift: 0.2,
    resume: 0.35,
};

pub const XFS: Goals = Goals {
    shift: 1.0,
    rollback: 0.95,
    cold: 0.9,
    ..EXT4
};

pub const BTRFS: Goals = Goals {
    shift: 1.25,
    rollback: 1.25,
    cold: 0.9,
    ..EXT4
};

/// Bytes of journal an inode.
pub const JOURNAL_BYTES: f64 = 9.0;

/// Most memory, MiB, with 1 % hard links.
pub const MEMORY_MIB: f64 = 32.0;

/// Time an inode of the largest tree to that of the smallest.
pub const GROWTH: f64 = 1.15;

/// `docker audit` to `find -printf` over the data-root.
pub const AUDIT: f64 = 0.7;

/// Seconds: what `docker migrate` does besides owners, for 10,000 containers.
pub const MANY_CONTAINERS: f64 = 5.0;

/// Seconds: `journal list` of 20 long journals.
pub const JOURNAL_LIST: f64 = 0.1;

/// Seconds: `report` of a million inodes.
pub const REPORT_SECONDS: f64 = 5.0;

/// Megabytes: the page of a million inodes.
pub const REPORT_MB: f64 = 3.0;

/// Reads and writes of a container in a root that is remapped by a mount, to one whose owners were changed.
pub const THROUGH_MOUNT: f64 = 1.05;
