//! What confines containers of root's on this host: seccomp, AppArmor, SELinux.

use std::path::Path;

use super::seccomp::Profile;
use crate::store_move::MoveError;

/// What root's Podman does to each container that it makes.
pub(super) struct Confinement {
    pub profile: Profile,
    /// Whether AppArmor has a profile for it.
    pub has_apparmor: bool,
}

impl Confinement {
    /// That of this host.
    ///
    /// # Errors
    /// The host's cannot be told. `store`: what is named then.
    pub fn of_host(store: &Path) -> Result<Confinement, MoveError> {
        let refused = |why: &str| {
            let why = format!(
                "has containers, and {why}. `podman commit` what you need of them as the user, and `podman rm --all` them"
            );
            Err(MoveError::in_the_way(store, why))
        };
        if Path::new("/sys/fs/selinux/enforce").exists() {
            return refused("this host has SELinux: labels of a user's containers are not checked");
        }
        let Some(profile) = Profile::of_host()? else {
            return refused(
                "this host has no /usr/share/containers/seccomp.json, which tells the system calls of a plain container (package \
                 golang-github-containers-common or containers-common)",
            );
        };
        Ok(Confinement {
            profile,
            has_apparmor: has_apparmor(),
        })
    }
}

/// As Podman finds it out (`containers/common` 0.62, `pkg/apparmor`): the kernel has it, and there is a program that loads
/// profiles.
fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    let dirs = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    enabled.is_ok_and(|text| text.starts_with(b"Y"))
        && Path::new("/sys/kernel/security/apparmor").exists()
        && dirs
            .iter()
            .any(|dir| Path::new(dir).join("apparmor_parser").exists())
}
