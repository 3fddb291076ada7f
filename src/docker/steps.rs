//! The steps of a migration as they come together.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::DockerError;
use super::data_root::{ASIDE, DockerRoot};
use super::image_store;
use super::inventory::volumes::Edit;
use crate::fs::dir::open_dir;
use crate::fs::shown::shown;
use crate::fs::structure::{read_file, read_link};
use crate::fs::{Pin, Stat};
use crate::ownership::{FileType, Mode};
use crate::record::step::{Content, Made, Place};
use crate::record::{Name, Step};

/// Why an entry of a data-root cannot be carried by renaming it; `None` when it can.
pub fn not_renamed(path: &Path, stat: &Stat) -> Option<String> {
    if stat.mount_root {
        return Some("is a mount point, and a data-root across several filesystems is not carried by renaming".into());
    }
    (stat.file_type == FileType::Symlink).then(|| {
        let target = std::fs::read_link(path).unwrap_or_default();
        format!(
            "is a symlink to {}: what is there is not followed",
            shown(&target)
        )
    })
}

/// Steps as they come together; their root 0 is the data-root.
pub(super) struct Steps<'a> {
    pub top: &'a Path,
    /// The docker root's name in the data-root, where it is not the data-root itself.
    pub inside: Option<&'a String>,
    /// In order.
    pub steps: Vec<Step>,
}

impl Steps<'_> {
    /// A metadata file of a container, if it changes.
    pub fn rewrite(
        &mut self,
        dir: &Path,
        id: &str,
        name: &str,
        before: &str,
        after: String,
    ) -> Result<(), DockerError> {
        if before == after {
            return Ok(());
        }
        let failed = |errno: rustix::io::Errno| DockerError::io(dir)(errno.into());
        let handle = open_dir(rustix::fs::CWD, dir).map_err(failed)?;
        let (_, mtime) =
            read_file(handle.as_fd(), name.as_bytes()).map_err(DockerError::io(dir.join(name)))?;
        let inside = self.inside.map(String::as_str);
        let way = inside.into_iter().chain(["containers", id, name]);
        self.steps.push(Step::Rewrite {
            at: Place::new(0, way),
            before: Content {
                text: before.to_string(),
                mtime_ns: Some(mtime),
            },
            after: Content {
                text: after,
                mtime_ns: None,
            },
        });
        Ok(())
    }

    /// What a volume needs to keep its content: its symlink or its options. `from` is the docker root
    /// that was looked at, `now` where it is.
    pub fn edit(&mut self, edit: &Edit, from: &Path, now: &Path) -> Result<(), DockerError> {
        let (Edit::Link { at, .. } | Edit::Options { at, .. }) = edit;
        let below = at.strip_prefix(from).unwrap_or(at);
        let path = now.join(below);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let name = name.as_bytes();
        let failed = |errno: rustix::io::Errno| DockerError::io(dir)(errno.into());
        let handle = open_dir(rustix::fs::CWD, dir).map_err(failed)?;
        let inside = self.inside.map(OsStr::new);
        let way = inside.into_iter().chain(below.iter());
        let at = Place::new(0, way.map(OsStrExt::as_bytes));
        let io = DockerError::io(&path);
        self.steps.push(match edit {
            Edit::Link { target, .. } => {
                let (before, mtime_ns) = read_link(handle.as_fd(), name).map_err(io)?;
                Step::Relink {
                    at,
                    before: Name(before),
                    after: Name::from(target.as_path()),
                    mtime_ns,
                }
            }
            Edit::Options { before, after, .. } => {
                let (_, mtime) = read_file(handle.as_fd(), name).map_err(io)?;
                Step::Rewrite {
                    at,
                    before: Content {
                        text: before.clone(),
                        mtime_ns: Some(mtime),
                    },
                    after: Content {
                        text: after.clone(),
                        mtime_ns: None,
                    },
                }
            }
        });
        Ok(())
    }

    /// An entry goes from one place in the data-root to another.
    pub fn rename(&mut self, from: &[&str], to: &[&str]) -> Result<(), DockerError> {
        let path = from.iter().fold(self.top.to_path_buf(), |p, n| p.join(n));
        let failed = |errno: rustix::io::Errno| DockerError::io(&path)(errno.into());
        let stat = Pin::path(&path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        if let Some(why) = not_renamed(&path, &stat) {
            let help =
                "Move it into the data-root's filesystem first; docs/docker.md has another way";
            return Err(DockerError::in_the_way(&path, format!("{why}. {help}")));
        }
        self.steps.push(Step::Rename {
            from: Place::new(0, from),
            to: Place::new(0, to),
            identity: stat.identity,
        });
        Ok(())
    }

    pub fn remove_dir(&mut self, name: &str) -> Result<(), DockerError> {
        let path = self.top.join(name);
        let failed = |errno: rustix::io::Errno| DockerError::io(&path)(errno.into());
        let stat = Pin::path(&path)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        self.steps.push(Step::RemoveDir {
            at: Place::new(0, [name]),
            made: Made {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }

    /// A name for what is set aside that nothing has.
    fn aside_name(&self, what: &str) -> String {
        let first = format!("{ASIDE}{what}");
        let mut name = first.clone();
        let mut n = 1;
        while self.top.join(&name).symlink_metadata().is_ok() {
            n += 1;
            name = format!("{first}-{n}");
        }
        name
    }

    /// Makes room for `<uid>.<gid>`: somebody tried the option before, and made nothing with it.
    pub fn set_shell_aside(&mut self, inner: &str) -> Result<Option<String>, DockerError> {
        let path = self.top.join(inner);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let root = DockerRoot::at(&path);
        let holds = root.holds()?;
        if !holds.is_shell() || image_store::has_images(&root) {
            return Err(DockerError::in_the_way(
                path,
                format!(
                    "holds {holds} of a daemon that ran remapped. Two roots cannot be made one: start that daemon and \
                     save what you need of it, then move the directory away"
                ),
            ));
        }
        let aside = self.aside_name(inner);
        self.rename(&[inner], &[&aside])?;
        Ok(Some(aside))
    }

    /// Sets the empty directories of storage drivers in `<uid>.<gid>` aside.
    pub fn set_drivers_aside(
        &mut self,
        inner: &str,
        drivers: &[String],
    ) -> Result<(), DockerError> {
        if drivers.is_empty() {
            return Ok(());
        }
        let aside = self.aside_name(inner);
        self.make_dir(&[&aside]);
        self.make_dir(&[&aside, "image"]);
        for driver in drivers {
            self.rename(&[inner, "image", driver], &[&aside, "image", driver])?;
            if self.top.join(inner).join(driver).is_dir() {
                self.rename(&[inner, driver], &[&aside, driver])?;
            }
        }
        Ok(())
    }

    /// A directory that is root's alone.
    fn make_dir(&mut self, way: &[&str]) {
        self.steps.push(Step::MakeDir {
            at: Place::new(0, way),
            made: Made {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0o700),
            },
        });
    }

    /// The same for a plain daemon's names in the data-root.
    pub fn set_plain_shell_aside(
        &mut self,
        plain: &[String],
    ) -> Result<Option<String>, DockerError> {
        if plain.is_empty() {
            return Ok(None);
        }
        let holds = DockerRoot::at(self.top).holds()?;
        if !holds.is_shell() {
            return Err(DockerError::in_the_way(
                self.top,
                format!(
                    "holds {holds} of a plain daemon. Two roots cannot be made one: start a plain daemon and save \
                     what you need of it, then remove them"
                ),
            ));
        }
        let aside = self.aside_name("plain");
        self.steps.push(Step::MakeDir {
            at: Place::new(0, [&aside]),
            made: Made {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0o700),
            },
        });
        for name in plain {
            self.rename(&[name], &[&aside, name])?;
        }
        Ok(Some(aside))
    }
}
