//! Roots of other ranges in a data-root: the daemon does not see them.

use std::path::Path;

use crate::docker::data_root::{DockerRoot, is_remapped_name, names};
use crate::docker::existing_roots::range_of;
use crate::docker::idmapped::IdmappedRoot;
use crate::docker::remap::Remap;
use crate::docker::{DockerError, guidance, image_store};
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
        // Of one that is remapped by a mount, more is told elsewhere.
        let is_idmapped = IdmappedRoot::find(top, &name)?.is_some();
        if is_idmapped || root.path.is_symlink() {
            continue;
        }
        let Some(content) = image_store::content_of(&root)? else {
            continue;
        };
        let found = format!(
            "{name} is the root of another range than that of {}, {own}: the daemon does not see its {content}",
            remap.user,
        );
        let finding = Finding::warning("another range", found);
        findings.push(finding.remedy(format!(
            "if the range of {} was changed: {}",
            remap.user,
            guidance::rebase(&range_of(&name, remap), top, &remap.user)
        )));
    }
    Ok(findings)
}
