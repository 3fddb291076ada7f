//! Where a path leads, and whether those who made the symlinks on the way may say so.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

/// The result of resolving a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This place, without symlinks on the way or at its end.
    Place(PathBuf),
    /// A symlink at its end; where that leads.
    Symlink(PathBuf),
    /// A symlink on the way, of somebody who is neither root nor whoever runs this.
    Strangers {
        /// The symlink.
        link: PathBuf,
        /// Its owner.
        uid: u32,
    },
}

/// As many as the kernel follows (`path_resolution(7)`).
const MOST_SYMLINKS: usize = 40;

/// Follows the symlinks before the last component, as the kernel does.
///
/// A symlink of an unprivileged user leads a program that runs as root wherever that user likes, and
/// elsewhere in the next moment: it is not followed. The answer is a name. What has it must be
/// opened so that a symlink that is made there since is not followed either
/// ([`Pin::exactly`](super::PinnedFile::exactly)).
///
/// # Errors
/// The kernel's, as when nothing is there.
pub fn resolve(path: &Path) -> io::Result<Resolved> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    let own = rustix::process::geteuid().as_raw();
    let bytes = path.as_os_str().as_bytes();
    let is_directory = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    let mut ahead = names(&std::path::absolute(path)?);
    let mut here = PathBuf::from("/");
    let mut followed = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let found = next.symlink_metadata()?;
        if !found.is_symlink() {
            here = next;
            continue;
        }
        // What comes from a symlink has the rest of the path behind it.
        if ahead.is_empty() && !is_directory {
            let target = std::fs::canonicalize(&next).or_else(|_| std::fs::read_link(&next));
            return target.map(Resolved::Symlink);
        }
        if ![0, own].contains(&found.uid()) {
            let (link, uid) = (next, found.uid());
            return Ok(Resolved::Strangers { link, uid });
        }
        followed += 1;
        if followed > MOST_SYMLINKS {
            return Err(Errno::LOOP.into());
        }
        let target = std::fs::read_link(&next)?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            ahead.push_front(name);
        }
    }
    Ok(Resolved::Place(here))
}

/// The names of a path, `..` among them.
pub fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    #[test]
    fn it_leads_where_the_kernel_says() {
        let place = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(place.path()).unwrap();
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        symlink("b", top.join("a/relative")).unwrap();
        symlink(top.join("a"), top.join("absolute")).unwrap();
        symlink("../absolute/relative", top.join("a/twice")).unwrap();
        symlink("itself", top.join("itself")).unwrap();
        for path in [
            "a/b/c",
            "a/relative/c",
            "absolute/b/c/",
            "absolute/relative/../relative/c",
            "a/twice/c",
            "a/twice/../b/./c",
            "a/b/../../a/b",
            "absolute/",
            "absolute/.",
        ] {
            let real = std::fs::canonicalize(top.join(path)).unwrap();
            let found = resolve(&top.join(path)).unwrap();
            assert_eq!(found, Resolved::Place(real), "{path}");
        }
        assert_eq!(
            resolve(Path::new("/")).unwrap(),
            Resolved::Place("/".into())
        );
        assert_eq!(
            resolve(&top.join("absolute")).unwrap(),
            Resolved::Symlink(top.join("a"))
        );
        for path in ["nothing", "a/nothing/c", "itself/x", "a/b/c/.."] {
            let kernel =
                std::fs::canonicalize(top.join(path)).map_err(|error| error.raw_os_error());
            let found = resolve(&top.join(path)).map_err(|error| error.raw_os_error());
            assert_eq!(found, kernel.map(Resolved::Place), "{path}");
        }
    }

    #[test]
    fn a_symlink_of_a_stranger_on_the_way_is_not_followed() {
        if !rustix::process::geteuid().is_root() {
            panic!("owners take root: run tests/run as root");
        }
        let place = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(place.path()).unwrap();
        std::fs::create_dir_all(top.join("secret/data")).unwrap();
        symlink("secret", top.join("way")).unwrap();
        symlink("way", top.join("first")).unwrap();
        let data = Resolved::Place(top.join("secret/data"));
        assert_eq!(resolve(&top.join("first/data")).unwrap(), data);
        lchown(top.join("way"), Some(1000), Some(1000)).unwrap();
        for path in ["way/data", "first/data", "way/"] {
            let link = top.join("way");
            let found = resolve(&top.join(path)).unwrap();
            assert_eq!(found, Resolved::Strangers { link, uid: 1000 }, "{path}");
        }
    }
}
