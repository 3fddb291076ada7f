//! Mounts whose files another program or machine serves, which may refuse root of this host.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::escape::escaped;
use super::mountinfo::{self, Mount};

/// What helps where this path was refused to root, as the end of a message; nothing where the mount does not tell.
pub fn why_denied(path: &Path, error: &io::Error) -> String {
    let is_denied = error.raw_os_error() == Some(Errno::ACCESS.raw_os_error());
    if !is_denied || !rustix::process::geteuid().is_root() {
        return String::new();
    }
    mount_of(path).map_or(String::new(), |mount| describe_denied(&mount))
}

fn describe_denied(mount: &Mount) -> String {
    if let Some(private) = describe_private(mount) {
        return format!(". {private}");
    }
    match &*mount.fs_type {
        "nfs" | "nfs4" => format!(
            ". {} is mounted by NFS, and the server refuses root of this host (root_squash). Run idshift on the server, on \
            the exported directory",
            escaped(&mount.point)
        ),
        _ => String::new(),
    }
}

/// Says of a path on a FUSE mount that only its own user may use (`mount.fuse3(8)`) what helps; `None` of any other.
pub fn private_fuse(path: &Path) -> Option<String> {
    describe_private(&mount_of(path)?)
}

fn describe_private(mount: &Mount) -> Option<String> {
    let is_fuse = mount.fs_type == "fuse" || mount.fs_type.starts_with("fuse.");
    if !is_fuse || mount.settings.contains_key("allow_other") {
        return None;
    }
    let uid = mount.settings.get("user_id").cloned().flatten();
    Some(format!(
        "{} is a FUSE mount that only uid {} may use, and no container. Mount it with -o allow_other (for users \
        other than root, /etc/fuse.conf must have the line user_allow_other)",
        escaped(&mount.point),
        uid.as_deref().unwrap_or("0")
    ))
}

/// The mount that a path is seen through, by its name: what is refused cannot be opened.
fn mount_of(path: &Path) -> Option<Mount> {
    let real = real(path)?;
    let mounts = mountinfo::of_this_thread().ok()?.into_iter();
    mounts
        .filter(|mount| real.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// Without symlinks, as far as it can be looked at.
fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|dir| {
        let below = path.strip_prefix(dir).ok()?;
        Some(dir.canonicalize().ok()?.join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_serves_a_mount_is_named_where_root_is_refused() {
        for (what, words) in [
            (
                "fuse.sshfs leo@h:/ rw,user_id=1000,group_id=1000",
                "only uid 1000 may use",
            ),
            (
                "fuse /srv/src rw,user_id=0,group_id=0",
                "only uid 0 may use",
            ),
            ("nfs4 server:/data rw,vers=4.2", "Run idshift on the server"),
        ] {
            let line = format!("36 35 0:60 / /m rw - {what}");
            let mount = mountinfo::from_line(line.as_bytes()).unwrap();
            let said = describe_denied(&mount);
            assert!(said.contains(words) && said.contains("/m is"), "{said}");
        }
        for what in [
            "fuse.bindfs x rw,user_id=0,allow_other",
            "fuseblk /dev/x rw,user_id=0",
            "ext4 /dev/x rw",
        ] {
            let line = format!("36 35 0:60 / /m rw - {what}");
            let mount = mountinfo::from_line(line.as_bytes()).unwrap();
            assert_eq!(describe_denied(&mount), "", "{what}");
        }
    }
}
