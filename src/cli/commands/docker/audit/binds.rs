//! What containers bind.

use std::path::PathBuf;

use crate::cli::output::say;
use crate::cli::output::table::columns_and_remedy;
use crate::cli::output::text::{one_line, path};
use crate::docker::bind_mounts::BindMount;
use crate::docker::owner_stats::OwnerStats;

/// The table. Verbose: all owners of each.
pub(super) fn print(mounts: &[BindMount], verbose: bool) {
    if mounts.is_empty() {
        return;
    }
    let most = if verbose { usize::MAX } else { 3 };
    say!("\nBind mounts:");
    let header = [
        "container",
        "source",
        "owner",
        "holds",
        "remapped",
        "what to do",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    for mount in mounts {
        let owner = mount.owner.clone().unwrap_or_else(|| "-".into());
        let read_only = if mount.read_only { " (ro)" } else { "" };
        let can = match (mount.readable, mount.writable) {
            (Some(true), Some(true)) => "read, write",
            (Some(true), _) => "read only",
            (Some(false), _) => "nothing",
            (None, _) => "-",
        };
        rows.push(vec![
            one_line(&mount.container),
            format!("{}{read_only}", path(&mount.source)),
            owner,
            mount
                .holds
                .as_ref()
                .map_or("-".into(), |holds| owners(holds, most)),
            can.to_string(),
            one_line(&mount.advice),
        ]);
    }
    say!("{}", columns_and_remedy(&rows).trim_end());
    closed_parents(mounts);
}

/// Directories above that the container's root cannot search, each once.
fn closed_parents(mounts: &[BindMount]) {
    let mut closed: Vec<&PathBuf> = mounts
        .iter()
        .flat_map(|mount| &mount.closed_parents)
        .collect();
    closed.sort();
    closed.dedup();
    for dir in closed {
        say!(
            "  {} cannot be searched by the container's root. Only runc before 1.1 needs that: idshift prepare --fix-parents adds the permission",
            path(dir)
        );
    }
}

/// The owners that have most in a directory, as the host has them.
fn owners(holds: &OwnerStats, most: usize) -> String {
    let mut owners: Vec<(&String, &u64)> = holds.owners.iter().collect();
    owners.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = owners.len() > most || holds.more;
    let mut words: Vec<&str> = owners
        .iter()
        .take(most)
        .map(|(owner, _)| owner.as_str())
        .collect();
    match (words.is_empty(), more) {
        (true, _) => return "empty".into(),
        (_, true) => words.push("…"),
        _ => {}
    }
    words.join(" ")
}
