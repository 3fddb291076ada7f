//! `idshift map`

use serde::Serialize;

use crate::cli::args::MapCommandArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::map::NamedMap;
use crate::cli::output::json::Invocation;
use crate::cli::output::text::{columns, count, one_line};
use crate::cli::output::{say, say_sentences};
use crate::host::range_users::{self, RangeUsers};
use crate::idmap::range::RESERVED;
use crate::idmap::{Direction, Mapped, RangeMap};

/// Accounts and ranges that are listed without `--verbose`.
const SHOWN: usize = 10;

/// What an id is on the other side.
#[derive(Debug, Serialize)]
struct Explained {
    /// `uid` or `gid`.
    ids: &'static str,
    id: u32,
    /// As an id of the container: the host's.
    on_host: Option<u32>,
    /// As an id of the host: the container's.
    in_container: Option<u32>,
}

/// Runs it.
pub fn run(args: &MapCommandArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let named = args.map.or_of_docker(Direction::Into)?.named()?;
    if let Some(id) = args.ids.iter().find(|id| **id == RESERVED) {
        return Err(Failure::usage(format!(
            "--id {id}: is reserved and is not an id"
        )));
    }
    let users = match named.is_hosts {
        true => RangeUsers::default(),
        false => range_users::of_map(&named.map, &named.owners),
    };
    let explained: Vec<Explained> = args
        .ids
        .iter()
        .flat_map(|id| explain(&named, *id))
        .collect();
    if args.json {
        let value = serde_json::json!({
            "source": named.source, "map": named.map, "is_hosts": named.is_hosts, "notes": named.notes, "ids": explained,
            "shared_ranges": users.shared_ranges, "accounts": users.accounts, "unread": users.unread,
        });
        invocation.print("done", value);
        return Ok(Exit::Done);
    }
    print_map(&named);
    for note in &named.notes {
        say_sentences!("Note: {}.", one_line(note));
    }
    let most = if args.verbose { usize::MAX } else { SHOWN };
    // Those of host ids are all accounts there are.
    if !named.is_hosts {
        print_users(&users, most);
    }
    if !explained.is_empty() {
        say!("");
    }
    for one in &explained {
        print_explained(one, &users);
    }
    Ok(Exit::Done)
}

fn explain(named: &NamedMap, id: u32) -> [Explained; 2] {
    let other = |map: &RangeMap, direction| match map.map(id, direction) {
        Mapped::To(id) => Some(id),
        Mapped::Already | Mapped::Unmapped => None,
    };
    [("uid", &named.map.uids), ("gid", &named.map.gids)].map(|(ids, map)| Explained {
        ids,
        id,
        on_host: other(map, Direction::Into),
        in_container: other(map, Direction::OutOf),
    })
}

fn print_map(named: &NamedMap) {
    let source = one_line(&named.source);
    if named.is_hosts {
        say_sentences!(
            "{source}: the container has no user namespace; its ids are those of the host."
        );
        return;
    }
    say!("{source}: {}\n", named.map);
    let mut rows = vec![["", "container", "host", "ids"].map(String::from).to_vec()];
    let span = |first: u32, size: u32| match size {
        1 => first.to_string(),
        _ => format!("{first}-{}", first + (size - 1)),
    };
    for (ids, map) in [("uids", &named.map.uids), ("gids", &named.map.gids)] {
        rows.extend(map.ranges().iter().map(|range| {
            let passed = if range.is_identity() {
                " (passed through)"
            } else {
                ""
            };
            vec![
                ids.to_string(),
                span(range.container(), range.size()),
                span(range.host(), range.size()),
                format!("{}{passed}", count(range.size().into())),
            ]
        }));
    }
    say!("{}", columns(&rows));
}

fn print_users(users: &RangeUsers, most: usize) {
    for error in &users.unread {
        say_sentences!("Not read: {}.", one_line(error));
    }
    for shared in users.shared_ranges.iter().take(most) {
        say_sentences!(
            "Shared with {}: {}-{} (line {} of {}).",
            one_line(&shared.owner),
            shared.first,
            shared.last,
            shared.line,
            shared.file
        );
    }
    let more = users.shared_ranges.len().saturating_sub(most);
    if more > 0 {
        say!("And {} more such lines; -v lists them.", count(more as u64));
    }
    for (ids, what) in [("uid", "Accounts"), ("gid", "Groups")] {
        let all = users.accounts.iter().filter(|inside| inside.ids == ids);
        let names: Vec<String> = all
            .map(|inside| {
                let container = match inside.container == inside.id {
                    true => "passed through".into(),
                    false => format!("in the container {}", inside.container),
                };
                format!("{} ({}, {container})", one_line(&inside.name), inside.id)
            })
            .collect();
        if names.is_empty() {
            continue;
        }
        let more = names.len().saturating_sub(most);
        let more = if more > 0 {
            format!(" and {more} more; -v lists them")
        } else {
            String::new()
        };
        let names = names[..names.len().min(most)].join(", ");
        say_sentences!("{what} of the host inside the map: {names}{more}.");
    }
    if *users == RangeUsers::default() {
        say_sentences!(
            "No other line of /etc/subuid and /etc/subgid, no account and no group has ids of this map."
        );
    }
}

fn print_explained(one: &Explained, users: &RangeUsers) {
    let Explained {
        ids,
        id,
        on_host,
        in_container,
    } = one;
    match on_host {
        Some(host) => say_sentences!("{ids} {id} of the container is {host} on the host."),
        None => {
            say_sentences!(
                "{ids} {id} of the container has no id on the host: it is outside the map."
            )
        }
    }
    let whose = users
        .accounts
        .iter()
        .find(|inside| inside.ids == *ids && inside.id == *id);
    let whose = whose.map(|inside| format!(" ({})", one_line(&inside.name)));
    let whose = whose.unwrap_or_default();
    match in_container {
        Some(container) => {
            say_sentences!("{ids} {id} of the host{whose} is {container} in the container.")
        }
        None => {
            say_sentences!(
                "{ids} {id} of the host has no id in the container, which sees 65534 (nobody)."
            )
        }
    }
}
