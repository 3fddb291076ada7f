//! Mounts of a test.

use super::PYTHON;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{script, sh};

/// Unmounted when dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Shows `from` at `to` so that the ids `0..65536` on disk are seen as `100000..165536`.
    pub fn idmapped(from: &Path, to: &Path) -> Mounted {
        let helper = Command::new(PYTHON)
            .arg(script("idmapped_mount.py"))
            .args([from, to])
            .args(["0", "100000", "65536"])
            .status();
        assert!(helper.unwrap().success(), "an idmapped mount");
        Mounted(to.to_path_buf())
    }

    pub fn bind(from: &Path, to: &Path) -> Mounted {
        sh(
            "mount",
            ["--bind".as_ref(), from.as_os_str(), to.as_os_str()],
        );
        Mounted(to.to_path_buf())
    }

    pub fn new(fs_type: &str, options: &str, to: &Path) -> Mounted {
        let args = ["-t", fs_type, "-o", options, "none"].map(AsRef::as_ref);
        sh("mount", args.into_iter().chain([to.as_os_str()]));
        Mounted(to.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
