//! Roots of other ranges in a data-root: the daemon does not see them.

use std::path::Path;

use crate::docker::data_root::{DockerRoot, is_remapped_name, names};
use crate::docker::remap::Remap;
use crate::docker::{DockerError, guidance};
use crate::host::Finding;

/// The roots in a data-root that hold something, and are in another range than the daemon's.
///
/// # Errors
/// The data-root cannot be read.
pub fn findings(top: &Path, remap: &Remap) -> Result<Vec<Finding>, DockerError> {
    let own = remap.dir_name();
    let mut findings = Vec::new();
    for name in names(top)? {
        if !is_remapped_name(&name) || name == own {
            continue;
        }
        let root = DockerRoot::at(top.join(&name));
        if root.path.is_symlink() || root.holds()?.is_unused() {
            continue;
        }
        let found = format!(
            "{name} is the root of another range than that of {}, {own}: the daemon does not see its {}",
            remap.user,
            root.holds()?
        );
        let finding = Finding::warning("another range", found);
        findings.push(finding.remedy(format!(
            "if the range of {} was changed: {}",
            remap.user,
            command(&name, top, remap)
        )));
    }
    Ok(findings)
}

/// The command that carries a root with this name into the daemon's range, if its own was as large.
fn command(name: &str, top: &Path, remap: &Remap) -> String {
    let (uid, gid) = name.split_once('.').unwrap_or((name, name));
    let [uids, gids] = [&remap.map.uids, &remap.map.gids].map(|map| match map.ranges() {
        [range] => range.size().to_string(),
        _ => "SIZE".to_string(),
    });
    let from = match uid == gid && uids == gids {
        true => format!("b:0:{uid}:{uids}"),
        false => format!("u:0:{uid}:{uids},g:0:{gid}:{gids}"),
    };
    guidance::rebase(&from, top, &remap.user)
}
