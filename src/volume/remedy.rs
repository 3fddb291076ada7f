//! Pure: the command that helps a container's user to a directory.

use std::path::Path;

use rustix::io::Errno;

use super::user::ContainerUser;
use crate::fs::Stat;
use crate::fs::shown::shell_word;
use crate::fs::tries::Tried;
use crate::idmap::{Direction, IdMap, Mapped};

/// What is known of a path and of who is to use it.
pub struct Seen<'a> {
    /// The path.
    pub path: &'a Path,
    /// Whose it is.
    pub stat: &'a Stat,
    /// Who is to use it.
    pub user: &'a ContainerUser,
    /// Their ids on the host.
    pub host_ids: (u32, u32),
    /// The map.
    pub map: &'a IdMap,
    /// The user is to write, too.
    pub write: bool,
    /// How the map is chosen, for commands.
    pub map_words: &'a str,
}

impl Seen<'_> {
    /// `idshift prepare PATH`
    pub fn prepare(&self) -> String {
        let path = shell_word(self.path);
        format!("idshift prepare{} {path}", self.map_words)
    }

    fn prepare_for_user(&self) -> String {
        format!("{} --owner {}", self.prepare(), self.user)
    }

    /// The path's owner is on the container's side of the map already.
    fn is_shifted(&self) -> bool {
        let side = self.map.uids.map(self.stat.uid, Direction::Into);
        side == Mapped::Already
    }

    /// Whether the permission bits would let the user do all of it once the path is shifted, its
    /// ids then meaning in the container what they mean on the host now.
    fn shift_is_enough(&self) -> bool {
        let bits = self.stat.mode.bits();
        let wanted = match (self.stat.is_dir(), self.write) {
            (true, true) => 0o7,
            (true, false) => 0o5,
            (false, true) => 0o6,
            (false, false) => 0o4,
        };
        let is_in_group =
            self.user.gid == self.stat.gid || self.user.groups.contains(&self.stat.gid);
        let class = match (self.user.uid == self.stat.uid, is_in_group) {
            (true, _) => bits >> 6,
            (false, true) => bits >> 3,
            (false, false) => bits,
        };
        self.user.uid == 0 || class & wanted == wanted
    }
}

/// What helps: against the first thing that failed, or against entries that cannot be used.
pub fn remedy(seen: &Seen<'_>, failed: Option<Tried>, entries: bool) -> Option<String> {
    let path = shell_word(seen.path);
    let Some(failed) = failed else {
        let shift = !seen.is_shifted();
        return entries.then(|| match shift {
            true => seen.prepare(),
            false => seen.prepare_for_user(),
        });
    };
    let errno = failed.errno.map(Errno::from_raw_os_error)?;
    Some(match errno {
        Errno::ROFS => {
            "mount -o remount,rw the filesystem, or mount the volume read-only: -v SOURCE:TARGET:ro"
                .into()
        }
        Errno::NOSPC | Errno::DQUOT => {
            "the filesystem, or the user's quota, is full: make room".into()
        }
        Errno::PERM if seen.stat.immutable => format!("chattr -i {path}"),
        Errno::PERM if seen.stat.append_only => format!("chattr -a {path}"),
        _ if seen.is_shifted() => match seen.stat.uid == seen.host_ids.0 {
            true if seen.stat.is_dir() => format!("chmod u+rwx {path}"),
            true => format!("chmod u+rw {path}"),
            false => seen.prepare_for_user(),
        },
        _ => match seen.shift_is_enough() {
            true => seen.prepare(),
            false => seen.prepare_for_user(),
        },
    })
}
