//! Whose the inodes of a host directory are, as far as a look takes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use crate::engine::RunControl;
use crate::fs::scan::scan;
use crate::fs::{Root, Stat};
use crate::ownership::FileType;
use crate::preflight::accounts::{Account, LoginAccounts};

/// Owners of the entries of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OwnerStats {
    /// Owners, `uid:gid`, with how many inodes each has; the directory itself is not counted.
    pub owners: BTreeMap<String, u64>,
    /// Inodes that a certain user could not read, or write where that is wanted.
    pub closed: u64,
    /// There are more than were counted.
    pub more: bool,
    /// Who logs in to this host and owns one of them; all were looked at for that.
    #[serde(skip)]
    pub account: Option<Account>,
}

/// How many entries are counted.
const ENOUGH: u64 = 10_000;

/// For whom is counted what is closed, and who is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Host ids of the user for whom `closed` counts.
    pub user: Option<(u32, u32)>,
    /// That user writes, too.
    pub write: bool,
    /// Accounts of which one is looked for.
    pub accounts: Option<&'a LoginAccounts>,
}

/// Counts owners below a directory; `None` of anything else.
pub fn owner_stats(dir: &Path, wanted: Wanted<'_>, control: RunControl<'_>) -> Option<OwnerStats> {
    let root = Root::open(dir).ok()?;
    if !root.is_dir() {
        return None;
    }
    let mut counter = Counter {
        wanted,
        seen: 0,
        stats: OwnerStats::default(),
    };
    scan(&root, true, |stat| {
        control.wait_turn(1);
        match stat {
            _ if control.is_cancelled() => ControlFlow::Break(()),
            Some(stat) => counter.count(stat),
            None => ControlFlow::Continue(()),
        }
    });
    Some(counter.stats)
}

struct Counter<'a> {
    wanted: Wanted<'a>,
    seen: u64,
    stats: OwnerStats,
}

impl Counter<'_> {
    fn count(&mut self, stat: &Stat) -> ControlFlow<()> {
        if self.stats.account.is_none() {
            let owner = |accounts: &LoginAccounts| accounts.owner(stat.uid);
            self.stats.account = self.wanted.accounts.and_then(owner);
        }
        if self.seen == ENOUGH {
            self.stats.more = true;
            return match self.wanted.accounts.is_some() && self.stats.account.is_none() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
        }
        self.seen += 1;
        self.stats.closed += u64::from(self.is_closed(stat));
        let owner = format!("{}:{}", stat.uid, stat.gid);
        *self.stats.owners.entry(owner).or_default() += 1;
        ControlFlow::Continue(())
    }

    fn is_closed(&self, stat: &Stat) -> bool {
        let Some((uid, gid)) = self.wanted.user else {
            return false;
        };
        let shift = match (stat.uid == uid, stat.gid == gid) {
            (true, _) => 6,
            (_, true) => 3,
            _ => 0,
        };
        let wanted = match (stat.file_type, self.wanted.write) {
            (FileType::Symlink, _) => 0,
            (FileType::Directory, true) => 0o7,
            (FileType::Directory, false) => 0o5,
            (_, true) => 0o6,
            (_, false) => 0o4,
        };
        u32::from(stat.mode.bits()) >> shift & wanted != wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cancel;
    use crate::engine::control::monitor::Silent;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn owners_and_what_is_closed_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("open", 0o644);
        file("closed", 0o640);
        let cancel = Cancel::new();
        let control = RunControl {
            monitor: &Silent,
            cancel: &cancel,
            rate: None,
        };
        let owner_stats = |dir: &Path, user, write| {
            let accounts = None;
            let wanted = Wanted {
                user,
                write,
                accounts,
            };
            super::owner_stats(dir, wanted, control)
        };
        let nobody = Some((4_000_000, 4_000_000));
        let found = owner_stats(dir.path(), nobody, false).unwrap();
        assert_eq!((found.closed, found.more), (1, false));
        assert_eq!(found.owners.values().sum::<u64>(), 2);
        assert_eq!(owner_stats(dir.path(), nobody, true).unwrap().closed, 2);
        assert_eq!(owner_stats(dir.path(), None, true).unwrap().closed, 0);
        assert_eq!(owner_stats(&dir.path().join("open"), nobody, false), None);
        cancel.request();
        let stopped = owner_stats(dir.path(), nobody, false).unwrap();
        assert_eq!(stopped, OwnerStats::default());
    }
}
