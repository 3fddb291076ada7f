//! Options of the `local` volume driver: with `o: bind`, the volume is a host path (Docker `volume/local`).

use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::volume_syntax::clean;

/// A device is not absolute: Docker would mount it from wherever the daemon was started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the device {0:?} of a volume is not an absolute path")]
pub struct RelativeDevice(String);

/// The part of a volume that a container is to get leads out of the volume.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the subpath {0:?} does not stay in the volume. Write it without `..` and without a slash in front"
)]
pub struct OutsideVolume(String);

/// What a volume's driver is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverOptions {
    /// The driver; `None`: `local`.
    pub driver: Option<String>,
    /// `o`: flags of `mount(8)`.
    pub flags: Option<String>,
    /// `device`
    pub device: Option<String>,
}

impl DriverOptions {
    /// Takes one `KEY=VALUE`.
    pub fn take(&mut self, option: &str) {
        match option.split_once('=') {
            Some(("o", value)) => self.flags = Some(value.to_string()),
            Some(("device", value)) => self.device = Some(value.to_string()),
            _ => {}
        }
    }

    /// Whether the volume is a host path.
    pub fn is_bind(&self) -> bool {
        let is_local = self
            .driver
            .as_deref()
            .is_none_or(|driver| driver == "local");
        let mut flags = self.flags.as_deref().unwrap_or_default().split(',');
        is_local && flags.any(|flag| matches!(flag.trim(), "bind" | "rbind"))
    }

    /// The host path; none where it is no bind.
    ///
    /// # Errors
    /// [`absolute_device`]
    pub fn bound_device(&self) -> Result<Option<PathBuf>, RelativeDevice> {
        let device = self.device.as_deref().filter(|_| self.is_bind());
        device.map(absolute_device).transpose()
    }
}

/// A device that is a host path.
///
/// # Errors
/// [`RelativeDevice`]
pub fn absolute_device(device: &str) -> Result<PathBuf, RelativeDevice> {
    match device.starts_with('/') && !device.contains('\0') {
        true => Ok(clean(Path::new("/"), device)),
        false => Err(RelativeDevice(device.into())),
    }
}

/// The part of a volume that a container gets; `None`: all of it.
///
/// # Errors
/// It leads out of the volume, which Docker refuses as well (moby `volume/mounts`, `filepath.IsLocal`).
pub fn subpath(text: &str) -> Result<Option<PathBuf>, OutsideVolume> {
    let path = Path::new(text);
    let is_below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.contains('\0') || !path.components().all(is_below) {
        return Err(OutsideVolume(text.into()));
    }
    let names = path.components().filter(|part| *part != Component::CurDir);
    let part: PathBuf = names.collect();
    Ok((!part.as_os_str().is_empty()).then_some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subpath_stays_in_its_volume() {
        let part = |path: &str| Ok(Some(PathBuf::from(path)));
        assert_eq!(subpath("web"), part("web"));
        assert_eq!(subpath("./a//b/."), part("a/b"));
        assert_eq!(subpath("."), Ok(None));
        assert_eq!(subpath(""), Ok(None));
        for bad in ["/web", "..", "a/../b", "a/..", "a\0"] {
            assert!(subpath(bad).is_err(), "{bad}");
        }
    }
}
