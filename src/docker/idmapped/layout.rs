//! Which inodes of an idmapped root change owners.
//!
//! On disk, what containers made has their ids, and what the daemon made as root of the host has the range's, from its
//! first id on.

use std::collections::HashSet;

use crate::docker::inventory::is_daemon_name;
use crate::docker::layout::{Layout, is_content};
use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};

/// A root that stays as it is on disk: no inode in it is met. What containers bind outside of it is shifted as ever.
pub struct ContentStays;

impl Policy for ContentStays {
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0
    }

    fn root(&self, number: usize) -> Rule {
        match number {
            0 => Rule::Keep,
            _ => Rule::Map,
        }
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        Some(match dir.root {
            0 => Rule::Skip,
            _ => Rule::Map,
        })
    }

    fn name_in(&self, dir: &DirPath, _name: &[u8]) -> Rule {
        self.all_in(dir).unwrap_or(Rule::Keep)
    }
}

/// The way from the data-root to what is in an idmapped root: names below its content. `Err`: what is on that way.
fn below<'w, 'n>(place: &[String; 2], way: &'w [&'n [u8]]) -> Option<Result<&'w [&'n [u8]], ()>> {
    match way {
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

/// What a daemon made as root of the host is given back to it; everything else is as it was.
pub struct GiveBack {
    /// Where the content is.
    pub place: [String; 2],
    /// What is written anew, and is given back then.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// When the root was made idmapped, milliseconds since 1970: an inode that was not changed since has its owner from
    /// before, whatever it is. 0 where that is not known.
    pub since: i64,
}

impl Policy for GiveBack {
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0
    }

    fn root(&self, number: usize) -> Rule {
        match number {
            0 => Rule::Keep,
            _ => Rule::Map,
        }
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        if dir.root > 0 {
            return Some(Rule::Map);
        }
        match below(&self.place, &dir.tail(dir.depth)) {
            // What is written anew is not deeper: `containers/ID/config.v2.json`.
            Some(Ok(way)) if way.len() < 3 => None,
            Some(Ok(_)) => Some(Rule::GiveBack),
            Some(Err(())) => None,
            None => Some(Rule::Skip),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut way = dir.tail(dir.depth);
        way.push(name);
        match below(&self.place, &way) {
            Some(Ok([]) | Err(())) => Rule::Keep,
            Some(Ok(way)) => {
                let way: Vec<Vec<u8>> = way.iter().map(|name| name.to_vec()).collect();
                match self.rewritten.contains(&way) {
                    true => Rule::Keep,
                    false => Rule::GiveBack,
                }
            }
            None => Rule::Skip,
        }
    }

    /// Before it was idmapped, a container could have ids of the range: a runtime in a container makes such files.
    fn inode_rule(&self, dir: &DirPath, name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        let is_old = || rule == Rule::GiveBack && dir.root == 0 && is_older(stat, self.since);
        let mut way = dir.tail(dir.depth);
        way.push(name);
        match below(&self.place, &way) {
            Some(Ok(way)) if is_old() && is_content(way) => Rule::Keep,
            _ => rule,
        }
    }
}

/// Whether an inode was not changed since then, milliseconds since 1970.
fn is_older(stat: &Stat, since: i64) -> bool {
    let (seconds, nanoseconds) = stat.changed;
    seconds * 1000 + i64::from(nanoseconds / 1_000_000) < since
}

/// What is seen through the mount becomes what is on disk, as far as containers see it; the rest is as in a root whose
/// owners were changed.
pub struct Exchange {
    /// Where the content is.
    pub place: [String; 2],
    /// Of such a root.
    pub layout: Layout,
    /// As in [`GiveBack`].
    pub since: i64,
}

impl Exchange {
    fn rule(&self, way: &[&[u8]]) -> Rule {
        match (self.layout.rule_of(way), way) {
            (rule @ Rule::Set { .. }, _) => rule,
            _ if is_content(way) => Rule::Exchange,
            (_, [b"volumes"] | [b"volumes", _] | [b"volumes", _, b"opts.json"]) => Rule::GiveBack,
            // What somebody keeps among the daemon's directories.
            (_, [b"volumes", _, ..]) => Rule::Exchange,
            (_, [first, ..]) if !is_daemon_name(first) => Rule::Exchange,
            _ => Rule::GiveBack,
        }
    }
}

impl Policy for Exchange {
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0
    }

    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        let way = dir.tail(dir.depth);
        match below(&self.place, &way) {
            Some(Ok(way)) if way.len() >= 3 => match self.rule(way) {
                Rule::Set { .. } => None,
                rule => Some(rule),
            },
            Some(_) => None,
            None => Some(Rule::Skip),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut way = dir.tail(dir.depth);
        way.push(name);
        match below(&self.place, &way) {
            Some(Err(())) => Rule::Keep,
            Some(Ok([])) => self.layout.traversal_rule(),
            Some(Ok(way)) => self.rule(way),
            None => Rule::Skip,
        }
    }

    /// Nothing that is older than the mount was made through it: an id of the range is one that changed owners cannot
    /// carry, and not one that the daemon was given.
    fn inode_rule(&self, dir: &DirPath, _name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        let is_old = rule == Rule::Exchange && dir.root == 0 && is_older(stat, self.since);
        match is_old {
            true => Rule::MapAll,
            false => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fs::Identity;
    use crate::idmap::Direction;

    fn rule(policy: &dyn Policy, path: &str) -> Rule {
        let names: Vec<&str> = path.split('/').collect();
        let (name, way) = names.split_last().unwrap();
        let none = Identity { ino: 0, born: 0 };
        let mut dir: Arc<DirPath> = DirPath::root(0, none, 0);
        for name in way {
            dir = dir.child(name.as_bytes(), none, 0);
        }
        match policy.all_in(&dir) {
            Some(rule) => rule,
            None => policy.name_in(&dir, name.as_bytes()),
        }
    }

    fn place() -> [String; 2] {
        ["h".into(), "content".into()]
    }

    #[test]
    fn only_the_content_is_given_back() {
        let way = |path: &str| {
            path.split('/')
                .map(|name| name.as_bytes().to_vec())
                .collect()
        };
        let policy = GiveBack {
            place: place(),
            rewritten: HashSet::from([way("containers/c/config.v2.json")]),
            since: 0,
        };
        for (path, expected) in [
            ("h", Rule::Keep),
            ("h/map", Rule::Skip),
            ("h/content", Rule::Keep),
            ("h/content/containers", Rule::GiveBack),
            ("h/content/containers/c/config.v2.json", Rule::Keep),
            ("h/content/containers/c/hostconfig.json", Rule::GiveBack),
            ("h/content/overlay2/l/X", Rule::GiveBack),
            ("h/content/overlay2/x/diff/a/b", Rule::GiveBack),
            ("100000.100000", Rule::Skip),
            ("image", Rule::Skip),
        ] {
            assert_eq!(rule(&policy, path), expected, "{path}");
        }
    }

    #[test]
    fn a_permanent_root_is_as_one_of_changed_owners() {
        let policy = Exchange {
            place: place(),
            layout: Layout {
                direction: Direction::Into,
                root_uid: 100_000,
                root_gid: 100_000,
                subdir: None,
                others: Default::default(),
                elsewhere: Default::default(),
                own_trees: Vec::new(),
                sides_overlap: false,
                snapshots: None,
                staging: None,
            },
            since: 0,
        };
        let passage = policy.layout.traversal_rule();
        for (path, expected) in [
            ("h", Rule::Keep),
            ("h/map", Rule::Skip),
            ("h/content", passage),
            ("h/content/image/overlay2/layerdb/x/y", Rule::GiveBack),
            ("h/content/containers", passage),
            ("h/content/containers/c/mounts", passage),
            ("h/content/containers/c/mounts/shm", Rule::Exchange),
            ("h/content/containers/c/hosts", Rule::Exchange),
            ("h/content/containers/c/config.v2.json", Rule::GiveBack),
            ("h/content/overlay2/x", passage),
            ("h/content/overlay2/x/link", Rule::GiveBack),
            ("h/content/overlay2/x/diff/etc/a/b", Rule::Exchange),
            ("h/content/volumes/v", Rule::GiveBack),
            ("h/content/volumes/v/_data/a", Rule::Exchange),
            ("h/content/appdata/web", Rule::Exchange),
            ("image", Rule::Skip),
        ] {
            assert_eq!(rule(&policy, path), expected, "{path}");
        }
    }
}
