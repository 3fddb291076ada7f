//! What Docker puts into a container before it starts it, `<container>-init`: mount points of the runtime, and files that
//! it mounts over (`daemon/initlayer` of moby).
//!
//! In the store, an image of the classic builder or of `docker commit` is on the init snapshots of the containers that it
//! was made in. What those have, Docker does not put into a container again. They are no layers of the image, so with a
//! storage driver the container's own init layer needs all of it: else the runtime makes what is missing in the
//! container's writable layer, and `docker diff` shows it.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::docker::DockerError;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::{Owner, make_dir, stat_entry};
use crate::ownership::Mode;

/// Directories that Docker makes where neither the image nor another init layer has them. The files, it makes always.
const MOUNT_POINTS: [&str; 4] = ["dev/pts", "dev/shm", "proc", "sys"];

/// The attribute of a directory that hides what is below it (overlayfs).
const OPAQUE: &str = "trusted.overlay.opaque";

/// The init layer of a container.
#[derive(Clone, Debug)]
pub struct PlannedInit {
    /// The number of its snapshot.
    pub snapshot: u64,
    /// Directories to add to it. When there are any, it is copied, so that the snapshot stays as it is.
    pub lacks: Vec<&'static str>,
}

/// What one layer says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LayerEntry {
    Nothing,
    Directory,
    NoDirectory,
}

/// The directories that Docker would have put into an init layer on these layers, and that are not in it. `layers`: the
/// files of the image's, topmost first.
///
/// # Errors
/// Something cannot be read.
pub(super) fn lacks(init: &Path, layers: &[PathBuf]) -> Result<Vec<&'static str>, DockerError> {
    let mut lacking = Vec::new();
    for path in MOUNT_POINTS {
        let mut has = false;
        for dir in std::iter::once(init).chain(layers.iter().map(PathBuf::as_path)) {
            match layer_entry(dir, path).map_err(DockerError::io(dir))? {
                LayerEntry::Nothing => continue,
                found => has = found == LayerEntry::Directory,
            }
            break;
        }
        lacking.extend((!has).then_some(path));
    }
    Ok(lacking)
}

fn layer_entry(dir: &Path, path: &str) -> io::Result<LayerEntry> {
    let mut dir = open_dir(rustix::fs::CWD, dir)?;
    for name in path.split('/') {
        dir = match stat_entry(dir.as_fd(), name.as_bytes())? {
            None if is_opaque(&dir)? => return Ok(LayerEntry::NoDirectory),
            None => return Ok(LayerEntry::Nothing),
            Some(found) if found.is_dir() => open_dir(dir.as_fd(), name)?,
            // A whiteout hides what is below; Docker removes what else is there.
            Some(_) => return Ok(LayerEntry::NoDirectory),
        };
    }
    Ok(LayerEntry::Directory)
}

fn is_opaque(dir: impl AsFd) -> io::Result<bool> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(dir, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes in a copy of an init layer what it lacks, as Docker makes it.
///
/// # Errors
/// The disk is full.
pub(super) fn complete(init: &Path, lacks: &[&str]) -> io::Result<()> {
    for path in lacks {
        let mut dir = open_dir(rustix::fs::CWD, init)?;
        for name in path.split('/') {
            if !stat_entry(dir.as_fd(), name.as_bytes())?.is_some_and(|found| found.is_dir()) {
                let owner = Owner {
                    uid: 0,
                    gid: 0,
                    mode: Mode::from_st_mode(0o755),
                };
                make_dir(dir.as_fd(), name.as_bytes(), owner)?;
            }
            dir = open_dir(dir.as_fd(), name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn dir(top: &Path, paths: &[&str]) -> PathBuf {
        for path in paths {
            fs::create_dir_all(top.join(path)).unwrap();
        }
        top.to_path_buf()
    }

    #[test]
    fn what_the_layers_of_the_image_have_is_not_lacking() {
        let place = tempfile::tempdir().unwrap();
        let below = dir(&place.path().join("1"), &["dev/pts", "dev/shm", "proc"]);
        let above = dir(&place.path().join("2"), &["dev", "etc"]);
        let init = dir(&place.path().join("3"), &["dev"]);
        let all = [above.clone(), below.clone()];
        assert_eq!(lacks(&init, &all).unwrap(), ["sys"]);
        assert_eq!(lacks(&init, &[]).unwrap(), MOUNT_POINTS);
        // What an upper layer replaces is not there.
        symlink("/elsewhere", above.join("proc")).unwrap();
        assert_eq!(lacks(&init, &all).unwrap(), ["proc", "sys"]);
        symlink("/elsewhere", above.join("dev/pts")).unwrap();
        assert_eq!(lacks(&init, &all).unwrap(), ["dev/pts", "proc", "sys"]);
        fs::remove_file(above.join("dev/pts")).unwrap();
        fs::create_dir(above.join("dev/pts")).unwrap();
        assert_eq!(lacks(&init, &all).unwrap(), ["proc", "sys"]);

        complete(&init, &MOUNT_POINTS).unwrap();
        assert_eq!(lacks(&init, &[]).unwrap(), [""; 0]);
        let made = fs::metadata(init.join("dev/shm")).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, 0));
    }

    #[test]
    fn an_opaque_directory_hides_what_is_below() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let below = dir(
            &place.path().join("1"),
            &["dev/pts", "dev/shm", "proc", "sys"],
        );
        let above = dir(&place.path().join("2"), &["dev/shm"]);
        let set = rustix::fs::setxattr(
            above.join("dev"),
            OPAQUE,
            b"y",
            rustix::fs::XattrFlags::empty(),
        );
        // Only root may.
        if set.is_ok() {
            assert_eq!(lacks(&above, &[below]).unwrap(), ["dev/pts"]);
        }
    }
}
