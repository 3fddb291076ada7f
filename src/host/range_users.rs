//! Who else has ids of a map's host side: other users' ranges, and accounts of the host.

use serde::Serialize;

use super::subid_source;
use super::subids::accounts;
use crate::idmap::{IdMap, Range, RangeMap, SubidLine};

/// A range of another user that shares ids with a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedRange {
    /// `/etc/subuid` or `/etc/subgid`.
    pub file: &'static str,
    /// Line number, from 1.
    pub line: usize,
    /// Whose it is, as the line says.
    pub owner: String,
    /// First id that both have.
    pub first: u32,
    /// Last id that both have.
    pub last: u32,
}

/// An account or a group of the host that has an id of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inside {
    /// `uid` or `gid`.
    pub ids: &'static str,
    /// Its host id.
    pub id: u32,
    /// What it is called.
    pub name: String,
    /// What it is in the container.
    pub container: u32,
}

/// Everybody else who has ids of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RangeUsers {
    /// Lines of `/etc/subuid` and `/etc/subgid`.
    pub shared_ranges: Vec<SharedRange>,
    /// Accounts and groups.
    pub accounts: Vec<Inside>,
    /// Files that could not be read, and why.
    pub unread: Vec<String>,
}

/// Who else has ids of this map; lines of `owners`, by name or uid, are its own.
pub fn of_map(map: &IdMap, owners: &[String]) -> RangeUsers {
    let mut users = RangeUsers::default();
    let accounts = accounts();
    let sides = [
        ("/etc/subuid", "uid", &map.uids, &accounts[0]),
        ("/etc/subgid", "gid", &map.gids, &accounts[1]),
    ];
    for (path, ids, map, accounts) in sides {
        match subid_source::read(path) {
            Ok(file) => users
                .shared_ranges
                .extend(shared(file.lines(), path, map, owners)),
            Err(error) => users.unread.push(error.to_string()),
        }
        let inside = accounts.iter().filter_map(|(id, name)| {
            let container = map
                .ranges()
                .iter()
                .find_map(|range| range.to_container(*id))?;
            let name = name.clone();
            Some(Inside {
                ids,
                id: *id,
                name,
                container,
            })
        });
        users.accounts.extend(inside);
    }
    users
}

fn shared(
    lines: &[SubidLine],
    file: &'static str,
    map: &RangeMap,
    owners: &[String],
) -> Vec<SharedRange> {
    let others = lines.iter().filter(|line| !owners.contains(&line.owner));
    let shared = |line: &SubidLine| {
        let own = Range::new(line.start, line.start, line.count).ok()?;
        // An id that is passed through is meant to be somebody's.
        let ranges = map.ranges().iter().filter(|range| !range.is_identity());
        let both: Vec<Range> = ranges.filter_map(|range| range.then(own)).collect();
        let first = both.iter().map(Range::host).min()?;
        let last = both
            .iter()
            .map(|range| range.host() + (range.size() - 1))
            .max()?;
        Some(SharedRange {
            file,
            line: line.line_no,
            owner: line.owner.clone(),
            first,
            last,
        })
    };
    others.filter_map(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::SubidFile;

    #[test]
    fn lines_of_others_that_share_ids_are_found() {
        let file = SubidFile::parse(
            b"me:100000:65536\n1000:100000:5\neve:165535:10\nbob:165536:10\n",
            "x",
        )
        .unwrap();
        let ranges = [
            "0:100000:65536".parse().unwrap(),
            "70000:165536:2".parse().unwrap(),
            "70002:165545:1".parse().unwrap(),
        ];
        let map = RangeMap::new(ranges[..1].to_vec()).unwrap();
        let found = |map: &RangeMap| -> Vec<String> {
            let shared = shared(
                file.lines(),
                "/etc/subuid",
                map,
                &["me".into(), "1000".into()],
            );
            shared
                .iter()
                .map(|it| format!("{} {} {}-{}", it.line, it.owner, it.first, it.last))
                .collect()
        };
        assert_eq!(found(&map), ["3 eve 165535-165535"]);
        let map = RangeMap::new(ranges).unwrap();
        assert_eq!(found(&map), ["3 eve 165535-165537", "4 bob 165536-165545"]);
        let passed = RangeMap::new(["165536:165536:5".parse().unwrap()]).unwrap();
        assert_eq!(found(&passed), Vec::<String>::new());
    }
}
