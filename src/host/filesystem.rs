//! What can be kept on a filesystem: tried on files without a name.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::Finding;
use crate::fs::escape;
use crate::ownership::Acl;
use crate::preflight::user_namespace::has_all_ids;

/// Tries owners, ACLs, capabilities and overlay's attributes in a directory. Leaves nothing there.
pub fn findings(dir: &Path) -> Vec<Finding> {
    const WHAT: &str = "filesystem";
    let shown = escape::escaped(dir);
    if has_all_ids() == Some(false) {
        let found = format!("{shown}: was not tested: this user namespace does not have all ids");
        return vec![Finding::warning(WHAT, found)];
    }
    let file = match nameless(dir) {
        Ok(file) => file,
        Err(Errno::ROFS) => {
            let found = format!("{shown} is on a filesystem that is read-only");
            return vec![Finding::error(WHAT, found).remedy("mount -o remount,rw")];
        }
        Err(Errno::ACCESS) if !rustix::process::geteuid().is_root() => {
            let found = format!("{shown}: was not tested: that needs root");
            return vec![Finding::warning(WHAT, found).remedy("sudo idshift doctor")];
        }
        Err(errno) => {
            let found = format!("{shown}: {errno}; was not tested");
            return vec![Finding::warning(WHAT, found)];
        }
    };
    let acl: Acl = match "u::rw-,u:100000:r--,g::r--,m::r--,o::r--".parse() {
        Ok(acl) => acl,
        Err(_) => return Vec::new(),
    };
    let owners = || {
        let (uid, gid) = (Uid::from_raw(100_000), Gid::from_raw(100_000));
        rustix::fs::fchown(&file, Some(uid), Some(gid))
    };
    let set =
        |name: &CStr, value: &[u8]| rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty());
    let tried = [
        ("owners", owners()),
        ("ACLs", set(c"system.posix_acl_access", &acl.encode())),
        (
            "file capabilities",
            set(c"security.capability", &capability()),
        ),
        ("user.* attributes", set(c"user.idshift", b"x")),
        ("trusted.* attributes", set(c"trusted.idshift", b"x")),
    ];
    let keeps_owners = tried[0].1.is_ok();
    let lacks: Vec<String> = tried
        .iter()
        .filter_map(|(what, result)| Some(format!("{what} ({})", result.err()?)))
        .collect();
    let keeps: Vec<&str> = tried
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(what, _)| *what)
        .collect();
    vec![match lacks[..] {
        [] => Finding::ok(WHAT, format!("{shown} keeps {}", keeps.join(", "))),
        _ => {
            let found = format!("{shown} does not keep {}", lacks.join(", "));
            let finding = match keeps_owners {
                true => Finding::warning(WHAT, found),
                false => Finding::error(WHAT, found),
            };
            finding.remedy(
                "ext4, xfs or btrfs keep all of it; ext4 may need `tune2fs -o user_xattr,acl`",
            )
        }
    }]
}

fn nameless(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)
}

/// `cap_net_raw=p`, valid in the namespace whose root is 100000 (`linux/capability.h`, v3).
pub(super) fn capability() -> [u8; 24] {
    let mut value = [0; 24];
    value[3] = 3;
    value[5] = 0x20;
    value[20..].copy_from_slice(&100_000u32.to_le_bytes());
    value
}
