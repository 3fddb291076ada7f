//! Where containerd's directory may be, and what is in it.

use std::path::{Path, PathBuf};

use super::host_containerd;
use crate::containerd::ContainerdRoot;
use crate::docker::DockerError;
use crate::docker::conversion::plan::{NAMESPACE, is_containerd};
use crate::docker::daemon_start::containerd_command_line;
use crate::docker::data_root::{COPY, DockerRoot, is_remapped_name, names};
use crate::preflight::in_use::{IDMAPPED_CONTENT, IDMAPPED_ROOT};

/// The containerd directories that a daemon which works in this docker root may use, and its namespace there.
///
/// # Errors
/// It cannot be told where the containerd of the host keeps its data.
pub fn stores_of(root: &DockerRoot) -> Result<(Vec<ContainerdRoot>, String), DockerError> {
    let (top, range) = place(root);
    let dirs = containerd_dirs(top, &root.path)?;
    let dirs = dirs.into_iter().filter(|dir| is_containerd(dir));
    let namespace = match range {
        Some(range) => format!("{NAMESPACE}-{range}"),
        None => NAMESPACE.to_string(),
    };
    Ok((dirs.map(ContainerdRoot::at).collect(), namespace))
}

/// The data-root that a docker root is in, and the range that its daemon is remapped to. A docker root is the data-root
/// itself, `<uid>.<gid>` or a copy in it, or the content of a root that is remapped by a mount.
pub(super) fn place(root: &DockerRoot) -> (&Path, Option<&str>) {
    fn name(path: &Path) -> &str {
        let name = path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }
    let path = root.path.as_path();
    let above = path.parent().unwrap_or(path);
    match (name(above).strip_prefix(IDMAPPED_ROOT), name(path)) {
        (Some(range), IDMAPPED_CONTENT) => (above.parent().unwrap_or(above), Some(range)),
        (_, range) if is_remapped_name(range) => (above, Some(range)),
        (_, copy) if copy.starts_with(COPY) => (above, None),
        _ => (path, None),
    }
}

/// Where it may be: run by dockerd in the data-root, or a service of the host.
pub(super) fn containerd_dirs(top: &Path, root: &Path) -> Result<Vec<PathBuf>, DockerError> {
    let service = host_containerd::root_dir(&containerd_command_line())?;
    let mut dirs: Vec<PathBuf> = [root, top]
        .map(|dir| dir.join("containerd/daemon"))
        .into_iter()
        .chain([service])
        .filter(|dir| dir.is_dir())
        .collect();
    dirs.dedup();
    Ok(dirs)
}

/// Whether any content is there; where no directory of containerd is found, nobody knows that there is none.
pub(super) fn has_content(containerd: &[PathBuf]) -> bool {
    let blobs = |dir: &PathBuf| {
        let blobs = names(&dir.join("io.containerd.content.v1.content/blobs/sha256"));
        blobs.is_ok_and(|blobs| !blobs.is_empty())
    };
    containerd.is_empty() || containerd.iter().any(blobs)
}

pub(super) fn snapshotters(containerd: &Path) -> Vec<PathBuf> {
    let names = names(containerd).unwrap_or_default().into_iter();
    let names = names.filter(|name| name.starts_with("io.containerd.snapshotter.v1."));
    names.map(|name| containerd.join(name)).collect()
}

/// `NAMESPACE/` of the key `NAMESPACE/NUMBER/ID` in a database.
pub(super) fn namespace_in(database: &[u8], id: &str) -> Option<String> {
    let key = format!("/{id}");
    let key = key.as_bytes();
    let hits = database.windows(key.len()).enumerate();
    hits.filter(|(_, window)| *window == key)
        .find_map(|(at, _)| {
            let before = &database[..at];
            let digits = before
                .iter()
                .rev()
                .take_while(|b| b.is_ascii_digit())
                .count();
            let before = before[..at - digits].strip_suffix(b"/")?;
            let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            let len = before.iter().rev().take_while(is_name).count();
            let name = std::str::from_utf8(&before[before.len() - len..]).ok()?;
            // A length or flag that looks like a letter may stand before it.
            let start = name.rfind("moby")?;
            Some(format!("{}/", &name[start..]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_root_tells_its_data_root_and_its_range() {
        for (path, expected) in [
            ("/d", ("/d", None)),
            ("/d/100000.100000", ("/d", Some("100000.100000"))),
            ("/d/idshift-copy-1.1", ("/d", None)),
            ("/d/idshift-idmapped-1.1/content", ("/d", Some("1.1"))),
            ("/d/content", ("/d/content", None)),
        ] {
            let root = DockerRoot::at(path);
            let (top, range) = place(&root);
            assert_eq!((top.to_str().unwrap(), range), expected);
        }
    }

    #[test]
    fn a_snapshots_key_names_the_namespace_of_a_container() {
        let id = "5a1f0426dbfa6ffb1679b0ddbc7449364dc6e1b7118b4b606f4a6ef98e66c7cb";
        let of = |text: String| namespace_in(text.as_bytes(), id);
        let plain = format!("\x10\0xmoby/4/{id}-init\0moby/5/{id}s");
        assert_eq!(of(plain), Some("moby/".into()));
        let remapped = format!("\0\0moby-100000.100000/12/{id}");
        assert_eq!(of(remapped), Some("moby-100000.100000/".into()));
        assert_eq!(of("moby/5/0af78e9d913c".into()), None);
        assert_eq!(of(format!("/{id}")), None);
    }
}
