//! What helps a container's user to a directory or file. All flags and commands that this layer names are here: it is
//! a command of its own, and composes whole command lines.
//!
//! - `shared_entries`: of entries in a directory that a user of the host keeps
//! - [`through_idmapped_mount`]: of what is seen through an idmapped mount

mod shared_entries;
pub mod through_idmapped_mount;

use std::path::Path;

use rustix::io::Errno;

use super::unusable::Unusable;
use super::user::ContainerUser;
use crate::fs::access_probe::{AccessKind, AccessResult};
use crate::fs::escape::shell_word;
use crate::fs::{Root, Stat, attributes};
use crate::guidance::ALLOW_HOME;
use crate::idmap::{Direction, IdMap, Mapped};
use crate::ownership::{Mapping, Ownership, access, map_ownership};
use crate::preflight::homes;
use crate::preflight::{self, UnsuitableRoot};

/// Of a directory that is missing.
pub const CREATE: &str = "--create creates it, with the right owner";

/// Of a path that is missing and is to be shared.
pub const NOT_THERE_TO_SHARE: &str =
    "is not there. Make it for the user of the host first: `install -d -o USER PATH`";

/// Of a path without ACLs that is to be shared.
pub fn no_acls(map_words: &str, path: &Path, user: &ContainerUser) -> String {
    format!(
        "is on a filesystem without ACLs, so that nobody but its owner, its group and all others can be given access. \
        `idshift mount{map_words} --owner {user} {} TARGET` shows it to the container as its own, and changes nothing",
        shell_word(path)
    )
}

/// Of a path that is to be shared and belongs to the container.
pub fn in_range(host_id: u32, container_id: u32) -> String {
    format!(
        "belongs to {host_id}, which is {container_id} in the container, and --share is for what belongs to a user of \
        the host. Give it to that user first (`idshift prepare --reverse` or `chown`)"
    )
}

/// Of a path that is to be shared and is private; `what` says whose.
pub fn private_files(what: &str, map_words: &str, path: &Path) -> String {
    format!(
        "{what}. An ACL entry would show in its mode as permission for the group, and sshd and other programs refuse such \
        files. Share another directory, give the container a view of this one with `idshift mount{map_words} {} \
        TARGET`, or add {ALLOW_HOME} if you mean this one",
        shell_word(path)
    )
}

/// Of a directory above that the container's root may not search.
pub const FIX_PARENTS: &str = "--fix-parents adds the permission, one ACL entry";

/// Of a directory that is missing and whose user is known.
pub fn create_for_user(map_words: &str, path: &Path, user: &ContainerUser) -> String {
    let path = shell_word(path);
    format!("`idshift prepare{map_words} {path} --create --owner {user}` creates it for this user")
}

/// Adds the option to the commands that lets the container's root search closed directories above.
pub fn add_fix_parents(remedies: &mut Vec<String>, seen: &Seen<'_>) {
    let mut commands = remedies.iter_mut();
    match commands.find(|command| command.starts_with("idshift prepare")) {
        Some(prepare) => *prepare += " --fix-parents",
        None => remedies.push(format!("{} --fix-parents", seen.prepare())),
    }
}

/// The mount that helps as one of the commands does that change owners.
pub fn mount_instead(remedies: &[String]) -> Option<String> {
    let mut remedies = remedies.iter();
    let words = remedies.find_map(|remedy| remedy.strip_prefix("idshift prepare"))?;
    let words = words.replace(" --fix-parents", "");
    // A mount changes what a login account sees at its path.
    let words = words.replace(" --share", &format!(" {ALLOW_HOME}"));
    Some(format!("idshift mount{words}"))
}

/// What is known about a path and its user.
pub struct Seen<'a> {
    /// The path.
    pub root: &'a Root,
    /// Its ownership.
    pub ownership: &'a Ownership,
    /// What `statx` says of it.
    pub stat: &'a Stat,
    /// Why its filesystem cannot keep other owners.
    pub filesystem: Option<UnsuitableRoot>,
    /// The user.
    pub user: &'a ContainerUser,
    /// Their ids on the host.
    pub host_ids: (u32, u32),
    /// The map.
    pub map: &'a IdMap,
    /// The user needs to write, too.
    pub write: bool,
    /// How the map is chosen, for commands.
    pub map_words: &'a str,
}

/// Entries below that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// There are none, or they do not count.
    Fine,
    /// All of them belong to the user itself.
    Own,
    /// Some belong to others.
    Others,
}

impl Seen<'_> {
    /// `idshift prepare PATH`
    pub fn prepare(&self) -> String {
        let home = homes::flag(&self.root.path);
        format!("idshift prepare{}{home} {}", self.map_words, self.word())
    }

    /// Gives it to the user, or shares it with the login account that works with it.
    fn prepare_for_user(&self) -> String {
        match self.is_to_be_shared() {
            true => self.share(),
            false => format!("{} --owner {}", self.prepare(), self.user),
        }
    }

    /// A login account works with it, and ACL entries let the container use it too.
    fn is_to_be_shared(&self) -> bool {
        homes::can_be_shared(self.root) && attributes::keeps_acls(&self.root.pin)
    }

    fn share(&self) -> String {
        let read_only = if self.write { "" } else { " --read-only" };
        format!(
            "idshift prepare{} --share{read_only} --owner {} {}",
            self.map_words,
            self.user,
            self.word()
        )
    }

    fn word(&self) -> String {
        shell_word(&self.root.path)
    }

    /// The path's owner is on the container's side of the map already.
    fn is_shifted(&self) -> bool {
        let side = self.map.uids.map(self.ownership.uid, Direction::Into);
        side == Mapped::Already
    }

    /// Whether owner, mode and ACL let the user do all of it once the path is shifted.
    fn shift_is_enough(&self) -> bool {
        let Mapping::Change(shifted) = map_ownership(self.ownership, self.map, Direction::Into)
        else {
            return false;
        };
        let to_host = |gid: &u32| match self.map.gids.map(*gid, Direction::Into) {
            Mapped::To(gid) => Some(gid),
            _ => None,
        };
        let gids: Vec<u32> = std::iter::once(self.host_ids.1)
            .chain(self.user.groups.iter().filter_map(to_host))
            .collect();
        self.user.uid == 0 || access::may(&shifted, self.host_ids.0, &gids, self.wanted())
    }

    /// Read 4, write 2, execute 1.
    fn wanted(&self) -> u8 {
        match (self.stat.is_dir(), self.write) {
            (true, true) => 0o7,
            (true, false) => 0o5,
            (false, true) => 0o6,
            (false, false) => 0o4,
        }
    }

    /// Whether the mode lets an owner do all of it.
    fn owner_can(&self) -> bool {
        let bits = self.ownership.mode.bits() >> 6;
        let wanted = u16::from(self.wanted());
        self.user.uid == 0 || bits & wanted == wanted
    }

    fn open_to_owner(&self) -> String {
        let letters = match self.stat.is_dir() {
            true => "rwx",
            false => "rw",
        };
        format!("chmod u+{letters} {}", self.word())
    }

    /// Why the path cannot be prepared, and what to do instead.
    fn obstacle(&self, errno: Errno) -> Option<String> {
        let (uid, gid) = self.host_ids;
        let path = self.word();
        if let Err(UnsuitableRoot::System { why, .. }) =
            preflight::check_system_path(&self.root.path)
        {
            return Some(format!(
                "give the container a directory of its own: {path} {why}"
            ));
        }
        match self.filesystem.as_ref()? {
            UnsuitableRoot::Filesystem { name, .. } if self.mounted_with_owners() => Some(format!(
                "mount it with -o uid={uid},gid={gid}: {name} keeps no owners"
            )),
            UnsuitableRoot::Filesystem { name, help, .. } => {
                Some(format!("{help}: {path} is on {name}"))
            }
            UnsuitableRoot::ReadOnly { .. } if errno == Errno::ROFS || self.write => Some(
                "mount -o remount,rw its filesystem, or let the container have it read-only: \
                 -v SOURCE:TARGET:ro"
                    .into(),
            ),
            UnsuitableRoot::ReadOnly { .. } => {
                Some("mount -o remount,rw its filesystem; then check again".into())
            }
            _ => None,
        }
    }

    fn mounted_with_owners(&self) -> bool {
        self.filesystem
            .as_ref()
            .is_some_and(UnsuitableRoot::is_of_mount_options)
    }
}

/// What helps: against the first thing that failed, or against entries that cannot be used.
pub fn remedy(
    seen: &Seen<'_>,
    failed: Option<AccessResult>,
    (entries, unusable): (Entries, &[Unusable]),
) -> Vec<String> {
    let errno = match failed.map(|failed| failed.errno) {
        Some(errno) => errno.map_or(Errno::ACCESS, Errno::from_raw_os_error),
        None if entries == Entries::Fine => return Vec::new(),
        None => Errno::ACCESS,
    };
    if let Some(obstacle) = seen.obstacle(errno) {
        return vec![obstacle];
    }
    match failed {
        Some(failed) => against(seen, failed.what, errno),
        None => match (entries, seen.is_shifted()) {
            (Entries::Own, _) => vec![format!("chmod -R u+rX {}", seen.word())],
            _ if seen.is_to_be_shared() => shared_entries::remedies(seen, unusable),
            (_, false) => vec![seen.prepare()],
            (_, true) => vec![seen.prepare_for_user()],
        },
    }
}

fn against(seen: &Seen<'_>, what: AccessKind, errno: Errno) -> Vec<String> {
    let path = seen.word();
    let is_own = seen.ownership.uid == seen.host_ids.0;
    vec![match errno {
        Errno::NOSPC | Errno::DQUOT => {
            "the filesystem, or the user's quota, is full: make room".into()
        }
        Errno::PERM if seen.stat.immutable => format!("chattr -i {path}"),
        Errno::PERM if seen.stat.append_only => format!("chattr -a {path}"),
        _ if what == AccessKind::Connect => format!(
            "setfacl -m u:{}:rw {path}, if the container may have all rights of the service that listens \
            there",
            seen.host_ids.0
        ),
        _ if is_own => seen.open_to_owner(),
        _ if !seen.is_shifted() && seen.shift_is_enough() && !seen.is_to_be_shared() => {
            seen.prepare()
        }
        // An owner may be denied what others are allowed.
        _ => match seen.owner_can() {
            true => seen.prepare_for_user(),
            false => return vec![seen.prepare_for_user(), seen.open_to_owner()],
        },
    }]
}
