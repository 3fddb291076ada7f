//! What an engine is told of a container. Ids in what a rootless engine is told are those of its user, and not of the host.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::{NamedMap, subid};
use crate::cli::exit::Failure;
use crate::cli::output::text::shell_word;
use crate::idmap::IdMap;
use crate::idmap::notation::NotationError;
use crate::idmap::notation::oci::OciMaps;
use crate::idmap::notation::podman::PodmanMaps;

/// Where units of users are that root installs (`podman-systemd.unit(5)`); below it there may be a directory for each
/// uid.
const UNITS_OF_USERS: &str = "/containers/systemd/users/";

/// `nobody`, of files whose owner is not known.
const NOBODY: u32 = 65_534;

impl NamedMap {
    /// Takes the options of the Podman of this user, else of root's.
    pub(super) fn take_podman(
        &mut self,
        maps: &PodmanMaps,
        place: Option<&Path>,
        user: Option<&str>,
        name: &str,
    ) -> Result<(), Failure> {
        let Some(user) = user else {
            // A script may be run by root, whosever it is.
            if maps.is_unit {
                check_is_of_root(place, name)?;
            }
            self.map = maps.of_root().map_err(Failure::refused)?;
            let note = "read as options of root's Podman; for rootless Podman, add --subid USER";
            self.notes.push(note.into());
            return Ok(());
        };
        self.take_of_user(user, |ranges| maps.of_user(user, ranges))
    }

    /// Takes what the runtime is told by the engine of this user, else by root's.
    pub(super) fn take_oci(
        &mut self,
        maps: &OciMaps,
        place: Option<&Path>,
        user: Option<&str>,
        name: &str,
    ) -> Result<(), Failure> {
        let Some(user) = user else {
            check_is_of_root(place, name)?;
            let map = maps.of_root();
            self.is_hosts = map.is_none();
            self.map = map.unwrap_or_else(IdMap::identity);
            let note = "read as that of root's engine; for a rootless engine, add --subid USER";
            self.notes.push(note.into());
            return Ok(());
        };
        self.take_of_user(user, |ranges| maps.of_user(user, ranges))
    }

    /// Takes a map that is made of the ranges of this user.
    fn take_of_user(
        &mut self,
        user: &str,
        map_of: impl FnOnce(&IdMap) -> Result<IdMap, NotationError>,
    ) -> Result<(), Failure> {
        let has = subid::rootless(user)?;
        self.map = map_of(&has.map).map_err(Failure::refused)?;
        self.owners = has.owners;
        Ok(())
    }
}

/// Refuses a file of a user's engine where no user is named.
///
/// # Errors
/// It belongs to an account other than root, or is below a directory that does; or it is where units of users are.
fn check_is_of_root(place: Option<&Path>, name: &str) -> Result<(), Failure> {
    let Some((path, user)) = place.and_then(|path| Some((path, user_of(path)?))) else {
        return Ok(());
    };
    let file = shell_word(path);
    Err(Failure::refused(format!(
        "{name}: is of the user {user}, so its ids are those of a rootless engine of {user}, and not of the host. Add --subid \
        {user}. For --from and --to, name the ranges that `idshift map --subid {user} --map-from {file}` prints. If it \
        is of root's engine, give it on standard input: --map-from - < {file}"
    )))
}

/// The account whose file it is, or whose directory it is in; by the path without symlinks of the file that was read. Ids of containers have no account.
fn user_of(path: &Path) -> Option<String> {
    let account = |uid: u32| User::from_uid(Uid::from_raw(uid)).ok().flatten();
    if let Some((_, below)) = path.to_str()?.split_once(UNITS_OF_USERS) {
        let uid = below.split('/').next()?.parse().ok();
        let account = uid.and_then(account);
        return Some(account.map_or("USER".into(), |account| account.name));
    }
    path.ancestors().find_map(|path| {
        let uid = path.metadata().ok()?.uid();
        let is_users = uid != 0 && uid != NOBODY;
        is_users.then(|| account(uid)).flatten().map(|it| it.name)
    })
}
