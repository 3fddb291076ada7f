//! User namespaces, and the calls this program likes to have.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::MemfdFlags;
use xattr::FileExt;

use super::{Finding, filesystem};
use crate::fs::PinnedFile;
use crate::preflight::user_namespace::has_all_ids;
use crate::sys;

/// Findings about the kernel. First, why it cannot be told from here.
pub fn findings() -> Vec<Finding> {
    let mut findings: Vec<Finding> = from_here().into_iter().collect();
    findings.extend([version(), user_namespaces()]);
    findings.extend(helpers());
    findings
}

/// What keeps this process from seeing what the host can do.
fn from_here() -> Option<Finding> {
    match has_all_ids() {
        Some(true) => None,
        Some(false) => Some(
            Finding::error(
                "this process",
                "is in a user namespace that does not have all ids (/proc/self/uid_map), so file capabilities and filesystems were \
                 not tested",
            )
            .remedy("run idshift doctor on the host, outside of containers"),
        ),
        None => Some(
            Finding::error("this process", "has no /proc, which idshift needs").remedy(MOUNT_PROC),
        ),
    }
}

const MOUNT_PROC: &str = "mount -t proc proc /proc";

/// `uname(2)`, as major and minor number.
fn release() -> (String, (u32, u32)) {
    let uname = rustix::system::uname();
    let text = uname.release().to_string_lossy().into_owned();
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let major = numbers.next().unwrap_or(0);
    let minor = numbers.next().unwrap_or(0);
    (text, (major, minor))
}

fn version() -> Finding {
    let (text, version) = release();
    let v3 = keeps_v3_capabilities().unwrap_or(version >= (4, 14));
    let mount_roots = PinnedFile::path(Path::new("/"))
        .and_then(|pin| pin.stat())
        .is_ok_and(|stat| stat.knows_mounts);
    let features = [
        ("v3 file capabilities", v3),
        ("mount roots in statx", mount_roots),
        ("idmapped mounts", sys::has_idmapped_mounts()),
        ("*xattrat", sys::has_xattrat()),
    ];
    let said = features.map(|(what, has)| format!("{what} {}", if has { "yes" } else { "no" }));
    let found = format!("{text}: {}", said.join(", "));
    match (v3, mount_roots) {
        (false, _) => Finding::error("kernel", found).remedy(
            "Linux 4.14 or later: before, a file capability cannot be valid in a user namespace only",
        ),
        (_, false) => Finding::warning("kernel", found).remedy(
            "Linux 5.8 or later tells bind mounts of the same filesystem apart from directories",
        ),
        _ => Finding::ok("kernel", found),
    }
}

/// Tried on a file in memory; `None` where that cannot be, as without root.
fn keeps_v3_capabilities() -> Option<bool> {
    has_all_ids().filter(|has_all| *has_all)?;
    let file = rustix::fs::memfd_create(c"idshift", MemfdFlags::CLOEXEC).ok()?;
    let set = File::from(file).set_xattr("security.capability", &filesystem::capability());
    match set {
        Ok(()) => Some(true),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Some(false),
        Err(_) => None,
    }
}

/// `user_namespaces(7)`: 0 makes every remapped container fail at its start.
pub fn user_namespaces() -> Finding {
    const WHAT: &str = "user namespaces";
    const PATH: &str = "/proc/sys/user/max_user_namespaces";
    if !Path::new("/proc/self").exists() {
        return Finding::warning(WHAT, "was not tested: /proc is not mounted").remedy(MOUNT_PROC);
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return Finding::error(WHAT, "the kernel has none").remedy("a kernel with CONFIG_USER_NS");
    }
    let most = std::fs::read_to_string(PATH).unwrap_or_default();
    match most.trim().parse::<u64>() {
        Ok(0) => Finding::error(
            WHAT,
            "user.max_user_namespaces is 0, so no container would start",
        )
        .remedy("sysctl -w user.max_user_namespaces=28633, and a file in /etc/sysctl.d"),
        Ok(most) => Finding::ok(WHAT, format!("user.max_user_namespaces is {most}")),
        Err(_) => Finding::warning(WHAT, format!("{PATH} cannot be read")),
    }
}

/// What gives a user's process its ranges, and is not in `PATH`.
pub fn missing_helpers() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let names = ["newuidmap", "newgidmap"];
    names.into_iter().filter(|name| !is_there(name)).collect()
}

/// Only engines that run without root need them.
fn helpers() -> Vec<Finding> {
    let missing = missing_helpers();
    vec![match missing[..] {
        [] => Finding::ok("newuidmap, newgidmap", "are installed"),
        _ => Finding::warning(
            "newuidmap, newgidmap",
            format!(
                "{} not installed; dockerd does not need it",
                missing.join(", ")
            ),
        )
        .remedy("apt install uidmap, for rootless engines"),
    }]
}
