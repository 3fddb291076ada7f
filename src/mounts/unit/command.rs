//! The command that makes a mount at each boot.

use std::path::Path;

use crate::host::systemd_unit::quoted;
use crate::mounts::planned_mount::PlannedMount;

/// Its words. What it shows, and where, is at the end.
pub(super) fn words(
    mount: &PlannedMount,
    program: &Path,
    journal_dir: Option<&Path>,
) -> Vec<String> {
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(["mount", "--quiet"].map(String::from));
    let allows = [
        (mount.allows.system_path, "--allow-system-path"),
        (mount.allows.home, "--allow-home"),
    ];
    let allows = allows.iter().filter(|(is_set, _)| *is_set);
    words.extend(allows.map(|(_, flag)| (*flag).to_string()));
    if let Some(dir) = journal_dir {
        words.extend(["--journal-dir".into(), dir.to_string_lossy().into_owned()]);
    }
    words.extend(shown(mount));
    words
}

/// What is shown, with which owners, and where: two mounts that are alike have the same.
fn shown(mount: &PlannedMount) -> Vec<String> {
    let mut words = Vec::new();
    for line in mount.container_map.to_string().split(' ') {
        words.extend([MAP.into(), line.into()]);
    }
    // Nobody is swapped with themselves.
    let swapped = mount.owner.filter(|(on_disk, owner)| on_disk != owner);
    if let Some(((uid, gid), (container_uid, container_gid))) = swapped {
        words.extend(["--owner".into(), format!("{container_uid}:{container_gid}")]);
        words.extend(["--disk-owner".into(), format!("{uid}:{gid}")]);
    }
    if mount.read_only {
        words.push("--read-only".into());
    }
    words.push(mount.source().to_string_lossy().into_owned());
    if !mount.is_in_place() {
        words.push(mount.target().to_string_lossy().into_owned());
    }
    words
}

/// What [`shown`] begins with.
const MAP: &str = "--map";

/// The words as a unit has them (`systemd.service(5)`).
pub(super) fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// Whether the command of a unit makes this mount.
pub(super) fn makes(unit: &str, mount: &PlannedMount) -> bool {
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let before = start.and_then(|start| start.strip_suffix(&line(&shown(mount))));
    before.is_some_and(|words| words.ends_with(' ') && !words.split(' ').any(|word| word == MAP))
}
