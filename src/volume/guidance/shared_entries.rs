//! What helps to entries that a container cannot use, in a directory that it shares with a user of the host
//! (`ownership::share`): the container gets what the owner may do, and of set-id programs no write permission.

use super::Seen;
use crate::fs::escape::shell_word;
use crate::volume::unusable::{Owner, Unusable};

/// Why sharing gives the container no more than it has.
enum Limit {
    /// The owner lacks these of `r`, `w` and `x`.
    Owner(String),
    /// It is a set-id program.
    SetId,
    /// It does give more.
    None,
}

/// Entries that one command names: for others, the next check names them.
const MOST: usize = 10;

/// The commands that help.
pub(super) fn remedies(seen: &Seen<'_>, unusable: &[Unusable]) -> Vec<String> {
    let mut remedies = Vec::new();
    let limits: Vec<Limit> = unusable.iter().map(limit).collect();
    let all = || unusable.iter().zip(&limits);
    let closed: Vec<_> = all()
        .filter_map(|(entry, limit)| match limit {
            Limit::Owner(letters) => Some((entry, letters)),
            _ => None,
        })
        .collect();
    if let Some((_, letters)) = closed.first() {
        let alike = closed.iter().filter(|(_, other)| other == letters);
        let words: Vec<String> = alike
            .take(MOST)
            .map(|(entry, _)| shell_word(&entry.path))
            .collect();
        remedies.push(format!("chmod u+{letters} {}", words.join(" ")));
    }
    if limits.iter().any(|limit| !matches!(limit, Limit::SetId)) {
        remedies.push(seen.share());
    }
    if let Some((entry, _)) = all().find(|(_, limit)| matches!(limit, Limit::SetId)) {
        remedies.push(format!(
            "leave set-id programs: a container that could write to {} would run code as its owner",
            shell_word(&entry.path)
        ));
    }
    remedies
}

fn limit(entry: &Unusable) -> Limit {
    let Some(Owner { mode, .. }) = entry.owner else {
        return Limit::None;
    };
    let owner = mode.bits() >> 6;
    let lacks = |letter: &char| {
        let bit = match letter {
            'r' => 0o4,
            'w' => 0o2,
            _ => 0o1,
        };
        owner & bit == 0
    };
    let letters: String = entry.lacks.chars().filter(lacks).collect();
    match letters.is_empty() {
        false => Limit::Owner(letters),
        true if mode.has_setid() && entry.lacks == "w" && is_file(entry) => Limit::SetId,
        true => Limit::None,
    }
}

fn is_file(entry: &Unusable) -> bool {
    let found = entry.path.symlink_metadata();
    found.is_ok_and(|found| found.is_file())
}
