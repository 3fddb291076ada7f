//! An idmapped root is made permanent.

use super::{Age, Since, below, is_left_alone, is_temporary};
use crate::docker::layout::Layout;
use crate::docker::path_owner::{PathOwner, owner_of};
use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};

/// What is seen through the mount becomes what is on disk, as far as containers see it; the rest is as in a root whose
/// owners were changed.
pub struct MakePermanent {
    /// Where the content is.
    pub place: [String; 2],
    /// Of such a root.
    pub layout: Layout,
    /// As in [`super::RevertIdmapped`].
    pub since: Since,
}

impl MakePermanent {
    fn rule(&self, names: &[&[u8]]) -> Rule {
        match (self.layout.rule_of(names), owner_of(names)) {
            (rule @ Rule::Set { .. }, _) => rule,
            (_, PathOwner::Content | PathOwner::Own) => Rule::Exchange,
            (_, PathOwner::Daemon) => Rule::GiveBack,
        }
    }
}

impl Policy for MakePermanent {
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0
    }

    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        let names = dir.tail(dir.depth);
        match below(&self.place, &names) {
            Some(Ok(names)) if names.len() >= 3 => match self.rule(names) {
                Rule::Set { .. } => None,
                rule => Some(rule),
            },
            Some(_) => None,
            None => Some(Rule::Skip),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut names = dir.tail(dir.depth);
        names.push(name);
        match below(&self.place, &names) {
            Some(Err(())) => Rule::Keep,
            Some(Ok([])) => self.layout.traversal_rule(),
            Some(Ok(names)) => self.rule(names),
            None => Rule::Skip,
        }
    }

    /// Nothing that is older than the mount was made through it: an id of the range is one that changed owners cannot
    /// carry, and not one that the daemon was given. Where times do not tell, it may be one all the same: then the run
    /// stops at it, too.
    ///
    /// A containerd's snapshots were left alone, and are in such a root, too.
    fn inode_rule(&self, dir: &DirPath, name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        if dir.root > 0 {
            return rule;
        }
        let age = self.since.age(stat);
        if age == Age::Since {
            return rule;
        }
        let mut names = dir.tail(dir.depth);
        names.push(name);
        match (rule, age, below(&self.place, &names)) {
            (_, Age::Unknown(_), Some(Ok(names))) if is_temporary(names) => rule,
            (Rule::Exchange, Age::Unknown(why), _) => Rule::ExchangeUndated(why),
            (Rule::Exchange, ..) => Rule::MapAll,
            (Rule::GiveBack, _, Some(Ok(names))) if !is_left_alone(names) => rule,
            (Rule::GiveBack, Age::Unknown(why), Some(Ok(_))) => Rule::Undated(why),
            (Rule::GiveBack, _, Some(Ok(_))) => Rule::Keep,
            _ => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::idmapped::layout::tests::{place, rule};
    use crate::idmap::Direction;
    use crate::idmap::IdMap;

    #[test]
    fn a_permanent_root_is_as_one_of_changed_owners() {
        let policy = MakePermanent {
            place: place(),
            layout: Layout::plain(Direction::Into, (100_000, 100_000)),
            since: Since {
                ms: 0,
                doubt: None,
                decided: None,
                map: IdMap::identity(),
            },
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
