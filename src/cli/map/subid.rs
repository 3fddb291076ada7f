//! The ranges of a user, from `/etc/subuid` and `/etc/subgid` or where `nsswitch.conf` says.

use nix::unistd::{Uid, User};

use super::NamedMap;
use crate::cli::exit::Failure;
use crate::host::missing_ranges::MissingRanges;
use crate::host::subid_source::{self, Ranges};
use crate::idmap::{IdMap, SubidReader, map_from_subid};

/// The user's ranges as one map, container ids counting up from 0. `reader`: Docker reads the two files only.
pub(super) fn map_of_user(user: &str, reader: SubidReader) -> Result<NamedMap, Failure> {
    let number = user.parse().ok();
    let account = account(user);
    let uid = number.or(account.as_ref().map(|account| account.uid.as_raw()));
    let ranges = match reader {
        SubidReader::Any => subid_source::ranges_of(user),
        SubidReader::Docker => subid_source::ranges_in_files(),
    };
    let Ranges {
        files: [subuid, subgid],
        were_asked_for,
    } = ranges.map_err(Failure::refused)?;
    // A number alone is no name for a new account.
    if !were_asked_for && (number.is_none() || account.is_some()) {
        let name = account.as_ref().map_or(user, |account| &account.name);
        let missing = MissingRanges::of(name, uid, [&subuid, &subgid]);
        if let Some(missing) = missing.filter(MissingRanges::has_any) {
            return Err(Failure::refused(format!(
                "{missing}. Or name the map: --map b:0:HOST:SIZE, for example --map b:0:100000:65536"
            )));
        }
    }
    let map = map_from_subid(user, uid, &subuid, &subgid, reader).map_err(Failure::refused)?;
    let source = match were_asked_for {
        true => format!("getsubids {user}"),
        false => format!("{user} in /etc/subuid and /etc/subgid"),
    };
    let name = account.map(|account| account.name);
    let uid = uid.map(|uid| uid.to_string());
    Ok(NamedMap {
        owners: name
            .into_iter()
            .chain(uid)
            .chain([user.to_string()])
            .collect(),
        ..NamedMap::plain(map, source)
    })
}

/// What a user's rootless engine has: 0 is the user, and the user's ranges follow from 1 on.
pub(super) fn rootless(user: &str) -> Result<NamedMap, Failure> {
    let account = account(user).ok_or_else(|| {
        Failure::refused(format!(
            "--subid {user}: there is no user {user}: `getent passwd` lists those that are there"
        ))
    })?;
    if account.uid.is_root() {
        return Err(Failure::usage(
            "--subid root: no engine of root is rootless, and its ids are those of the host. Leave out --subid",
        ));
    }
    let ranges = map_of_user(user, SubidReader::Any)?;
    let own = (account.uid.as_raw(), account.gid.as_raw());
    Ok(NamedMap {
        map: IdMap::rootless(own, &ranges.map).map_err(Failure::refused)?,
        ..ranges
    })
}

fn account(user: &str) -> Option<User> {
    let account = match user.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(user),
    };
    account.ok().flatten()
}
