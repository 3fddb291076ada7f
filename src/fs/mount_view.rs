//! What is seen of filesystems through the mounts at and below a directory. Pure.
//!
//! A mount shows one directory of a filesystem. The same directory can be shown by several mounts (bind mounts, a
//! filesystem that is mounted twice): then one inode has several paths.

use std::path::{Path, PathBuf};

use super::mountinfo::Mount;

/// A directory or file of a filesystem, as one mount shows it.
#[derive(Clone, Debug)]
pub struct View<'m> {
    /// Through which mount it is seen.
    pub mount: &'m Mount,
    /// Where it is seen.
    pub at: PathBuf,
    /// Its path from the top of its filesystem.
    dir: PathBuf,
    /// The mount points in it, as they are seen: what is below is another view's.
    covered: Vec<PathBuf>,
}

impl<'m> View<'m> {
    /// What is seen at `path`, which lies on `mount`. `None` where the path is not below the mount point.
    pub fn at(path: &Path, mount: &'m Mount, mounts: &'m [Mount]) -> Option<View<'m>> {
        let below = path.strip_prefix(&mount.point).ok()?;
        Some(View {
            mount,
            at: path.to_path_buf(),
            dir: join(&mount.root, below),
            covered: mounted_on(mount, path, mounts)
                .map(|child| child.point.clone())
                .collect(),
        })
    }

    /// This view, and those of everything mounted below it. `is_wanted` says of a path whether it is of interest, with
    /// all below.
    pub fn with_all_below(
        self,
        mounts: &'m [Mount],
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> Vec<View<'m>> {
        let mut all = vec![self];
        let mut next = 0;
        while next < all.len() {
            let View { mount, at, .. } = &all[next];
            let below = mounted_on(mount, at, mounts)
                .filter(|child| is_wanted(&child.point))
                .filter_map(|child| {
                    let top = topmost(child, mounts);
                    View::at(&top.point, top, mounts)
                });
            let below: Vec<View<'m>> = below.collect();
            all.extend(below);
            next += 1;
        }
        all
    }

    /// Whether some inode is seen in both.
    pub fn shares_inodes_with(&self, other: &View<'_>) -> bool {
        let is_deleted = |view: &View<'_>| {
            let root = view.mount.root.as_os_str().as_encoded_bytes();
            root.ends_with(b"//deleted")
        };
        self.mount.device == other.mount.device
            && !is_deleted(self)
            && !is_deleted(other)
            && (self.shows(&other.dir) || other.shows(&self.dir))
    }

    /// Whether the top of what another view shows is seen in this one.
    fn shows(&self, dir: &Path) -> bool {
        dir.strip_prefix(&self.dir).is_ok_and(|below| {
            let seen_at = join(&self.at, below);
            !self.covered.iter().any(|point| seen_at.starts_with(point))
        })
    }
}

/// The mounts whose points are on a mount, at or below `path`, and not below one another.
fn mounted_on<'m>(
    mount: &Mount,
    path: &Path,
    mounts: &'m [Mount],
) -> impl Iterator<Item = &'m Mount> {
    let (id, point) = (mount.id, mount.point.clone());
    let path = path.to_path_buf();
    let on_it =
        move |other: &&'m Mount| other.parent == id && other.id != id && other.point != point;
    let all: Vec<&Mount> = mounts.iter().filter(on_it).collect();
    let is_outer = |child: &&'m Mount| {
        let is_above =
            |other: &&Mount| other.point != child.point && child.point.starts_with(&other.point);
        child.point.starts_with(&path) && !all.iter().any(is_above)
    };
    let outer: Vec<&'m Mount> = all.iter().copied().filter(is_outer).collect();
    outer.into_iter()
}

/// The mount that is seen where this one is: the last that was put over it.
fn topmost<'m>(mount: &'m Mount, mounts: &'m [Mount]) -> &'m Mount {
    let over = |below: &&'m Mount| {
        let (id, point) = (below.id, &below.point);
        mounts
            .iter()
            .find(|other| other.parent == id && other.id != id && other.point == *point)
    };
    // A table that was read while it changed could lead in a circle.
    let tops = std::iter::successors(Some(mount), over).take(mounts.len());
    tops.last().unwrap_or(mount)
}

/// Without a slash at the end, which an empty path would leave.
fn join(top: &Path, below: &Path) -> PathBuf {
    match below.as_os_str().is_empty() {
        true => top.to_path_buf(),
        false => top.join(below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::mountinfo::from_line;

    /// `ID PARENT DEVICE ROOT POINT` a line.
    fn table(lines: &[&str]) -> Vec<Mount> {
        let line = |line: &&str| from_line(format!("{line} rw - ext4 x rw").as_bytes()).unwrap();
        lines.iter().map(line).collect()
    }

    fn view<'m>(path: &str, id: i32, mounts: &'m [Mount]) -> View<'m> {
        let mount = mounts.iter().find(|mount| mount.id == id).unwrap();
        View::at(Path::new(path), mount, mounts).unwrap()
    }

    fn points(views: &[View<'_>]) -> Vec<String> {
        views
            .iter()
            .map(|view| view.at.display().to_string())
            .collect()
    }

    #[test]
    fn a_bind_mount_shares_inodes_with_its_source_tree() {
        let mounts = table(&["1 0 8:1 / /", "2 1 8:1 /t/a /b", "3 1 8:2 / /other"]);
        let b = view("/b", 2, &mounts);
        for (path, id, shares) in [
            ("/t", 1, true),
            ("/t/a", 1, true),
            ("/t/a/x", 1, true),
            ("/t/ab", 1, false),
            ("/u", 1, false),
            ("/other", 3, false),
        ] {
            let other = view(path, id, &mounts);
            assert_eq!(b.shares_inodes_with(&other), shares, "{path}");
            assert_eq!(other.shares_inodes_with(&b), shares, "{path}");
        }
    }

    #[test]
    fn what_a_mount_covers_is_not_seen() {
        let mounts = table(&["1 0 8:1 / /", "2 1 8:1 /t/a /b", "3 1 8:2 / /t/a"]);
        let (t, b) = (view("/t", 1, &mounts), view("/b", 2, &mounts));
        assert!(!t.shares_inodes_with(&b));
    }

    #[test]
    fn a_mount_below_another_one_or_under_it_is_not_seen() {
        let mounts = table(&[
            "1 0 8:1 / /",
            "2 1 8:1 /x /t/a/b",
            "3 1 8:2 / /t/a",
            "4 3 8:3 / /t/a",
            "5 4 8:4 / /t/a/c",
            "6 1 8:5 / /u",
        ]);
        let all = view("/t", 1, &mounts).with_all_below(&mounts, &|_| true);
        assert_eq!(points(&all), ["/t", "/t/a", "/t/a/c"]);
        assert_eq!(all[1].mount.id, 4);
        let some =
            view("/t", 1, &mounts).with_all_below(&mounts, &|path| path != Path::new("/t/a"));
        assert_eq!(points(&some), ["/t"]);
    }

    #[test]
    fn a_directory_that_is_mounted_on_itself_is_seen_once() {
        let mounts = table(&["1 0 8:1 / /", "2 1 8:1 /t /t"]);
        let all = view("/t", 2, &mounts).with_all_below(&mounts, &|_| true);
        assert_eq!(points(&all), ["/t"]);
    }
}
