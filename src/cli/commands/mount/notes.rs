//! What a person should know of a mount.

use std::ffi::OsStr;
use std::path::Path;

use crate::cli::output::text::{one_line, path};
use crate::mounts::PlannedMount;
use crate::mounts::unit::{BootMount, Unit};
use crate::preflight::in_use::{Release, Use, container_name};

/// All of it.
pub(super) fn notes(mount: &PlannedMount, at_boot: Option<&BootMount>) -> Vec<String> {
    let mut notes = Vec::new();
    let (source, target) = (path(mount.source()), path(mount.target()));
    if mount.hides_something() {
        notes.push(format!(
            "The content of {target} is hidden while something is mounted on it."
        ));
    }
    if mount.is_in_place() && !mount.is_there() {
        match mount.users() {
            Ok(users) => notes.extend(notes_on_users(users)),
            Err(error) => notes.push(format!("Cannot find out who uses {source}: {error}.")),
        }
    }
    if !mount.read_only && mount.is_open_to_others() {
        notes.push(format!(
            "Others can enter {source}. A set-user-ID file that a container creates there is set-user-ID root on disk, and runs \
             as root where the mount is missing. Keep it below a directory that only root can enter."
        ));
    }
    if !mount.is_owner_seen() {
        let (uid, gid) = mount.on_disk;
        notes.push(format!(
            "Containers see {target} as nobody: {uid}:{gid} on disk is not an id of the container. If the files are already in the \
             range, you need no mount; `--owner UID:GID` shows them as that user's."
        ));
    }
    if let Some(other) = at_boot.filter(|there| !there.is_same) {
        notes.push(format!(
            "At each boot {} makes another mount on {target}. To have this one at each boot, add --persist.",
            path(&other.unit)
        ));
    }
    let namespace = |of: &str| std::fs::read_link(Path::new("/proc").join(of).join("ns/mnt")).ok();
    if namespace("self") != namespace("1") {
        notes.push(
            "This is not the mount namespace of the host (process 1): only processes in this namespace see the mount.".into(),
        );
    }
    notes
}

/// What keeps the container of a Quadlet unit from being started before the mount is made: the unit is its own
/// (`podman-systemd.unit(5)`).
pub(super) fn order_of_quadlet(unit: &Unit, file: &Path) -> Option<String> {
    let is_quadlet = |ending: &OsStr| ["container", "pod", "kube"].iter().any(|of| *of == ending);
    file.extension().filter(|ending| is_quadlet(ending))?;
    Some(format!(
        "systemd starts the container of {} by a unit of its own. Add to its section [Unit]: `Requires={name}` and `After={name}`.",
        path(file),
        name = one_line(&unit.name)
    ))
}

/// Those who go on seeing what they saw before the mount.
fn notes_on_users(users: Vec<Use>) -> impl Iterator<Item = String> {
    let (mounts, others): (Vec<Use>, Vec<Use>) = users.into_iter().partition(is_our_mount);
    let of_mounts = (!mounts.is_empty()).then(|| {
        let points: Vec<String> = mounts.iter().map(|one| path(&one.path)).collect();
        format!(
            "Mounted already at {}: owners are seen there as before.",
            points.join(", ")
        )
    });
    let of_others = (!others.is_empty()).then(|| {
        format!(
            "In use now: {}. Processes that have it open still see the owners on disk: restart them.",
            named(&others)
        )
    });
    of_mounts.into_iter().chain(of_others)
}

/// A mount of our own mount namespace, and no process.
fn is_our_mount(one: &Use) -> bool {
    one.pid != 0 && one.release.as_ref().is_some_and(Release::is_our_mount)
}

/// The first few users, shortly.
pub fn named(users: &[Use]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = Vec::new();
    for one in users {
        let name = match &one.container {
            Some(id) => {
                let name = container_name(&one.path, id);
                format!("container {}", one_line(name.as_ref().unwrap_or(id)))
            }
            None if one.pid == 0 => one_line(&one.command),
            None => format!("process {} ({})", one.pid, one_line(&one.command)),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more > 0 {
        format!(", {more} more")
    } else {
        String::new()
    };
    names.join(", ") + &more
}
