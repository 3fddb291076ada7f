//! What Compose files say of one volume in `volumes:` of the whole file.

use std::path::PathBuf;

use super::reader::ComposeReader;
use super::yaml::{Data, Node};
use crate::volume::binds::BindsError;
use crate::volume::binds::driver_options::{DriverOptions, absolute_device};

/// What the files say of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredVolume {
    options: DriverOptions,
    /// `name:`, or that of `external:`.
    name: Option<String>,
    /// Compose does not make it.
    is_external: bool,
    /// The device as a host path. That it is none matters only where it is used as one.
    device: Option<Result<PathBuf, BindsError>>,
}

impl DeclaredVolume {
    /// Those of one file.
    ///
    /// # Errors
    /// Something of it cannot be resolved.
    pub fn read(node: &Node, reader: &ComposeReader<'_>) -> Result<DeclaredVolume, BindsError> {
        reader.check_tag(node)?;
        let mut volume = DeclaredVolume::default();
        volume.options.driver = reader.text_of(node, "driver")?;
        volume.name = reader.text_of(node, "name")?;
        match node.get("external") {
            // As it was written before Compose 2.
            Some(external) if matches!(external.data, Data::Map(_)) => {
                reader.check_tag(external)?;
                volume.is_external = true;
                volume.name = reader.text_of(external, "name")?.or(volume.name);
            }
            _ => volume.is_external = reader.switch(node, "external")?,
        }
        if let Some(options) = node.get("driver_opts") {
            reader.check_tag(options)?;
            volume.options.flags = reader.text_of(options, "o")?;
            volume.device = options.get("device").map(|device| {
                let path = reader.text(device, "device")?;
                absolute_device(&path).map_err(|why| reader.bad(device, why.to_string()))
            });
        }
        Ok(volume)
    }

    /// This one, with what a later file says over it: Compose merges mappings key by key.
    pub fn overridden(self, over: DeclaredVolume) -> DeclaredVolume {
        DeclaredVolume {
            options: DriverOptions {
                driver: over.options.driver.or(self.options.driver),
                flags: over.options.flags.or(self.options.flags),
                device: None,
            },
            device: over.device.or(self.device),
            name: over.name.or(self.name),
            is_external: over.is_external || self.is_external,
        }
    }

    /// The name that Docker has for it (compose-go `loader.setNameFromKey`).
    pub fn docker_name(&self, key: &str, project: &str) -> String {
        match (&self.name, self.is_external) {
            (Some(name), _) => name.clone(),
            (None, true) => key.to_string(),
            (None, false) => format!("{project}_{key}"),
        }
    }

    /// The host path that it binds.
    ///
    /// # Errors
    /// Its device is not an absolute path.
    pub fn bound_device(&self) -> Result<Option<PathBuf>, BindsError> {
        let device = self.device.as_ref().filter(|_| self.options.is_bind());
        device.cloned().transpose()
    }
}
