//! The table of owners.

use std::fmt::Write as _;

use crate::cli::output::text::{count, table};
use crate::engine::Report;
use crate::ownership::FileType;

/// Rows of the owners' table.
const MOST_OWNERS: usize = 20;

pub(super) fn owners(text: &mut String, report: &Report) {
    let stats = &report.stats;
    if stats.owners.is_empty() {
        return;
    }
    let mut owners: Vec<_> = stats.owners.iter().collect();
    owners.sort_by_key(|(owners, count)| (std::cmp::Reverse(**count), **owners));
    let mut rows = vec![vec![
        "owner".into(),
        String::new(),
        "becomes".into(),
        "inodes".into(),
    ]];
    for (((uid, gid), (new_uid, new_gid)), n) in owners.iter().take(MOST_OWNERS) {
        rows.push(vec![
            format!("{uid}:{gid}"),
            "->".into(),
            format!("{new_uid}:{new_gid}"),
            count(**n),
        ]);
    }
    if let Some(others) = owners
        .get(MOST_OWNERS..)
        .filter(|others| !others.is_empty())
    {
        let sum = others.iter().map(|(_, n)| **n).sum::<u64>() + stats.with_more_owners;
        let least = if stats.with_more_owners > 0 {
            "over "
        } else {
            ""
        };
        let what = format!("{least}{} more owners", count(others.len() as u64));
        rows.push(vec![what, String::new(), String::new(), count(sum)]);
    }
    let _ = write!(text, "\n{}", table(&rows));
    let kinds: Vec<String> = KINDS
        .iter()
        .filter_map(|(kind, one, many)| {
            let n = *stats.kinds.get(kind)?;
            Some(format!("{} {}", count(n), if n == 1 { one } else { many }))
        })
        .collect();
    let _ = writeln!(text, "\n  {}", kinds.join(", "));
}

const KINDS: [(FileType, &str, &str); 7] = [
    (FileType::File, "file", "files"),
    (FileType::Directory, "directory", "directories"),
    (FileType::Symlink, "symlink", "symlinks"),
    (FileType::Fifo, "fifo", "fifos"),
    (FileType::Socket, "socket", "sockets"),
    (
        FileType::CharDevice,
        "character device",
        "character devices",
    ),
    (FileType::BlockDevice, "block device", "block devices"),
];
