//! What helps a container's user to what is seen through an idmapped mount.

use std::path::Path;

use crate::fs::escape::shell_word;
use crate::idmap::IdMap;
use crate::mounts;
use crate::preflight::mount_views::{self, MountViewError};
use crate::volume::parents::ClosedParent;
use crate::volume::user::ContainerUser;

/// Through an idmapped mount idshift changes no owner, and on disk an owner of the range would be seen as another one: what
/// would do that is left out. `again` mounts it so that it helps; else `give` is a command that changes the owner as the mount
/// shows it. Closed directories above it can be opened as `idshift prepare --fix-parents` does it.
pub fn only_what_works(
    remedies: &mut Vec<String>,
    idmapped: &MountViewError,
    (closed, map): (&[ClosedParent], &IdMap),
    (again, give): (Option<String>, &str),
) {
    let all = remedies.len();
    remedies.retain(|remedy| !remedy.starts_with("idshift prepare"));
    if remedies.len() < all {
        remedies.push(again.unwrap_or_else(|| given_there(idmapped, give)));
    }
    let mut is_refused = false;
    for parent in closed {
        let is_on_it = mount_views::idmapped(&parent.path).is_some();
        match map.container_root().filter(|_| !is_on_it) {
            Some((uid, _)) => {
                remedies.push(format!(
                    "setfacl -m u:{uid}:--x {}",
                    shell_word(&parent.path)
                ));
            }
            None => is_refused = true,
        }
    }
    if let Some(help) = idmapped.help().filter(|_| is_refused) {
        remedies.push(help);
    }
}

fn given_there(idmapped: &MountViewError, give: &str) -> String {
    let give = format!(
        "`{give}`, by this path, gives it to this user, and the mount says what that is on disk"
    );
    let Some(point) = idmapped.idmapped_point().map(shell_word) else {
        return give;
    };
    format!(
        "{give}. Or `idshift umount {point}`, and mount what `findmnt -o SOURCE,FSROOT {point}` shows with a map that gives the \
         container's user its files"
    )
}

/// The commands that mount it with another map, where `idshift mount` has mounted it: the owner on disk becomes this user.
pub fn mounted_again(target: &Path, user: &ContainerUser) -> Option<String> {
    let records = mounts::record::records_for(target).ok()?;
    let record = records.into_iter().next()?;
    let target = shell_word(target);
    let map = record.container_map.to_string();
    let map: String = map.split(' ').map(|map| format!(" --map {map}")).collect();
    let flags = [
        (record.read_only, " --read-only"),
        (
            mounts::unit::unit_for(record.target.as_path()).is_some(),
            " --persist",
        ),
    ];
    let flags: String = flags.iter().filter(|it| it.0).map(|it| it.1).collect();
    let source = shell_word(record.source.as_path());
    let to = match record.source == record.target {
        true => String::new(),
        false => format!(" {target}"),
    };
    Some(format!(
        "idshift umount {target} && idshift mount{map}{flags} --owner {}:{} {source}{to}",
        user.uid, user.gid
    ))
}
