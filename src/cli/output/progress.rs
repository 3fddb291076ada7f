//! Progress while a run lasts: a line on the terminal, or nothing.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::table::cut_middle;
use crate::cli::output::text;
use crate::engine::{Monitor, Phase};
use crate::fs::DirPath;

/// Draws the progress of a run on stderr, if that is a terminal.
pub struct Terminal {
    bar: ProgressBar,
    start: Instant,
    /// Milliseconds since `start` at which the directory was last shown.
    shown: AtomicU64,
    changed: AtomicU64,
    journalled: AtomicU64,
}

const TICK: Duration = Duration::from_millis(120);

/// Columns of a terminal that has room for a bar.
const WITH_BAR: usize = 120;

/// Columns of the bar: as in the template.
const BAR: usize = 24;

/// Shorter than this, a path is not shown.
const SHORTEST_PATH: usize = 12;

impl Terminal {
    /// Draws, unless `quiet` or stderr is not a terminal.
    pub fn new(quiet: bool) -> Terminal {
        let target = match quiet || !std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(None, target).with_prefix("starting");
        if let Ok(style) = ProgressStyle::with_template(template(Unit::Nothing, false, 0)) {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Terminal {
            bar,
            start: Instant::now(),
            shown: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            journalled: AtomicU64::new(0),
        }
    }

    /// Takes the line off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints something without the line in between.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Columns that the numbers leave.
    fn room(&self) -> usize {
        let columns = usize::from(console::Term::stderr().size().1);
        let position = HumanCount(self.bar.position()).to_string().len();
        let bar = if columns >= WITH_BAR {
            "[] ".len() + BAR
        } else {
            0
        };
        let numbers = match self.bar.length() {
            Some(total) => {
                bar + position + "/ 000,000/s 00m left ".len() + HumanCount(total).to_string().len()
            }
            None => position + " inodes 000,000/s 00m ".len(),
        };
        let label = "* ".len() + self.bar.prefix().len() + 1;
        columns.saturating_sub(label + numbers)
    }

    /// Whether it is time to show something new, so that drawing costs the walk nothing.
    fn is_due(&self) -> bool {
        let now = self.start.elapsed().as_millis() as u64;
        let last = self.shown.load(Ordering::Relaxed);
        now - last.min(now) >= TICK.as_millis() as u64
            && self
                .shown
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// A command that is refused leaves no line behind either.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading the journal",
        Phase::CheckingUse => "checking who uses the tree",
        Phase::Copying => "copying",
        Phase::ReadingLayers => "reading layers",
        Phase::Shifting => "shifting",
        Phase::Looking => "scanning",
        Phase::LookingForNew => "looking for new inodes",
        Phase::Listing => "listing changes",
        Phase::Replaying => "changing owners",
        Phase::Undoing => "undoing",
        Phase::Comparing => "comparing",
        Phase::Stepping => "renaming",
        Phase::Syncing => "syncing",
    }
}

/// What a phase counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Inodes,
    Bytes,
    Nothing,
}

fn unit(phase: Phase) -> Unit {
    match phase {
        Phase::ReadingLayers => Unit::Bytes,
        Phase::Copying
        | Phase::Shifting
        | Phase::Looking
        | Phase::Listing
        | Phase::Replaying
        | Phase::Undoing
        | Phase::Comparing => Unit::Inodes,
        Phase::Reading
        | Phase::CheckingUse
        | Phase::LookingForNew
        | Phase::Stepping
        | Phase::Syncing => Unit::Nothing,
    }
}

/// A line that fits: a wide element takes what is left, all else is as long as its numbers.
fn template(unit: Unit, is_total_known: bool, columns: u16) -> &'static str {
    match (unit, is_total_known) {
        (Unit::Nothing, _) | (Unit::Bytes, false) => "{spinner} {prefix} {elapsed} {wide_msg}",
        (Unit::Bytes, true) if usize::from(columns) >= WITH_BAR => {
            "{spinner} {prefix} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left {wide_msg}"
        }
        (Unit::Bytes, true) => "{spinner} {prefix} {bytes}/{total_bytes} {eta} left {wide_msg}",
        (Unit::Inodes, false) => {
            "{spinner} {prefix} {human_pos} inodes {per_sec:0} {elapsed} {wide_msg}"
        }
        (Unit::Inodes, true) if usize::from(columns) >= WITH_BAR => {
            "{spinner} {prefix} [{bar:24}] {human_pos}/{human_len} {per_sec:0} {eta} left {wide_msg}"
        }
        (Unit::Inodes, true) if columns >= 80 => {
            "{spinner} {prefix} {human_pos}/{human_len} {per_sec:0} {eta} left {wide_msg}"
        }
        (Unit::Inodes, true) => "{spinner} {prefix} {human_pos}/{human_len} {eta} left {wide_msg}",
    }
}

impl Monitor for Terminal {
    fn phase(&self, phase: Phase, total: Option<u64>) {
        if self.bar.is_hidden() {
            return;
        }
        // A total of none tells nothing of how much there is to do.
        let total = total.filter(|total| *total > 0 && unit(phase) != Unit::Nothing);
        let columns = console::Term::stderr().size().1;
        let template = template(unit(phase), total.is_some(), columns);
        self.bar.reset();
        self.bar.set_message("");
        self.bar.set_prefix(label(phase));
        // The line is drawn at any time: it is never of a total that is not there.
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        if total.is_none() {
            self.bar.unset_length();
        }
    }

    fn progress(&self, seen: u64, changed: u64) {
        if !self.bar.is_hidden() {
            self.changed.fetch_add(changed, Ordering::Relaxed);
            self.bar.inc(seen);
        }
    }

    fn directory(&self, dir: &Arc<DirPath>) {
        if self.bar.is_hidden() || !self.is_due() {
            return;
        }
        let journal = match self.journalled.load(Ordering::Relaxed) {
            0 => String::new(),
            bytes => format!("journal {} · ", HumanBytes(bytes)),
        };
        let room = self.room().saturating_sub(journal.len());
        let path = match room < SHORTEST_PATH {
            true => String::new(),
            false => cut_middle(&text::path(&dir.to_path()), room),
        };
        self.bar.set_message(format!("{journal}{path}"));
    }

    fn journalled(&self, bytes: u64) {
        self.journalled.store(bytes, Ordering::Relaxed);
    }
}
