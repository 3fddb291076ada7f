//! SELinux labels of a data-root.

use std::path::Path;

use crate::docker::remap::Remap;
use crate::fs::escape::shell_word;
use crate::host::Finding;

/// Where the rules of the policy are for.
const POLICY_ROOT: &str = "/var/lib/docker";

/// What keeps the labels of the remapped root right when the system is labelled again; nothing where there is no SELinux.
///
/// The policy names directories of a plain data-root (`/var/lib/docker/overlay2`), so what is in the remapped root would get
/// the label of everything else in it, which containers may not read.
pub fn labels(top: &Path, remap: Option<&Remap>) -> Option<Finding> {
    let is_active = Path::new("/sys/fs/selinux/enforce").exists();
    let is_labelled = || xattr::get(top, "security.selinux").is_ok_and(|label| label.is_some());
    if !is_active && !is_labelled() {
        return None;
    }
    let found = "labels stay as they are, but restorecon, and a relabel of the system, would give wrong ones to the \
        remapped root";
    let root = shell_word(&top.join(remap?.dir_name()));
    let remedy = format!(
        "after migrate: semanage fcontext -a -e {POLICY_ROOT} {root} && restorecon -R {root} (not with -F: volumes have \
        labels of their own)"
    );
    Some(Finding::warning("SELinux", found).remedy(remedy))
}
