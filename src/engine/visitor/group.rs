//! The names of a directory, some at a time: what each was found to mean.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::ShiftVisitor;
use super::decide::{Candidate, changes_plain, may_change};
use crate::engine::ProblemKind;
use crate::engine::hardlinks::{inodes_with_all_names_in, key};
use crate::engine::policy::Rule;
use crate::engine::sinks::{PinPolicy, Sink};
use crate::engine::stats::push_listed;
use crate::fs::escape::shell_word;
use crate::fs::live_mounts::{KnownMounts, MountError};
use crate::fs::{
    Dir, DirPath, FirstCall, LookupEntry, LookupError, LookupOptions, PinnedFile, Stat, lookup,
};

impl<S: Sink> ShiftVisitor<'_, S> {
    /// The names of a directory that are to be decided on, each with its rule.
    fn rules<'n>(
        &mut self,
        dir: &DirPath,
        names: &[&'n CStr],
        rule: Option<Rule>,
    ) -> (Vec<&'n CStr>, Vec<Rule>) {
        let (mut included, mut rules) = (Vec::new(), Vec::new());
        for name in names {
            let bytes = name.to_bytes();
            if let Some(exclude) = &self.walk.scope.exclude
                && exclude.matches(dir.root, &dir.join(bytes))
            {
                self.stats.excluded += 1;
                continue;
            }
            let rule = rule.unwrap_or_else(|| self.walk.scope.policy.name_in(dir, bytes));
            if rule != Rule::Skip {
                included.push(*name);
                rules.push(rule);
            }
        }
        (included, rules)
    }

    /// Some names of a directory, few enough for all of them to be open at once.
    pub(super) fn visit_group(
        &mut self,
        dir: &Dir,
        names: &[&CStr],
        rule: Option<Rule>,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        if self.walk.run.is_cut_short() {
            return ControlFlow::Break(());
        }
        let (names, rules) = self.rules(&dir.path, names, rule);
        self.walk.run.control.wait_turn(names.len());
        // Without attributes, the numbers say whether there is anything to be done.
        let wants =
            |n: usize, stat: &Stat, _| S::Held::IS_PIN && changes_plain(self.walk, rules[n], stat);
        let options = LookupOptions {
            guard: &dir.guard,
            first: match self.changes_most {
                true => FirstCall::Pin,
                false => FirstCall::Numbers,
            },
            keeps_names: self.walk.links.guards(),
        };
        let lookups = lookup(dir.as_fd(), &names, options, wants);
        self.all_here = match self.walk.links.guards() && lookups.is_consistent {
            true => inodes_with_all_names_in(&dir.path, &names, &lookups.each),
            false => Vec::new(),
        };
        let changed = self.stats.seen - self.stats.already;
        for ((name, rule), entry) in names.iter().zip(rules).zip(lookups.each) {
            match &entry {
                Ok(entry) if is_read_only_subvolume(dir, name, &entry.stat) => {
                    self.stats.seen += 1;
                    self.read_only(&dir.path, name.to_bytes())?;
                }
                _ => self.visit_name(dir, name, rule, entry, found)?,
            }
        }
        let changed = self.stats.seen - self.stats.already - changed;
        self.changes_most = S::Held::IS_PIN && changed * 2 > names.len() as u64;
        ControlFlow::Continue(())
    }

    /// A subvolume in which nothing can be changed; it is not entered.
    fn read_only(&mut self, dir: &DirPath, name: &[u8]) -> ControlFlow<()> {
        let path = shell_word(&self.walk.path(dir, name));
        let reason = format!(
            "is a read-only subvolume (a snapshot). Make it writable: `btrfs property set -ts {path} ro false`{}",
            self.walk.scope.command.or_leave_out()
        );
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }

    /// What one name was found to mean.
    fn visit_name(
        &mut self,
        open: &Dir,
        c_name: &CStr,
        rule: Rule,
        entry: Result<LookupEntry, LookupError>,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        let dir = &open.path;
        let name = c_name.to_bytes();
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.errno == Errno::NOENT => {
                self.stats.vanished += 1;
                return ControlFlow::Continue(());
            }
            Err(LookupError { call, errno }) => return self.record_failed(dir, name, call, errno),
        };
        let stat = entry.stat;
        if stat.crosses_mount(dir.dev) {
            let Some(known) = &self.walk.scope.known_mounts else {
                self.visit_mount(dir, name);
                return ControlFlow::Continue(());
            };
            if let Err(error) = check_mount(known, open, c_name, &entry) {
                let reason = format!("{error}{}", self.walk.scope.command.or_leave_out());
                return self.record_left(ProblemKind::Failed, dir, name, reason);
            }
        }
        let links = &self.walk.links;
        if stat.is_dir() {
            found.push(dir.met(name, &stat));
        } else if self.all_here.contains(&key(&stat)) {
            if !links.is_first_name(&stat) {
                // Where it was put off by a name that may be gone by then, this one is looked up too.
                links.defer(&stat, dir, name);
                return ControlFlow::Continue(());
            }
        } else if links.guards() && may_change(self.walk, rule, &entry) {
            // That an inode has one name says nothing where it has lost the one it was opened by.
            if stat.nlink > 1 || !entry.kept_name {
                links.defer(&stat, dir, name);
                return ControlFlow::Continue(());
            }
        } else if stat.nlink > 1 && !links.is_first_name(&stat) {
            return ControlFlow::Continue(());
        }
        let candidate = Candidate {
            name,
            rule,
            entry,
            elsewhere: None,
        };
        self.visit_inode(dir, candidate)
    }

    fn visit_mount(&mut self, dir: &DirPath, name: &[u8]) {
        let path = self.walk.path(dir, name);
        self.sink.mount(&path);
        self.stats.mounts += 1;
        push_listed(&mut self.stats.mount_paths, path);
    }
}

/// Refuses what lies on a mount that came after the run was checked.
fn check_mount(
    known: &KnownMounts,
    dir: &Dir,
    name: &CStr,
    entry: &LookupEntry,
) -> Result<(), MountError> {
    match &entry.pin {
        Some(pin) => known.check(pin),
        None => {
            let io = |errno: Errno| MountError::Unknown(errno.into());
            let pin = PinnedFile::at(dir.as_fd(), name).map_err(io)?;
            let is_it = pin.stat().map_err(io)?.mount_id == entry.stat.mount_id;
            is_it.then_some(()).ok_or_else(|| io(Errno::STALE))?;
            known.check(&pin)
        }
    }
}

/// Subvolumes have device numbers of their own, and no mount of their own (`btrfs-subvolume(8)`).
fn is_read_only_subvolume(dir: &Dir, name: &CStr, stat: &Stat) -> bool {
    let is_subvolume =
        stat.is_dir() && stat.dev != dir.path.dev && !stat.crosses_mount(dir.path.dev);
    let may_write = || rustix::fs::accessat(dir.as_fd(), name, Access::WRITE_OK, AtFlags::empty());
    is_subvolume && may_write() == Err(Errno::ROFS)
}
