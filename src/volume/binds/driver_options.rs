//! Options of the `local` volume driver: with `o: bind`, the volume is a host path (Docker `volume/local`).

use std::path::{Path, PathBuf};

use super::volume_syntax::clean;

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
    pub fn bound_device(&self) -> Result<Option<PathBuf>, String> {
        let device = self.device.as_deref().filter(|_| self.is_bind());
        device.map(absolute_device).transpose()
    }
}

/// A device that is a host path.
///
/// # Errors
/// It is not absolute: Docker would mount it from wherever the daemon was started.
pub fn absolute_device(device: &str) -> Result<PathBuf, String> {
    match device.starts_with('/') && !device.contains('\0') {
        true => Ok(clean(Path::new("/"), device)),
        false => Err(format!(
            "the device {device:?} of a volume is not an absolute path"
        )),
    }
}
