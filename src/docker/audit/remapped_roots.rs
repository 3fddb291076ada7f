//! Roots of remapped daemons in a data-root, and what is left of earlier migrations.

use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::conversion::leftover::{self, staging_name};
use crate::docker::data_root::{ASIDE, CONVERTED, COPY, DockerRoot, is_remapped_name, names};
use crate::docker::idmapped::IdmappedRoot;
use crate::docker::image_store;
use crate::docker::inventory::Inventory;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::remap::Remap;
use crate::engine::RunControl;
use crate::fs::escape::{escaped, shell_word};
use crate::host::Finding;
use crate::idmap::IdMap;
use crate::store_move::copy::earlier;

/// What is said of roots of remapped daemons.
pub const REMAPPED_ROOT: &str = "remapped root";

fn left_over(top: &Path, name: &str) -> Finding {
    let path = top.join(name);
    if name.starts_with(COPY) && !earlier::is_unused(&path) {
        let found = format!(
            "{name} is the copy of an earlier migration that was undone; what was written to it since may be nowhere else"
        );
        let help = format!(
            "look at it; mv {} /root/ keeps it out of the data-root",
            shell_word(&path)
        );
        return Finding::ok(REMAPPED_ROOT, found).remedy(help);
    }
    let kept_root = format!("{ASIDE}root-");
    let found = match name.starts_with(&kept_root) {
        true => format!(
            "{name} is the empty root that an earlier `docker revert` or `rebase` kept: a rollback of that, and of the migration \
             before it, needs it"
        ),
        false => format!("{name} is left over from an earlier migration; it stays"),
    };
    let help = format!(
        "rm -rf {}, when you do not need it any more",
        shell_word(&path)
    );
    Finding::ok(REMAPPED_ROOT, found).remedy(help)
}

/// The roots of remapped daemons beside the plain one, and what earlier migrations left there.
///
/// # Errors
/// The data-root cannot be read.
pub(super) fn remapped_roots(top: &Path, remap: &Remap) -> Result<Vec<Finding>, DockerError> {
    let mut findings = Vec::new();
    let range_dir = remap.dir_name();
    for name in names(top)? {
        if name.starts_with(ASIDE) || name.starts_with(COPY) {
            findings.push(left_over(top, &name));
        }
        findings.extend(unfinished_conversion(top, &name, &range_dir));
        if !is_remapped_name(&name) {
            continue;
        }
        let plain = image_store::content_of(&DockerRoot::at(top))?;
        // Of one that is remapped by a mount, more is told elsewhere.
        if IdmappedRoot::find(top, &name)?.is_some() {
            findings.extend(plain.map(|plain| beside_it(&name, &plain)));
            continue;
        }
        let content = image_store::content_of(&DockerRoot::at(top.join(&name)))?;
        let is_own = name == range_dir;
        findings.push(remapped_root(
            &name,
            is_own,
            content.as_deref(),
            plain.as_deref(),
        ));
    }
    Ok(findings)
}

/// A remapped root, with its content and that of the plain one; `is_own`: it is of the daemon's range.
fn remapped_root(name: &str, is_own: bool, content: Option<&str>, plain: Option<&str>) -> Finding {
    match (content, is_own, plain) {
        (None, true, _) => Finding::ok(
            REMAPPED_ROOT,
            format!("{name} is there and unused; it is renamed and kept"),
        ),
        (None, false, _) => Finding::ok(
            REMAPPED_ROOT,
            format!("{name}, of another range, is there and unused; it stays"),
        ),
        (Some(holds), true, None) => {
            let found = format!(
                "{name} holds {holds}, and the plain root nothing: this host is remapped already"
            );
            Finding::error(REMAPPED_ROOT, found)
                .remedy("there is nothing to migrate; idshift docker revert goes back")
        }
        (Some(holds), true, Some(plain)) => {
            let found = format!("{name} holds {holds}; the plain root holds {plain}");
            Finding::error(REMAPPED_ROOT, found).remedy(format!(
                "two roots cannot be merged: decide which one stays. If {name} does, start Docker with userns-remap, \
                and there is nothing to migrate. If the plain root does, save what you need of {name} with a \
                remapped daemon, then move {name} away"
            ))
        }
        (Some(holds), false, _) => {
            let found = format!("{name}, of another range, holds {holds}; it stays");
            Finding::warning(REMAPPED_ROOT, found)
        }
    }
}

/// What a conversion had made that was cut short before it changed anything.
fn unfinished_conversion(top: &Path, name: &str, range_dir: &str) -> Option<Finding> {
    let dir = top.join(name);
    if !name.starts_with(CONVERTED) || !leftover::is_unfinished(&dir) {
        return None;
    }
    let found = format!("{name} is of a conversion that was cut short before it changed anything");
    let help = match name == staging_name(range_dir) {
        true => "the next migration removes it".to_string(),
        false => format!("rm -rf {}", shell_word(&dir)),
    };
    Some(Finding::ok("earlier conversion", found).remedy(help))
}

/// A daemon that was started without userns-remap has made something where the remapped one does not look.
fn beside_it(name: &str, plain: &str) -> Finding {
    let found =
        format!("beside {name}, the plain root holds {plain}, which no remapped daemon shows");
    Finding::warning("plain root", found).remedy(
        "save what you need of it with a daemon without userns-remap, and remove it there; idshift docker revert \
        refuses until then",
    )
}

/// What containers of a remapped daemon bind and `docker revert` would have to shift back.
pub(super) fn revert_findings(
    root: &DockerRoot,
    (top, remap): (&Path, &Remap),
    before: &[(PathBuf, IdMap)],
    control: RunControl<'_>,
) -> Result<Vec<Finding>, DockerError> {
    if root.holds()?.is_unused() {
        return Ok(Vec::new());
    }
    let moved = PathRewriter::new(&root.path, top, Vec::new())?;
    let mut sources = Vec::new();
    for files in root.container_files()? {
        sources.extend(files.bind_sources_if_remapped(root)?);
    }
    let mut inventory = Inventory::for_revert(&moved, remap, sources, false, control)?;
    inventory.add_of_other_ranges(before, remap, &moved, control);
    let of_before = inventory.in_other_range().map(|(path, command)| {
        let found = format!("{} is in a range that the daemon had before", escaped(path));
        Finding::warning("bind mounts", found).remedy(format!("{command} shifts it back"))
    });
    let found = inventory.shifted_finding(remap);
    Ok(found.into_iter().chain(of_before).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_removes_the_leftovers_only() {
        let told = left_over(Path::new("/srv/docker data"), "idshift-aside-1.1");
        let help = told.remedy.unwrap();
        assert!(
            help.starts_with("rm -rf '/srv/docker data/idshift-aside-1.1'"),
            "{help}"
        );
    }
}
