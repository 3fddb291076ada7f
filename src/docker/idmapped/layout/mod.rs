//! Which inodes of an idmapped root change owners.
//!
//! On disk, what containers made has their ids, and what belongs to root of the host has the range's: a mount that exchanges
//! the two shows the former as the range's, and the latter as root's.
//!
//! - [`make_idmapped`]: on the way into it
//! - [`revert_idmapped`]: on the way out of it
//! - [`make_permanent`]: when what is seen through the mount becomes what is on disk

mod make_idmapped;
mod make_permanent;
mod revert_idmapped;

pub use make_idmapped::MakeIdmapped;
pub use make_permanent::MakePermanent;
pub use revert_idmapped::RevertIdmapped;

use crate::docker::path_owner::{PathOwner, owner_of};
use crate::fs::Stat;
use crate::idmap::{Direction, IdMap, Mapped, RangeMap};
use crate::ownership::Undated;

/// The way from the data-root to what is in an idmapped root: names below its content. `Err`: what is on that way.
fn below<'w, 'n>(place: &[String; 2], names: &'w [&'n [u8]]) -> Option<Result<&'w [&'n [u8]], ()>> {
    match names {
        [] => Some(Err(())),
        [first] if *first == place[0].as_bytes() => Some(Err(())),
        [first, second, rest @ ..]
            if *first == place[0].as_bytes() && *second == place[1].as_bytes() =>
        {
            Some(Ok(rest))
        }
        _ => None,
    }
}

/// Whether the way into an idmapped root leaves this on disk as it is, by its path from the docker root: what containers
/// own, what somebody keeps among the daemon's directories, and [`is_passed_over`].
pub fn is_left_alone(names: &[&[u8]]) -> bool {
    let is_of_daemon = match names {
        // Where a directory has the name of the file, all in it.
        [b"volumes", _, b"opts.json", ..] => true,
        _ => owner_of(names) == PathOwner::Daemon,
    };
    !is_of_daemon || is_passed_over(names)
}

/// What may have many inodes, and nobody but root comes to: a daemon empties `tmp` when it starts, and a containerd has its
/// snapshots below a directory of mode 0700, whether a daemon runs it or it only has its root here.
fn is_passed_over(names: &[&[u8]]) -> bool {
    let holds_snapshots = |name: &&[u8]| [&b"snapshots"[..], b"active", b"view"].contains(name);
    match names {
        [b"tmp" | b"tmp-old", _, ..] => true,
        [b"containerd", above @ .., _] => above.iter().any(holds_snapshots),
        _ => false,
    }
}

/// What runs put there for themselves, and nobody keeps anything in: whose it was before makes no difference.
fn is_temporary(names: &[&[u8]]) -> bool {
    matches!(
        names,
        [b"tmp" | b"tmp-old", ..]
            | [b"overlay2", _, b"work" | b"merged"]
            | [b"overlay2", _, b"work", b"work" | b"index"]
    )
}

/// When a root was made idmapped. An inode that was not changed since has its owner from before.
#[derive(Clone, Debug)]
pub struct Since {
    /// Milliseconds since 1970; 0 where that is not known.
    pub ms: i64,
    /// Why times do not tell, where they do not.
    pub doubt: Option<Undated>,
    /// What the operator says of what times do not tell.
    pub decided: Option<UndatedOwners>,
    /// The ranges that the root is mounted with.
    pub map: IdMap,
}

/// What becomes of an inode with an id of the range, where it is not known whether it had that before its root was remapped by
/// a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndatedOwners {
    /// It had: it keeps it.
    Keep,
    /// Root of the host made it since: it loses the range.
    GiveBack,
}

/// How old the owner of an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// It had it before its root was made idmapped.
    Before,
    /// It got it since.
    Since,
    /// Neither is known.
    Unknown(Undated),
}

impl Since {
    fn age(&self, stat: &Stat) -> Age {
        let is_old = stat.changed.as_ms() < self.ms;
        let born = stat.identity.born;
        let why = match self.doubt {
            Some(Undated::Copied) => Undated::Copied,
            Some(why) if is_old => why,
            _ if is_old => return Age::Before,
            _ if born != 0 && born < self.ms => Undated::ChangedSince,
            _ if !self.is_of_root(stat) => Undated::NotOfRoot,
            _ => return Age::Since,
        };
        match self.decided {
            None => Age::Unknown(why),
            Some(UndatedOwners::Keep) => Age::Before,
            Some(UndatedOwners::GiveBack) => Age::Since,
        }
    }

    /// The age of an entry of the docker root. The way into the range renamed it, which gave it a later ctime.
    fn age_of_renamed(&self, stat: &Stat) -> Age {
        let born = stat.identity.born;
        match self.doubt {
            None if born != 0 && born < self.ms => Age::Before,
            _ => self.age(stat),
        }
    }

    /// Whether an inode has no id of the range but root's, as which a daemon works. Overlayfs gives the owner of a file to its
    /// copy in the upper layer: an id of before comes with a new inode.
    fn is_of_root(&self, stat: &Stat) -> bool {
        let is_known = |ranges: &RangeMap, id| match ranges.map(id, Direction::OutOf) {
            Mapped::To(container) => container == 0,
            _ => true,
        };
        is_known(&self.map.uids, stat.uid) && is_known(&self.map.gids, stat.gid)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{Policy, Rule};
    use crate::fs::{DirPath, Identity};

    /// What a policy has for a path from the data-root.
    pub(super) fn rule(policy: &dyn Policy, path: &str) -> Rule {
        let names: Vec<&str> = path.split('/').collect();
        let (name, above) = names.split_last().unwrap();
        let none = Identity { ino: 0, born: 0 };
        let mut dir: Arc<DirPath> = DirPath::root(0, none, 0);
        for name in above {
            // What is below a directory that is passed over is never met.
            if policy.all_in(&dir).is_none() && policy.name_in(&dir, name.as_bytes()) == Rule::Skip
            {
                return Rule::Skip;
            }
            dir = dir.child(name.as_bytes(), none, 0);
        }
        match policy.all_in(&dir) {
            Some(rule) => rule,
            None => policy.name_in(&dir, name.as_bytes()),
        }
    }

    pub(super) fn place() -> [String; 2] {
        ["h".into(), "content".into()]
    }
}
