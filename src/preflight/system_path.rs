//! What belongs to the running system, by its path.

use std::path::Path;

use super::UnsuitableRoot;

/// The operating system's own: refused with everything inside.
///
/// Programs, their configuration and the kernel's interfaces, as `file-hierarchy(7)` and `hier(7)`
/// list them. A file here that changes its owner takes a setuid program, a boot or a login with it,
/// and no container has its volumes here.
const SYSTEM: &[(&str, &str)] = &[
    ("/bin", "holds the system's programs"),
    ("/boot", "holds what the machine boots from"),
    ("/dev", "holds the system's devices"),
    ("/efi", "holds what the machine boots from"),
    ("/etc", "holds the system's configuration"),
    ("/gnu/store", "holds the system's packages"),
    ("/lib", "holds the system's libraries"),
    ("/lib32", "holds the system's libraries"),
    ("/lib64", "holds the system's libraries"),
    ("/libo32", "holds the system's libraries"),
    ("/libx32", "holds the system's libraries"),
    ("/nix/store", "holds the system's packages"),
    ("/proc", "is the kernel's view of processes"),
    ("/run", "holds the running services' state"),
    ("/sbin", "holds the system's programs"),
    ("/sys", "is the kernel's view of devices"),
    ("/usr", "holds the system's programs and libraries"),
];

/// Places inside [`SYSTEM`] that hold trees of other people: what lies deeper than this many
/// directories below is theirs and may be shifted, what lies above is the system's.
///
/// `/run/user/UID` is a session's own directory, with its bus and sockets, and is kept; `/run/media`
/// holds one directory for each user and in it the disks.
const OTHERS_INSIDE_SYSTEM: &[(&str, usize)] = &[
    ("/dev/shm", 1),
    ("/run/media", 2),
    ("/run/user", 2),
    ("/usr/local", 1),
];

/// Directories that merely hold what belongs to many: refused themselves, while what is in them is
/// just what people shift. The list carries their names below `/var` too, where image-based systems
/// keep them and link to them from `/`.
const HOLDERS: &[&str] = &[
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/var",
    "/var/cache",
    "/var/home",
    "/var/lib",
    "/var/log",
    "/var/mnt",
    "/var/opt",
    "/var/roothome",
    "/var/spool",
    "/var/srv",
    "/var/tmp",
    "/var/usrlocal",
];

/// Refuses a root that is part of the operating system or holds other people's trees.
///
/// `real` is absolute and has its symlinks resolved: `/var/run/x` has to come as `/run/x`. The check
/// goes by name. It keeps a mistake (`shift /`, a variable that was empty) from changing a
/// whole machine; it is no wall against someone who mounts `/etc` elsewhere.
///
/// The lists are of three kinds: the system's own with all that is inside, the places in it that
/// belong to others after all (`/usr/local/x`, `/dev/shm/x`, `/run/media/USER/DISK`), and the holders
/// (`/home`, `/var/lib`, …), which are refused themselves only.
pub fn check_system_path(real: &Path) -> Result<(), UnsuitableRoot> {
    match reason_against(real) {
        Some(why) => Err(UnsuitableRoot::System {
            path: real.to_owned(),
            why,
        }),
        None => Ok(()),
    }
}

fn reason_against(real: &Path) -> Option<&'static str> {
    if HOLDERS.iter().any(|holder| real == Path::new(holder)) {
        return Some("holds the directories of many users or services, not one tree");
    }
    if OTHERS_INSIDE_SYSTEM
        .iter()
        .any(|&(place, depth)| is_deeper(real, place, depth))
    {
        return None;
    }
    SYSTEM
        .iter()
        .find(|(place, _)| real.starts_with(place))
        .map(|&(_, why)| why)
}

fn is_deeper(real: &Path, place: &str, depth: usize) -> bool {
    real.strip_prefix(place)
        .is_ok_and(|rest| rest.components().count() >= depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(path: &str) -> bool {
        check_system_path(Path::new(path)).is_err()
    }

    #[test]
    fn the_system_is_refused_with_all_that_is_inside() {
        for path in [
            "/bin",
            "/boot/efi",
            "/dev",
            "/dev/pts",
            "/etc",
            "/etc/a/b",
            "/lib64/x",
            "/proc/1",
            "/run",
            "/run/docker",
            "/sbin/init",
            "/sys/fs/cgroup",
            "/usr",
            "/usr/lib/x",
            "/nix/store/x",
        ] {
            assert!(is_refused(path), "{path}");
        }
    }

    #[test]
    fn holders_are_refused_themselves_only() {
        for &holder in HOLDERS {
            assert!(is_refused(holder), "{holder}");
            if holder != "/" {
                assert!(!is_refused(&format!("{holder}/x")), "{holder}/x");
            }
        }
    }

    #[test]
    fn what_others_keep_inside_the_system_passes() {
        for (path, refused) in [
            ("/usr/local", true),
            ("/usr/local/share", false),
            ("/dev/shm", true),
            ("/dev/shm/x", false),
            ("/run/user", true),
            ("/run/user/1000", true),
            ("/run/user/1000/containers", false),
            ("/run/media/ann", true),
            ("/run/media/ann/disk", false),
        ] {
            assert_eq!(is_refused(path), refused, "{path}");
        }
    }

    #[test]
    fn a_name_that_begins_alike_passes() {
        for path in [
            "/library",
            "/etcetera/x",
            "/devel",
            "/data",
            "/users",
            "/nix/var/x",
        ] {
            assert!(!is_refused(path), "{path}");
        }
    }

    #[test]
    fn the_message_names_path_reason_and_flag() {
        let message = check_system_path(Path::new("/etc/ssh"))
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("/etc/ssh: holds the system's configuration"));
        assert!(message.contains("--allow-system-path"));
    }
}
