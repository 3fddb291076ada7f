//! `SOURCE:TARGET:MODE`, as Compose and `docker run -v` take it, and paths as both clean them.

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why a text is no short volume.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShortVolumeError {
    /// It has too many parts.
    #[error("{0:?} is not SOURCE:TARGET or SOURCE:TARGET:MODE")]
    Parts(String),
    /// Its target is no absolute path.
    #[error(
        "{0:?} has no absolute path of the container: it is SOURCE:TARGET or SOURCE:TARGET:MODE"
    )]
    Target(String),
}

/// A short volume, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortVolume<'a> {
    /// `None`: an anonymous volume.
    pub source: Option<&'a str>,
    /// In the container.
    pub target: &'a str,
    /// The mode says `ro`.
    pub read_only: bool,
    /// The mode has `idmap`: the mount has a map of its own (Podman).
    pub is_idmapped: bool,
}

/// Takes the text apart.
///
/// # Errors
/// It is not one of `TARGET`, `SOURCE:TARGET`, `SOURCE:TARGET:MODE`.
pub fn split(text: &str) -> Result<ShortVolume<'_>, ShortVolumeError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, mode] => (Some(source), target, mode),
        _ => return Err(ShortVolumeError::Parts(text.into())),
    };
    if source == Some("") || !target.starts_with('/') {
        return Err(ShortVolumeError::Target(text.into()));
    }
    Ok(ShortVolume {
        source,
        target,
        read_only: mode.split(',').any(|word| word == "ro"),
        is_idmapped: mode
            .split(',')
            .any(|word| word.split('=').next() == Some("idmap")),
    })
}

/// Whether a source is a host path; else it names a volume (compose-go `format.isFilePath`).
pub fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// A path from this directory on, without `.` and `..`: by its letters alone, as Compose and Docker clean it.
pub fn clean(dir: &Path, path: &str) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in dir.join(path).components() {
        match part {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Normal(name) => cleaned.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_short_volume() {
        let volume = |source, target, read_only| ShortVolume {
            source,
            target,
            read_only,
            is_idmapped: false,
        };
        assert_eq!(split("/data"), Ok(volume(None, "/data", false)));
        assert_eq!(split("./a:/b"), Ok(volume(Some("./a"), "/b", false)));
        assert_eq!(split("/a:/b:ro,z"), Ok(volume(Some("/a"), "/b", true)));
        assert_eq!(split("/a:/b:rw"), Ok(volume(Some("/a"), "/b", false)));
        for bad in ["", ":/b", "/a:b", "/a:", "a:b:c:d", "data"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_cleaned_by_their_letters() {
        let dir = Path::new("/srv/app");
        for (path, cleaned) in [
            ("./data/", "/srv/app/data"),
            ("../x", "/srv/x"),
            ("/abs/./y//z", "/abs/y/z"),
            ("../../../..", "/"),
            (".", "/srv/app"),
        ] {
            assert_eq!(clean(dir, path), Path::new(cleaned), "{path}");
        }
    }
}
