//! Pure: the systemd slices that Podman names for containers and pods.
//!
//! Root's are below `machine.slice`, a user's below the `user.slice` of the user's own systemd (Podman 5.4.2). With the
//! cgroup manager `cgroupfs` both have `/libpod_parent`.

/// From one Podman's slices to another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cgroups {
    uid: u32,
    to_user: bool,
}

const ROOTS: &str = "machine.slice";
const USERS: &str = "user.slice";

impl Cgroups {
    /// From root's to this user's.
    pub fn to_user(uid: u32) -> Cgroups {
        Cgroups { uid, to_user: true }
    }

    /// From this user's to root's.
    pub fn to_root(uid: u32) -> Cgroups {
        Cgroups {
            uid,
            to_user: false,
        }
    }

    /// The new text; `None`: it stays.
    pub fn path(&self, path: &str) -> Option<String> {
        let uid = self.uid;
        let of_pod_of_user =
            format!("{USERS}/user-{uid}.slice/user@{uid}.service/{USERS}/user-libpod_pod_");
        let of_pod_of_root = format!("{ROOTS}/machine-libpod_pod_");
        let (old, new) = ((ROOTS, of_pod_of_root), (USERS, of_pod_of_user));
        let (old, new) = if self.to_user { (old, new) } else { (new, old) };
        match path.strip_prefix(&old.1) {
            Some(rest) => Some(format!("{}{rest}", new.1)),
            None => (path == old.0).then(|| new.0.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_root_become_the_users_and_back() {
        let there = Cgroups::to_user(7);
        let back = Cgroups::to_root(7);
        let pod = "machine.slice/machine-libpod_pod_ab.slice";
        let users = "user.slice/user-7.slice/user@7.service/user.slice/user-libpod_pod_ab.slice";
        for (one, other) in [("machine.slice", "user.slice"), (pod, users)] {
            assert_eq!(there.path(one).as_deref(), Some(other));
            assert_eq!(back.path(other).as_deref(), Some(one));
        }
        for stays in ["/libpod_parent", "app.slice", ""] {
            assert_eq!((there.path(stays), back.path(stays)), (None, None));
        }
    }
}
