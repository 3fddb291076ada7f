//! What dockerd is told of where it keeps images: on its command line, or in the configuration file.

use super::command_line::OptionValue;
use super::{DaemonJson, DaemonStart};
use crate::docker::DockerError;
use crate::fs::escape::escaped;

/// Something that the daemon is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOption {
    /// The value.
    pub value: String,
    /// What tells it.
    pub place: String,
    /// How it is written there.
    pub text: String,
}

/// Options about images.
#[derive(Clone, Debug, Default)]
pub struct ImageOptions {
    /// `storage-driver`; of the containerd image store, the snapshotter.
    pub storage_driver: Option<SetOption>,
    /// `containerd-namespace`
    pub namespace: Option<SetOption>,
    /// A `--feature` on the command line that a remapped daemon must not have.
    pub feature: Option<SetOption>,
}

impl DaemonStart {
    /// What it is told. An empty value says nothing.
    ///
    /// # Errors
    /// The configuration file cannot be read as dockerd would.
    pub fn image_options(&self) -> Result<ImageOptions, DockerError> {
        let file = DaemonJson::read(&self.config)?;
        let set_option = |name: &str, said: &Option<OptionValue>, in_file: Option<String>| {
            let given = said.as_ref().map(|said| SetOption {
                text: format!("--{name}={}", said.value),
                value: said.value.clone(),
                place: said.source.to_string(),
            });
            let in_file = || {
                in_file.map(|value| SetOption {
                    text: format!("\"{name}\": \"{value}\""),
                    value,
                    place: escaped(&self.config).to_string(),
                })
            };
            given
                .or_else(in_file)
                .filter(|set_option| !set_option.value.is_empty())
        };
        let options = &self.options;
        Ok(ImageOptions {
            storage_driver: set_option(
                "storage-driver",
                &options.storage_driver,
                file.storage_driver,
            ),
            namespace: set_option(
                "containerd-namespace",
                &options.containerd_namespace,
                file.containerd_namespace,
            ),
            feature: set_option("feature", &options.store_feature, None),
        })
    }
}
