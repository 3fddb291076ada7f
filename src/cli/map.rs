//! The map, from `--map` or from `/etc/subuid` and `/etc/subgid`.

use nix::unistd::{Uid, User};

use crate::cli::args::MapArgs;
use crate::cli::exit::Failure;
use crate::host::missing_ranges::MissingRanges;
use crate::idmap::{IdMap, Reader, SubidFile, map_from_subid};

/// The user whose lines dockerd reads for `--userns-remap=default`.
const DEFAULT_USER: &str = "dockremap";

impl MapArgs {
    /// True when the command line says something of a map.
    pub fn is_given(&self) -> bool {
        !self.maps.is_empty() || self.subid.is_some()
    }

    /// The map that is asked for.
    pub fn resolve(&self) -> Result<IdMap, Failure> {
        if !self.maps.is_empty() {
            return IdMap::from_specs(&self.maps).map_err(Failure::usage);
        }
        let user = self.subid.as_deref().unwrap_or(DEFAULT_USER);
        let number = user.parse().ok();
        let account = match number {
            Some(uid) => User::from_uid(Uid::from_raw(uid)),
            None => User::from_name(user),
        };
        let account = account.ok().flatten();
        let uid = number.or(account.as_ref().map(|account| account.uid.as_raw()));
        let subuid = read("/etc/subuid")?;
        let subgid = read("/etc/subgid")?;
        // A number alone is no name for a new account.
        if number.is_none() || account.is_some() {
            let name = account.as_ref().map_or(user, |account| &account.name);
            let missing = MissingRanges::of(name, uid, [&subuid, &subgid]);
            if let Some(missing) = missing.filter(MissingRanges::has_any) {
                return Err(Failure::refused(format!(
                    "{missing}. Or name the map: --map b:0:HOST:SIZE, for example --map b:0:100000:65536"
                )));
            }
        }
        map_from_subid(user, uid, &subuid, &subgid, Reader::Any).map_err(Failure::refused)
    }
}

/// A file that is not there has no lines.
fn read(path: &str) -> Result<SubidFile, Failure> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Failure::refused(format!("{path}: {error}"))),
        Ok(text) => text,
    };
    SubidFile::parse(&text, path).map_err(Failure::refused)
}
