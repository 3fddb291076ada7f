//! The way out of an idmapped root.

use std::collections::HashSet;

use super::{Age, Since, below, is_left_alone, is_temporary};
use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};

/// Gives files that a daemon made as root of the host back to root; everything else stays.
pub struct RevertIdmapped {
    /// Where the content is.
    pub place: [String; 2],
    /// Files that are rewritten, and are given back then.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// When the root was made idmapped.
    pub since: Since,
}

impl Policy for RevertIdmapped {
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
            Some(Ok(names)) if names.len() < 3 => None,
            Some(Ok(_)) => Some(Rule::GiveBack),
            Some(Err(())) => None,
            None => Some(Rule::Skip),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut names = dir.tail(dir.depth);
        names.push(name);
        match below(&self.place, &names) {
            Some(Ok([]) | Err(())) => Rule::Keep,
            Some(Ok(names)) => {
                let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
                match self.rewritten.contains(&names) {
                    true => Rule::Keep,
                    false => Rule::GiveBack,
                }
            }
            None => Rule::Skip,
        }
    }

    /// Before it was idmapped, a container could have ids of the range: a runtime in a container makes such files.
    fn inode_rule(&self, dir: &DirPath, name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        if rule != Rule::GiveBack || dir.root > 0 {
            return rule;
        }
        let mut names = dir.tail(dir.depth);
        names.push(name);
        let below = below(&self.place, &names);
        let age = match below {
            Some(Ok([_])) => self.since.age_of_renamed(stat),
            _ => self.since.age(stat),
        };
        match (age, below) {
            (Age::Since, _) => rule,
            (_, Some(Ok(names))) if !is_left_alone(names) => rule,
            (Age::Before, Some(Ok(_))) => Rule::Keep,
            (Age::Unknown(why), Some(Ok(names))) if !is_temporary(names) => Rule::Undated(why),
            _ => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::idmapped::layout::tests::{place, rule};
    use crate::idmap::IdMap;

    #[test]
    fn only_the_content_is_given_back() {
        let names = |path: &str| {
            path.split('/')
                .map(|name| name.as_bytes().to_vec())
                .collect()
        };
        let policy = RevertIdmapped {
            place: place(),
            rewritten: HashSet::from([names("containers/c/config.v2.json")]),
            since: Since {
                ms: 0,
                doubt: None,
                decided: None,
                map: IdMap::identity(),
            },
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
}
