//! Where a store is, or is to be.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::MoveError;
use crate::fs::root::RootError;
use crate::fs::{PinnedFile, Root, Stat};
use crate::journal::step::StepPath;

/// The store that is to be carried, as steps know it.
pub struct Source {
    /// Where it is, without symlinks: the first root of the steps.
    pub path: PathBuf,
}

impl Source {
    /// Symlinks on the way are followed where they are root's: whoever else has one could let root change another
    /// directory than is meant.
    ///
    /// # Errors
    /// It is not there, or a symlink on the way is somebody's.
    pub fn at(path: &Path) -> Result<Source, MoveError> {
        let root = Root::open(path)?;
        match root.is_dir() {
            true => Ok(Source { path: root.path }),
            false => Err(MoveError::in_the_way(path, "is not a directory")),
        }
    }

    /// Something in it.
    pub fn step<N: AsRef<[u8]>>(&self, names: &[N]) -> StepPath {
        StepPath::new(0, names)
    }
}

/// Where a store is to be, as steps know it.
pub struct Target {
    /// The directory above it; of those that are missing, the last that is there. The second root of the steps.
    pub anchor: PathBuf,
    /// The names from there to the store, at least one.
    pub names: Vec<Vec<u8>>,
    /// What is there already.
    pub there: Option<Stat>,
}

impl Target {
    /// Symlinks on the way are followed as those to a [`Source`].
    ///
    /// # Errors
    /// Something else than a directory is there, or a symlink on the way is somebody's.
    pub fn at(path: &Path) -> Result<Target, MoveError> {
        if !path.is_absolute() {
            let why = "is not an absolute path. Give the path from / on";
            return Err(MoveError::in_the_way(path, why));
        }
        let mut names = Vec::new();
        for above in path.ancestors() {
            // Root's symlinks are followed, also the last one.
            match Root::open(&above.join(".")) {
                Ok(found) if found.is_dir() => return Target::below(found, names),
                Ok(_) => {
                    let why = "is not a directory, but the data goes there. Move it away";
                    return Err(MoveError::in_the_way(above, why));
                }
                Err(RootError::Open { source, .. }) if is_missing(&source) => {
                    check_nothing_is_there(above)?;
                    names.extend(above.file_name().map(|name| name.as_bytes().to_vec()));
                }
                Err(error) => return Err(MoveError::Place(error)),
            }
        }
        Err(MoveError::in_the_way(path, NO_PLACE))
    }

    /// `missing`: the names below what is there, the last first.
    fn below(found: Root, mut missing: Vec<Vec<u8>>) -> Result<Target, MoveError> {
        missing.reverse();
        if !missing.is_empty() {
            return Ok(Target {
                anchor: found.path,
                names: missing,
                there: None,
            });
        }
        let stat = found.pin.stat().map_err(MoveError::errno(&found.path))?;
        match (found.path.parent(), found.path.file_name()) {
            (Some(above), Some(name)) => Ok(Target {
                anchor: above.to_path_buf(),
                names: vec![name.as_bytes().to_vec()],
                there: Some(stat),
            }),
            _ => Err(MoveError::in_the_way(found.path, NO_PLACE)),
        }
    }

    /// The path that it has, or will have.
    pub fn path(&self) -> PathBuf {
        let names = self.names.iter().map(|name| OsStr::from_bytes(name));
        names.fold(self.anchor.clone(), |path, name| path.join(name))
    }

    /// So many names from the anchor on.
    pub fn step(&self, names: usize) -> StepPath {
        StepPath::new(1, &self.names[..names])
    }

    /// The store itself.
    pub fn top(&self) -> StepPath {
        self.step(self.names.len())
    }
}

const NO_PLACE: &str = "cannot be the place of a store";

/// What the kernel says of a directory.
pub fn stat_of(path: &Path) -> Result<Stat, MoveError> {
    let stat = PinnedFile::path(path).and_then(|pin| pin.stat());
    stat.map_err(MoveError::errno(path))
}

/// Who besides root can change what this directory leads to: the first directory of its path, from the innermost on, and
/// in words who can change that. An entry of root's stays in its place in a sticky directory.
pub fn changed_by_others(dir: &Path) -> Result<Option<(&Path, String)>, MoveError> {
    for (n, path) in dir.ancestors().enumerate() {
        let found = stat_of(path)?;
        let is_sticky = n > 0 && found.mode.bits() & 0o1000 != 0;
        match (found.uid, found.mode.bits() & 0o022) {
            (0, 0) => {}
            (0, _) if is_sticky => {}
            (0, _) => {
                let who = format!("others than root: it has mode {}", found.mode);
                return Ok(Some((path, who)));
            }
            (uid, _) => return Ok(Some((path, format!("uid {uid}, to whom it belongs")))),
        }
    }
    Ok(None)
}

/// What is above is missing, too, or is a file.
fn is_missing(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind())
}

/// A symlink that leads to nothing has the place all the same.
fn check_nothing_is_there(path: &Path) -> Result<(), MoveError> {
    match path.symlink_metadata() {
        Ok(_) => Err(MoveError::in_the_way(
            path,
            "is a symlink that leads nowhere. Remove it, or make the directory that it names",
        )),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_missing_is_below_what_is_there() {
        // Below a directory of root's, and not the one for temporary files: that may be a symlink.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(top.join("home")).unwrap();
        std::os::unix::fs::symlink("home", top.join("link")).unwrap();
        let target = Target::at(&top.join("link/.local/share/docker")).unwrap();
        assert_eq!(target.anchor, top.join("home"));
        assert_eq!(target.path(), top.join("home/.local/share/docker"));
        assert_eq!(target.step(1), StepPath::new(1, [".local"]));
        assert!(target.there.is_none());
        let there = Target::at(&top.join("link")).unwrap();
        assert_eq!(
            (there.anchor.as_path(), there.there.is_some()),
            (&*top, true)
        );
        assert_eq!(there.top(), StepPath::new(1, ["home"]));

        std::os::unix::fs::symlink("none", top.join("dangling")).unwrap();
        fs::write(top.join("file"), "").unwrap();
        for bad in ["dangling/docker", "file/docker", "file"] {
            assert!(Target::at(&top.join(bad)).is_err(), "{bad}");
        }
        assert!(Target::at(Path::new("docker")).is_err());
        assert!(Source::at(&top.join("none")).is_err());
    }
}
