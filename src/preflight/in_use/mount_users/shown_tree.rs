//! Which part of a tree a mount shows.

use std::ffi::OsString;

use super::tree_mount::TreeMount;
use super::viewed_mount::ViewedMount;
use crate::preflight::in_use::containment::Containment;

/// What the name of the directory in a data-root begins with that holds an idmapped root; that root's name follows.
pub const IDMAPPED_ROOT: &str = "idshift-idmapped-";

/// The directory in that which is mounted.
pub const IDMAPPED_CONTENT: &str = "content";

impl ViewedMount {
    /// Whether it shows what an idmapped data-root has, in the place where its daemon looks for that: no use by
    /// somebody else.
    pub fn is_of_idmapped_root(&self, homes: &[TreeMount]) -> bool {
        let Some(name) = self.point.file_name().filter(|_| self.idmapped) else {
            return false;
        };
        let mut dir = OsString::from(IDMAPPED_ROOT);
        dir.push(name);
        let mut homes = homes.iter();
        homes.any(|home| {
            let shown = home.path.join(&dir).join(IDMAPPED_CONTENT);
            home.filesystem == self.filesystem && self.root == shown
        })
    }

    pub fn containment(&self, homes: &[TreeMount]) -> Containment {
        // A root that was removed since it was mounted: its old name may be another's by now.
        let root = self.root.as_os_str().as_encoded_bytes();
        if root.ends_with(b"//deleted") {
            return Containment::Apart;
        }
        let mut containment = Containment::Apart;
        for home in homes
            .iter()
            .filter(|home| home.filesystem == self.filesystem)
        {
            if self.root.starts_with(&home.path) {
                return Containment::Within;
            }
            if home.path.starts_with(&self.root) {
                containment = Containment::Around;
            }
        }
        containment
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::fs::mountinfo;

    #[test]
    fn a_mount_stands_to_a_tree_as_its_root_does() {
        let homes = [TreeMount {
            filesystem: "8:1".to_owned(),
            path: PathBuf::from("/srv/x"),
            mount: 1,
            above: Vec::new(),
        }];
        for (filesystem, root, containment) in [
            ("8:1", "/srv/x", Containment::Within),
            ("8:1", "/srv/x/y", Containment::Within),
            ("8:1", "/srv/x/y//deleted", Containment::Apart),
            ("8:1", "/srv", Containment::Around),
            ("8:1", "/", Containment::Around),
            ("8:1", "/srv/xy", Containment::Apart),
            ("8:2", "/srv/x", Containment::Apart),
        ] {
            let line = format!("2 1 {filesystem} {root} /m rw - ext4 none rw");
            let mount = ViewedMount::of(mountinfo::from_line(line.as_bytes()).unwrap()).unwrap();
            assert_eq!(
                mount.containment(&homes),
                containment,
                "{filesystem} {root}"
            );
        }
    }
}
