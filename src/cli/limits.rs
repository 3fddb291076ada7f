//! The limits of a command, and stopping it in good order.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::cli::args::LimitArgs;
use crate::cli::exit::Exit;
use crate::cli::output::json::Invocation;
use crate::cli::output::tell;
use crate::engine::{Cancel, Monitor, RateLimit, RunControl};
use crate::fs::process;
use crate::preflight::host::{self, HostLacks};

/// Most threads by default: each of them holds thousands of inodes open, and all wait for one
/// journal.
const MOST: usize = 16;

/// Cancellation and rate limit of a command.
pub struct Limits {
    /// Raised by a signal.
    pub cancel: Cancel,
    rate: Option<RateLimit>,
}

impl Limits {
    /// With a monitor that receives progress.
    pub fn control<'a>(&'a self, monitor: &'a dyn Monitor) -> RunControl<'a> {
        RunControl {
            monitor,
            cancel: &self.cancel,
            rate: self.rate.as_ref(),
        }
    }
}

impl LimitArgs {
    /// Threads to use. Two per CPU: if the disk is not cached, one of them works while the other
    /// waits; if nothing waits, more threads cost nothing.
    pub fn threads(&self) -> usize {
        let held_back = self.nice || self.rate.is_some();
        let each = if held_back { 1 } else { 2 };
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get) * each;
        let wanted = self.jobs.map_or_else(|| all().min(MOST), usize::from);
        wanted.min(process::most_threads())
    }

    /// Lowers the priority if that is asked for. The result is cancelled by SIGINT, SIGTERM and
    /// SIGHUP, and has the rate limit.
    ///
    /// # Errors
    /// The host lacks what every run needs.
    pub fn apply(&self) -> Result<Limits, HostLacks> {
        host::check()?;
        if self.nice {
            process::give_way();
        }
        let limits = Limits {
            cancel: Cancel::new(),
            rate: self.rate.map(RateLimit::new),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // A handler that cannot be had leaves the default: the process ends, which the journal
            // is made for too.
            let _ = signal_hook::flag::register(signal, limits.cancel.flag());
        }
        Ok(limits)
    }
}

/// Ends a command that somebody stopped before it changed anything.
pub fn interrupted(invocation: &Invocation, copy_is_removed: bool) -> Exit {
    let exit = invocation.print_interrupted();
    match copy_is_removed {
        true => tell!("Interrupted. Nothing was changed, and the copy is removed."),
        false => tell!("Interrupted. Nothing was changed."),
    }
    exit
}

/// A write beyond `RLIMIT_FSIZE` (`ulimit -f`) then fails with `EFBIG`, as one on a full disk does, and does not end the
/// process midway (`setrlimit(2)`). Programs that are started get the default back.
pub(super) fn handle_sigxfsz() {
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}
