//! Progress while a run lasts: a line on the terminal, or nothing.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text;
use crate::engine::{Monitor, Phase};
use crate::fs::DirPath;

/// Draws what a run does, on stderr when that is a terminal.
pub struct Terminal {
    bar: ProgressBar,
    start: Instant,
    /// Milliseconds since `start` at which the directory was last shown.
    shown: AtomicU64,
    changed: AtomicU64,
    journalled: AtomicU64,
}

const TICK: Duration = Duration::from_millis(120);

impl Terminal {
    /// Draws unless `quiet`, or unless nobody would see it.
    pub fn new(quiet: bool) -> Terminal {
        let target = match quiet || !std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
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

impl Monitor for Terminal {
    fn phase(&self, phase: Phase, inodes: Option<u64>) {
        if self.bar.is_hidden() {
            return;
        }
        let name = match phase {
            Phase::CheckingUse => "looking for users of the tree",
            Phase::Copying => "copying",
            Phase::Shifting => "shifting",
            Phase::Looking => "looking",
            Phase::Listing => "writing the journal",
            Phase::Replaying => "carrying out the journal",
            Phase::Undoing => "undoing",
            Phase::Comparing => "comparing",
            Phase::Stepping => "renaming",
            Phase::Syncing => "waiting for the disk",
        };
        let template = match inodes {
            Some(_) => {
                "{spinner} {prefix} [{bar:24}] {human_pos}/{human_len} {per_sec} {elapsed} {wide_msg}"
            }
            None => "{spinner} {prefix} {human_pos} inodes {per_sec} {elapsed} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(name);
        self.bar.set_message("");
        match inodes {
            Some(inodes) => self.bar.set_length(inodes),
            None => self.bar.unset_length(),
        }
        self.bar.reset();
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
            bytes => format!("journal {} · ", text::bytes(bytes)),
        };
        // The outermost three names tell where it is, and fit.
        let path = dir.to_path();
        let subtree: std::path::PathBuf = path.iter().take(3).collect();
        self.bar
            .set_message(format!("{journal}{}", text::path(&subtree)));
    }

    fn journalled(&self, bytes: u64) {
        self.journalled.store(bytes, Ordering::Relaxed);
    }
}
