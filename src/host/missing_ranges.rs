//! What a user lacks to be remapped to, and the commands that make it.

use std::path::Path;

use nix::unistd::Group;

use crate::idmap::{IdMap, SubidFile};

/// First id that dockerd gives away, and how many (moby `pkg/idtools/usergroupadd_linux.go`).
const FIRST: u32 = 100_000;
const COUNT: u32 = 65_536;

/// The two files, with the option of `usermod(8)` that gives a range in each.
const FILES: [(&str, &str); 2] = [
    ("/etc/subuid", "--add-subuids"),
    ("/etc/subgid", "--add-subgids"),
];

/// What a user lacks.
#[derive(Clone, Debug)]
pub struct MissingRanges {
    user: String,
    makes_user: bool,
    /// There is a group of this name: useradd(8) has to be told that it is meant.
    has_group: bool,
    /// First id and size of the ranges that are to be given, in the order of the files.
    ranges: [Option<(u32, u32)>; 2],
}

impl MissingRanges {
    /// Of a user that has this uid, or is not there; none where a file has no room for a range.
    pub fn of(user: &str, uid: Option<u32>, files: [&SubidFile; 2]) -> Option<MissingRanges> {
        MissingRanges::given_by(user, uid, files, |file, _| {
            let ranges = file.lines().iter().map(|line| (line.start, line.count));
            Some((free_start(ranges.collect())?, COUNT))
        })
    }

    /// What is missing where the user is to have the ranges of this map; none where several are missing in a file.
    pub fn of_map(
        user: &str,
        uid: Option<u32>,
        files: [&SubidFile; 2],
        map: &IdMap,
    ) -> Option<MissingRanges> {
        MissingRanges::given_by(user, uid, files, |_, index| {
            match [&map.uids, &map.gids][index].ranges() {
                [range] if range.container() == 0 => Some((range.host(), range.size())),
                _ => None,
            }
        })
    }

    /// `range` gives the one for a file without lines of the user.
    fn given_by(
        user: &str,
        uid: Option<u32>,
        files: [&SubidFile; 2],
        range: impl Fn(&SubidFile, usize) -> Option<(u32, u32)>,
    ) -> Option<MissingRanges> {
        let mut ranges = [None; 2];
        for (index, file) in files.into_iter().enumerate() {
            if file.lines_for(user, uid).is_empty() {
                ranges[index] = Some(range(file, index)?);
            }
        }
        Some(MissingRanges {
            user: user.to_string(),
            makes_user: uid.is_none(),
            has_group: Group::from_name(user).ok().flatten().is_some(),
            ranges,
        })
    }

    /// First ids of the ranges that are missing, of uids and of gids.
    pub fn starts(&self) -> [Option<u32>; 2] {
        self.ranges.map(|range| range.map(|(start, _)| start))
    }

    /// Whether a range is missing.
    pub fn has_any(&self) -> bool {
        self.ranges.iter().any(Option::is_some)
    }

    /// What is to be made, for people.
    pub fn list(&self) -> Vec<String> {
        let user = self.makes_user.then(|| format!("user {}", self.user));
        let ranges = self
            .ranges()
            .map(|(path, _, range)| format!("{range} in {path}"));
        user.into_iter().chain(ranges).collect()
    }

    /// The commands that make it, word by word.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(std::string::ToString::to_string).collect();
        let mut commands: Vec<Vec<String>> = Vec::new();
        // usermod(8) gives no range in a file that is not there.
        let absent = self.ranges().map(|(path, ..)| path);
        let absent: Vec<&str> = absent.filter(|path| !Path::new(path).exists()).collect();
        if !absent.is_empty() {
            commands.push(words(&[&["touch"], &absent[..]].concat()));
        }
        if self.makes_user {
            let group: &[&str] = if self.has_group {
                &["-g", &self.user]
            } else {
                &[]
            };
            let useradd = ["useradd", "-r", "-s", "/bin/false"];
            commands.push(words(&[&useradd, group, &[&self.user]].concat()));
        }
        let ranges = self
            .ranges()
            .flat_map(|(_, option, range)| [option.to_string(), range]);
        let ranges: Vec<String> = ranges.collect();
        if !ranges.is_empty() {
            let usermod = [vec!["usermod".to_string()], ranges, vec![self.user.clone()]];
            commands.push(usermod.concat());
        }
        commands
    }

    /// The command, for a shell.
    pub fn command_line(&self) -> String {
        let commands: Vec<String> = self
            .commands()
            .iter()
            .map(|words| words.join(" "))
            .collect();
        commands.join(" && ")
    }

    /// What is missing, as a sentence without its end.
    pub fn what(&self) -> String {
        let files: Vec<&str> = self.ranges().map(|(path, ..)| path).collect();
        let files = files.join(" and ");
        let user = &self.user;
        match self.makes_user {
            true if files.is_empty() => format!("there is no user {user}"),
            true => format!("there is no user {user}, and no range for it in {files}"),
            false => format!("user {user} has no range in {files}"),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        FILES
            .into_iter()
            .zip(self.ranges)
            .filter_map(|((path, option), range)| {
                let (start, count) = range?;
                Some((path, option, format!("{start}-{}", start + (count - 1))))
            })
    }
}

/// What is missing, and what makes it.
impl std::fmt::Display for MissingRanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}. `{}` makes what is missing",
            self.what(),
            self.command_line()
        )
    }
}

/// A line of a range as `subuid(5)` has it.
pub fn line(user: &str, start: u32) -> String {
    format!("{user}:{start}:{COUNT}\n")
}

/// The first room for a range behind or between those that are given away.
fn free_start(mut ranges: Vec<(u32, u32)>) -> Option<u32> {
    ranges.sort();
    let start = ranges.into_iter().try_fold(FIRST, |start, (from, count)| {
        let end = from.checked_add(count)?;
        let overlaps = start < end && from < start.checked_add(COUNT)?;
        Some(if overlaps { end } else { start })
    })?;
    start.checked_add(COUNT).map(|_| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_lies_on_no_other() {
        assert_eq!(free_start(vec![]), Some(100_000));
        assert_eq!(free_start(vec![(100_000, 65_536)]), Some(165_536));
        assert_eq!(free_start(vec![(300_000, 65_536)]), Some(100_000));
        assert_eq!(
            free_start(vec![(165_536, 65_536), (120_000, 10)]),
            Some(231_072)
        );
        assert_eq!(
            free_start(vec![(4_294_900_000, 65_536), (100_000, 4_294_800_000)]),
            None
        );
    }
}
