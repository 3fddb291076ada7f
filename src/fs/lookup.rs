//! What the names of one directory mean, many names at a time.
//!
//! The sure way is to open a name as a [`PinnedFile`] and ask through it. But an inode's attributes can be
//! listed through a pin only by a detour over `/proc/thread-self/fd/N`, which costs as much as all
//! the rest, and most inodes of a tree that is shifted already need no handle at all. Asking by name in
//! the working directory is cheap, but a name can come to mean another inode between two calls.
//!
//! It cannot do so without the directory's ctime changing ([`dir_guard`](super::dir_guard)). So: note the
//! directory's ctime, ask by name, open the pins that are wanted, look at the ctime again. Where it is the same, each name meant one inode all the while. Else everything that was
//! learnt is thrown away and asked again through pins.
//!
//! Only a mount can change what a name means and leave the directory as it is; the pins are therefore opened
//! with `RESOLVE_NO_XDEV` (`openat2(2)`), which a mount makes fail, and the kernel is asked whether any mount came or
//! went ([`mount_watch`]).

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::attributes::{self, Present, ReadError};
use super::dir_guard::{CtimeStamp, DirGuard, is_known, wait_for_changes};
use super::stat::{Stat, stat_at};
use super::{PinnedFile, mount_watch, process};

/// The inode that a name was found to mean.
#[derive(Debug)]
pub struct LookupEntry {
    /// Its numbers.
    pub stat: Stat,
    /// Which attributes it has.
    pub present: Result<Present, ReadError>,
    /// The inode, pinned, if that was wanted.
    pub pin: Option<PinnedFile>,
    /// It is proven that it had this name all the time. True for a directory, which has one.
    pub kept_name: bool,
}

/// The system call that failed to look up a name, and its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError {
    /// The system call.
    pub call: &'static str,
    /// Its error.
    pub errno: Errno,
}

/// Which inodes are to be pinned, from their number in the list, their numbers and what attributes they
/// have. It may be asked more than once of the same name.
pub trait Wants: Fn(usize, &Stat, Present) -> bool {}

impl<F: Fn(usize, &Stat, Present) -> bool> Wants for F {}

/// Which system call comes first for each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstCall {
    /// Its numbers, by name: where most inodes will not be wanted.
    Numbers,
    /// A pin, and then the numbers through it: a call less where most will be.
    Pin,
}

/// The result of looking up some names of a directory.
#[derive(Debug)]
pub struct Lookup {
    /// Each, in the order of the names.
    pub each: Vec<Result<LookupEntry, LookupError>>,
    /// No name of the directory changed from before the first lookup until after the last one.
    pub is_consistent: bool,
}

/// How names are looked up.
#[derive(Clone, Copy, Debug)]
pub struct LookupOptions<'w> {
    /// The directory's.
    pub guard: &'w DirGuard,
    /// What is asked first.
    pub first: FirstCall,
    /// Whether [`LookupEntry::kept_name`] is wanted.
    pub keeps_names: bool,
}

/// Looks up some names of a directory, each a single component; few enough to pin all of them at
/// once.
///
/// An inode whose attributes cannot be listed, or that has any of interest, is always pinned.
pub fn lookup(
    dir: BorrowedFd<'_>,
    names: &[&CStr],
    options: LookupOptions<'_>,
    wants: impl Wants,
) -> Lookup {
    options.guard.begin(dir);
    if let Some(ctime) = options.guard.since().filter(|ctime| begin(dir, ctime)) {
        let by_name = names.iter().enumerate();
        let by_name = by_name.map(|(n, name)| match options.first {
            FirstCall::Numbers => numbers_first(n, name, &wants),
            FirstCall::Pin => pin_first(n, name, &wants),
        });
        let each: Option<Vec<_>> = by_name.collect();
        if let Some(each) = each.filter(|_| ctime.is_still(dir) && !mount_watch::have_changed()) {
            return Lookup {
                each,
                is_consistent: true,
            };
        }
    }
    options.guard.has_changed();
    Lookup {
        each: lookup_by_pins(dir, names, options.keeps_names, &wants),
        is_consistent: false,
    }
}

fn is_wanted(
    wants: &impl Wants,
    n: usize,
    stat: &Stat,
    present: &Result<Present, ReadError>,
) -> bool {
    match present {
        Ok(present) => present.any() || wants(n, stat, *present),
        Err(_) => true,
    }
}

fn failed(call: &'static str) -> impl Fn(Errno) -> LookupError {
    move |errno| LookupError { call, errno }
}

/// Asks by name in the working directory, where it is known that no change of it was under way; `None` when
/// the answer cannot be relied on.
fn numbers_first(
    n: usize,
    name: &CStr,
    wants: &impl Wants,
) -> Option<Result<LookupEntry, LookupError>> {
    let stat = match stat_at(rustix::fs::CWD, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(errno) => return Some(Err(failed("statx")(errno))),
    };
    let present = attributes::present_by_name(name);
    let pin = match is_wanted(wants, n, &stat, &present) {
        false => None,
        true => match PinnedFile::at_same_mount(rustix::fs::CWD, name) {
            // Nothing should be able to make this another inode; it costs little to make sure, as few
            // are pinned here.
            Ok(pin) if pin.stat().is_ok_and(|now| now.is_as(&stat)) => Some(pin),
            Ok(_) => return None,
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => return None,
            Err(errno) => return Some(Err(failed("open")(errno))),
        },
    };
    Some(Ok(LookupEntry {
        stat,
        present,
        pin,
        kept_name: true,
    }))
}

/// Looks names up, and pins all of them.
fn pin_first(
    n: usize,
    name: &CStr,
    wants: &impl Wants,
) -> Option<Result<LookupEntry, LookupError>> {
    let present = attributes::present_by_name(name);
    let pin = match PinnedFile::at_same_mount(rustix::fs::CWD, name) {
        Ok(pin) => pin,
        Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => return None,
        Err(errno) => return Some(Err(failed("open")(errno))),
    };
    let stat = match pin.stat() {
        Ok(stat) => stat,
        Err(errno) => return Some(Err(failed("statx")(errno))),
    };
    let is_wanted = is_wanted(wants, n, &stat, &present);
    Some(Ok(LookupEntry {
        stat,
        present,
        pin: is_wanted.then_some(pin),
        kept_name: true,
    }))
}

/// How often a name that is renamed meanwhile is looked up again before it counts as always moving.
const MOST_ATTEMPTS: u32 = 16;

/// Asks through pins.
fn lookup_by_pins(
    dir: BorrowedFd<'_>,
    names: &[&CStr],
    keeps_names: bool,
    wants: &impl Wants,
) -> Vec<Result<LookupEntry, LookupError>> {
    let mut found: Vec<Option<Result<LookupEntry, LookupError>>> =
        names.iter().map(|_| None).collect();
    let mut pending: Vec<usize> = (0..names.len()).collect();
    for tries in 1..=MOST_ATTEMPTS {
        let pinned = std::mem::take(&mut pending).into_iter();
        let pinned: Vec<_> = pinned.map(|n| (n, pin(dir, names[n]))).collect();
        // A name that is being taken away is still there, with one name less on the inode.
        let waited = keeps_names && wait_for_changes(dir);
        for (n, pinned) in pinned {
            let entry = pinned.map(|(pin, stat)| {
                let kept_name = match stat.is_dir() {
                    true => Some(true),
                    false if waited => pin.keeps_name(names[n]),
                    false => None,
                };
                let present = attributes::present(&pin);
                let is_wanted = is_wanted(wants, n, &stat, &present);
                let entry = LookupEntry {
                    stat,
                    present,
                    pin: is_wanted.then_some(pin),
                    kept_name: kept_name == Some(true),
                };
                (entry, kept_name == Some(false))
            });
            if matches!(entry, Ok((_, true))) && tries < MOST_ATTEMPTS {
                pending.push(n);
            }
            found[n] = Some(entry.map(|(entry, _)| entry));
        }
        // An inode of one name that was found by two was moved from the one to the other, and something
        // else may have been moved past.
        for n in found_twice(dir, &found) {
            if tries == MOST_ATTEMPTS {
                found[n] = Some(Err(failed("open")(Errno::STALE)));
            } else if !pending.contains(&n) {
                pending.push(n);
            }
        }
        if pending.is_empty() {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

fn pin(dir: BorrowedFd<'_>, name: &CStr) -> Result<(PinnedFile, Stat), LookupError> {
    let pin = PinnedFile::at(dir, name).map_err(failed("open"))?;
    let stat = pin.stat().map_err(failed("statx"))?;
    Ok((pin, stat))
}

/// The names that cannot all be right; none where inodes may share a number, or a mount be taken for one.
fn found_twice(
    dir: BorrowedFd<'_>,
    found: &[Option<Result<LookupEntry, LookupError>>],
) -> Vec<usize> {
    let mut by_inode = Vec::new();
    for (n, one) in found.iter().enumerate() {
        if let Some(Ok(LookupEntry { stat, .. })) = one
            && (stat.nlink == 1 || stat.is_dir())
            && stat.knows_mounts
            && !stat.mount_root
            && is_known(dir, stat.dev)
        {
            by_inode.push(((stat.dev, stat.identity.ino), n));
        }
    }
    by_inode.sort_unstable();
    let same = by_inode.chunk_by(|one, next| one.0 == next.0);
    let twice = same.filter(|same| same.len() > 1);
    twice.flatten().map(|(_, n)| *n).collect()
}

/// Makes the directory the calling thread's working directory, for names to be used in. False where
/// that a name has moved could go unnoticed, because the filesystem is not known to keep ctimes, or the
/// thread shares its working directory with others.
fn begin(dir: BorrowedFd<'_>, ctime: &CtimeStamp) -> bool {
    process::has_own_working_directory()
        && ctime.is_reliable(dir)
        // What came or went since the last look makes this one fail, too; asking now would cost a call more.
        && mount_watch::are_watched()
        && rustix::process::fchdir(dir).is_ok()
}

#[cfg(test)]
mod tests;
