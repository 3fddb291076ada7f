//! What a container shares with the host and a remapped daemon therefore does not start (moby `daemon/daemon_unix.go`,
//! `verifyPlatformContainerSettings`; runc).

/// The settings that decide it, as `docker run` and Compose files say them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNamespaces {
    /// It has all privileges.
    pub privileged: bool,
    /// `host`, `container:NAME`, a network; empty where nothing is said.
    pub network: String,
    /// `host`, `container:NAME`; empty where nothing is said.
    pub pid: String,
    /// `host`, `container:NAME`, `private`; empty where nothing is said.
    pub ipc: String,
    /// A device that has another path in the container than on the host.
    pub renamed_device: Option<String>,
}

/// The path in the container of `HOST:CONTAINER` or `HOST:CONTAINER:rwm`, where it is another one.
pub fn renamed_device(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let (source, target) = (parts.next()?, parts.next()?);
    let is_path = target.starts_with('/');
    (is_path && source != target).then(|| target.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_another_path_is_told_from_its_permissions() {
        for same in [
            "/dev/fuse",
            "/dev/fuse:/dev/fuse",
            "/dev/fuse:/dev/fuse:r",
            "/dev/fuse:rwm",
            "vendor.com/class=all",
        ] {
            assert_eq!(renamed_device(same), None, "{same}");
        }
        let found = renamed_device("/dev/ttyUSB0:/dev/modem:rw");
        assert_eq!(found.as_deref(), Some("/dev/modem"));
    }
}
