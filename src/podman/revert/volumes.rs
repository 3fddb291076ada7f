//! Volumes: their directories, and their rows in the database.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::layers::check_is_closed;
use super::members::{first_bad, is_empty, is_object_of, is_owner, is_time, of_text};
use crate::fs::escape::shell_word;
use crate::podman::database::json::{JsonKind, Rewriter};
use crate::podman::database::tables::VolumeRow;
use crate::podman::store::{SQLITE, Store};
use crate::store_move::MoveError;
use crate::store_move::files::is_directory;
use crate::store_move::files::names;
use crate::store_move::untrusted::is_volume_name;

/// Refuses anything in the directory of volumes but volumes whose content is there.
///
/// # Errors
/// The first of it.
pub(super) fn check_directories(store: &Store) -> Result<(), MoveError> {
    let top = store.path.join("volumes");
    if top.symlink_metadata().is_err() {
        return Ok(());
    }
    let refused = |path: &Path, name: &str| {
        let why = format!(
            "is not what Podman makes for a volume whose content is in the store, and root's could be led elsewhere by it. \
             `podman volume rm {}`, run as the user, or move it away",
            shell_word(Path::new(name))
        );
        Err(MoveError::in_the_way(path, why))
    };
    if !is_directory(&top) {
        return refused(&top, "--all");
    }
    check_is_closed(&top)?;
    for name in names(&top)? {
        let volume = top.join(&name);
        if !is_directory(&volume) || !is_volume_name(&name) {
            return refused(&volume, &name);
        }
        for entry in names(&volume)? {
            let path = volume.join(&entry);
            if entry != "_data" || !is_directory(&path) {
                return refused(&path, &name);
            }
        }
    }
    Ok(())
}

/// The rows with the paths of root's store, `to`. One that asks for more than a directory of its own, or for a mount in
/// memory, is refused.
///
/// # Errors
/// The first of them.
pub(super) fn checked(
    rows: Vec<VolumeRow>,
    store: &Store,
    (rewriter, to): (&Rewriter, &Path),
) -> Result<Vec<VolumeRow>, MoveError> {
    let mut locks = HashSet::new();
    let mut checked = Vec::new();
    for row in rows {
        let refused = |why: String| {
            let why = format!(
                "the volume {} has settings that could give it more of the host when root's Podman uses it: {why}. `podman \
                 volume rm` it as the user; `podman volume export` keeps its content",
                shell_word(Path::new(&row.name))
            );
            MoveError::in_the_way(store.path.join(SQLITE), why)
        };
        // What is checked is the new text: a path that was not rewritten leads to where the user can put a symlink.
        let config = rewriter.rewrite(JsonKind::Volume, &row.config);
        let config = config.map_err(|error| refused(error.to_string()))?;
        let strange = config_member(&row.name, &config, to).or_else(|| state_member(&row.state));
        if let Some(member) = strange {
            return Err(refused(member));
        }
        if lock_of(&config).is_some_and(|lock| lock >= LOCKS) {
            return Err(refused(format!("lockid, and there are {LOCKS} locks")));
        }
        if !locks.insert(lock_of(&config)) {
            return Err(refused("lockid, which another volume has, too".into()));
        }
        checked.push(VolumeRow { config, ..row });
    }
    Ok(checked)
}

/// How many locks Podman has by default (`num_locks`, containers.conf(5)). With a number that is not among them in its
/// database, root's Podman does nothing any more.
pub(super) const LOCKS: u64 = 2048;

/// The number of the lock of a volume or a container.
pub(super) fn lock_of(config: &str) -> Option<u64> {
    let members = of_text(config).ok()?;
    members.get("lockid").and_then(Value::as_u64)
}

/// The member of a `VolumeConfig` (`libpod/volume.go`, Podman 5.4.2) that is more than a plain volume has.
fn config_member(name: &str, config: &str, to: &Path) -> Option<String> {
    let members = match of_text(config) {
        Ok(members) => members,
        Err(error) => return Some(error.to_string()),
    };
    let place = to.join("volumes").join(name).join("_data");
    let needed = [
        ("name", Value::from(name)),
        ("mountpoint", Value::from(place.to_str())),
    ];
    if let Some((member, _)) = needed
        .iter()
        .find(|(key, it)| members.get(*key) != Some(it))
    {
        return Some((*member).to_string());
    }
    let is_fine = |name: &str, value: &Value| match name {
        "name" | "mountpoint" => true,
        "createdat" => is_time(value),
        "volumedriver" => value == "local",
        "lockid" | "size" | "inodes" => value.is_u64(),
        "uid" | "gid" => is_owner(value),
        "isanon" => value.is_boolean(),
        "labels" => is_object_of(value, Value::is_string),
        "volumeoptions" => has_harmless_options(value),
        _ => false,
    };
    let bad = first_bad(&members, &is_fine).map(String::from);
    bad.or_else(|| (!is_volume_name(name)).then(|| "name".into()))
}

/// The member of a `VolumeState` that is more than that of a volume which nothing uses. The first container that mounted it
/// may have made it another user's (`fixVolumePermissions`, Podman 5.4.2), which is noted.
fn state_member(state: &str) -> Option<String> {
    match of_text(state) {
        Ok(members) => {
            let is_fine = |name: &str, value: &Value| match name {
                "mountpoint" => false,
                "uidchowned" | "gidchowned" => is_owner(value),
                _ => value.is_boolean(),
            };
            first_bad(&members, &is_fine).map(String::from)
        }
        Err(error) => Some(error.to_string()),
    }
}

/// A mount in memory, or only an owner: any other device is one of the host.
fn has_harmless_options(value: &Value) -> bool {
    let Some(options) = value
        .as_object()
        .filter(|_| is_object_of(value, Value::is_string))
    else {
        return false;
    };
    options.iter().all(|(name, value)| {
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            // As Podman notes what it read of `o`.
            "uid" | "gid" | "size" => is_plain(text),
            "type" | "device" => text == "tmpfs",
            "o" => text.split(',').all(is_harmless_option),
            _ => is_empty(value),
        }
    })
}

/// Options of a tmpfs that are about itself alone (tmpfs(5)).
fn is_harmless_option(option: &str) -> bool {
    match option.split_once('=') {
        Some(("size" | "mode" | "uid" | "gid" | "nr_inodes", value)) => is_plain(value),
        Some(_) => false,
        None => ["nodev", "noexec", "nosuid"].contains(&option),
    }
}

fn is_plain(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'%';
    !text.is_empty() && text.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plain_volume_has_is_taken() {
        const PLACE: &str = r#""name":"v","mountPoint":"/s/volumes/v/_data""#;
        let plain = r#""lockID":3,"labels":{"a":"b"},"volumeDriver":"local","createdAt":"2026-11-29T11:07:54Z","isAnon":false,"uid":5,"size":0"#;
        for (more, expected) in [
            (plain, None),
            (
                r#""volumeOptions":{"UID":"5","GID":"6","o":"uid=5,gid=6"}"#,
                None,
            ),
            (
                r#""volumeOptions":{"SIZE":"1m","device":"tmpfs","o":"size=1m,nosuid","type":"tmpfs"}"#,
                None,
            ),
            (
                r#""volumeOptions":{"device":"/etc","o":"bind"}"#,
                Some("volumeoptions"),
            ),
            (r#""volumeOptions":{"type":"ext4"}"#, Some("volumeoptions")),
            (
                r#""volumeOptions":{"o":"size=1m,X-mount.idmap"}"#,
                Some("volumeoptions"),
            ),
            (r#""volumeOptions":{"helper":"x"}"#, Some("volumeoptions")),
            (r#""volumeDriver":"image""#, Some("volumedriver")),
            (r#""StorageImageID":"x""#, Some("storageimageid")),
            (r#""labels":{"a":1}"#, Some("labels")),
            (r#""createdAt":"now""#, Some("createdat")),
            (r#""uid":99999999999"#, Some("uid")),
            (r#""mountpoint":"/etc""#, Some("twice")),
        ] {
            let text = format!("{{{PLACE},{more}}}");
            let found = config_member("v", &text, Path::new("/s"));
            match expected {
                None => assert_eq!(found, None, "{text}"),
                Some(said) => assert!(found.unwrap().contains(said), "{text}"),
            }
        }
        let elsewhere = r#"{"name":"v","mountPoint":"/etc"}"#;
        let found = config_member("v", elsewhere, Path::new("/s"));
        assert_eq!(found.as_deref(), Some("mountpoint"));
        let up = r#"{"name":"..","mountPoint":"/s/volumes/../_data"}"#;
        assert_eq!(
            config_member("..", up, Path::new("/s")).as_deref(),
            Some("name")
        );
        assert_eq!(
            state_member(r#"{"mountCount":0,"notYetMounted":true}"#),
            None
        );
        let given = r#"{"needsCopyUp":false,"uidChowned":7,"gidChowned":8}"#;
        assert_eq!(state_member(given), None);
        for (state, member) in [
            (r#"{"uidChowned":-1}"#, "uidchowned"),
            (r#"{"gidChowned":"8"}"#, "gidchowned"),
            (r#"{"mountCount":1}"#, "mountcount"),
            (r#"{"mountPoint":"/etc"}"#, "mountpoint"),
        ] {
            assert_eq!(state_member(state).as_deref(), Some(member));
        }
    }
}
