//! Many pins, let go of together.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use super::PinnedFile;
use crate::sys;

/// Pins that are closed together: descriptors that follow one another are closed by one system call
/// (`close_range(2)`, Linux 5.9), others one by one.
#[derive(Debug, Default)]
pub struct PinnedFiles(Vec<PinnedFile>);

impl PinnedFiles {
    /// Adds one.
    pub fn push(&mut self, pin: PinnedFile) {
        self.0.push(pin);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The pins in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &PinnedFile> {
        self.0.iter()
    }
}

impl Drop for PinnedFiles {
    fn drop(&mut self) {
        let mut run: Vec<OwnedFd> = Vec::new();
        for pin in self.0.drain(..) {
            let fd = OwnedFd::from(pin);
            let follows = |last: &OwnedFd| last.as_raw_fd() + 1 == fd.as_raw_fd();
            if !run.last().is_none_or(follows) {
                close_run(&mut run);
            }
            run.push(fd);
        }
        close_run(&mut run);
    }
}

/// Closes descriptors that follow one another, and empties the list.
fn close_run(run: &mut Vec<OwnedFd>) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return;
    };
    if sys::close_range(first.as_raw_fd(), last.as_raw_fd()) {
        // They are closed; nobody may close these numbers again.
        run.drain(..).for_each(|fd| {
            let _: RawFd = fd.into_raw_fd();
        });
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::Path;

    use super::*;

    #[test]
    fn all_are_closed_and_no_other() {
        // A thread with a table of its own: no other test opens or closes in it.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::fs::process::separate_thread(1);
                let open = || PinnedFile::path(Path::new("/")).unwrap();
                let raw = |pin: &PinnedFile| std::os::fd::AsFd::as_fd(pin).as_raw_fd();
                let mut pins = PinnedFiles::default();
                let mut others = Vec::new();
                for n in 0..100 {
                    match n % 7 {
                        3 => others.push(open()),
                        _ => pins.push(open()),
                    }
                }
                let numbers: Vec<RawFd> = pins.iter().map(raw).collect();
                drop(pins);
                let is_open =
                    |fd: &RawFd| Path::new(&format!("/proc/thread-self/fd/{fd}")).exists();
                assert_eq!(numbers.iter().filter(|fd| is_open(fd)).count(), 0);
                assert!(others.iter().map(raw).all(|fd| is_open(&fd)));
            });
        });
    }
}
