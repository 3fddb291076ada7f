//! Where paths that lead into a docker root lead once it has another place.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use super::DockerError;

/// A docker root that goes from one directory to another.
pub struct Moved {
    from: String,
    to: String,
    /// Names in `from` that do not go along.
    stay: Vec<String>,
}

impl Moved {
    /// Of a docker root that is `from`, without symlinks, and becomes `to`.
    ///
    /// # Errors
    /// A path is not UTF-8, which no daemon's metadata can hold.
    pub fn new(from: &Path, to: &Path, stay: Vec<String>) -> Result<Moved, DockerError> {
        let text = |path: &Path| {
            let why = "the path of a data-root must be UTF-8";
            let text = path.to_str().map(str::to_string);
            text.ok_or_else(|| DockerError::in_the_way(path, why))
        };
        Ok(Moved {
            from: text(from)?,
            to: text(to)?,
            stay,
        })
    }

    /// The path that means the same afterwards; `None` where it means the same as it is.
    ///
    /// Symlinks are seen through: `/srv/docker` may lead to the data-root, and a container that binds
    /// `/srv/docker/volumes` needs it back.
    pub fn path(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return None;
        }
        self.by_text(path).or_else(|| {
            let real = real(Path::new(path))?;
            self.by_text(real.to_str()?)
        })
    }

    /// Whether a path leads to the docker root or into it.
    pub fn holds(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.path(path).is_some())
    }

    fn by_text(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&self.from)?;
        // `/var/lib/dockerX` is not below `/var/lib/docker`.
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let mut names = rest.split('/').filter(|name| !name.is_empty());
        let stays = names
            .next()
            .is_some_and(|first| self.stay.iter().any(|name| name == first));
        (!stays).then(|| format!("{}{rest}", self.to))
    }
}

/// A path without symlinks; what is not there yet is taken as it is written.
fn real(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|above| {
        let real = canonicalize(above).ok()?;
        let below = path.strip_prefix(above).ok()?;
        Some(match below.as_os_str().is_empty() {
            true => real,
            false => real.join(below),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: &str) -> Moved {
        let from = Path::new(from);
        Moved::new(
            from,
            &from.join("100000.100000"),
            vec!["200000.200000".into()],
        )
        .unwrap()
    }

    #[test]
    fn only_what_goes_along_gets_another_path() {
        let moved = moved("/none/docker");
        for (path, expected) in [
            ("/none/docker", Some("/none/docker/100000.100000")),
            ("/none/docker/", Some("/none/docker/100000.100000/")),
            (
                "/none/docker/volumes/v",
                Some("/none/docker/100000.100000/volumes/v"),
            ),
            ("/none/docker/200000.200000/volumes", None),
            ("/none/docker//200000.200000", None),
            ("/none/dockerfiles", None),
            ("/none", None),
            ("named", None),
            ("", None),
        ] {
            assert_eq!(moved.path(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn symlinks_are_seen_through() {
        let dir = tempfile::tempdir().unwrap();
        let top = canonicalize(dir.path()).unwrap();
        let root = top.join("root");
        std::fs::create_dir_all(root.join("volumes")).unwrap();
        let link = top.join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let moved = moved(root.to_str().unwrap());
        for below in ["volumes", "volumes/not/there/yet"] {
            let path = link.join(below).to_str().unwrap().to_string();
            let expected = root.join("100000.100000").join(below);
            assert_eq!(moved.path(&path).as_deref(), expected.to_str());
        }
    }
}
