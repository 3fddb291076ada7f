//! The image of a container whose own is gone: made of what the container says of it, so that it can be committed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::docker::DockerError;
use crate::docker::layer_store::layer::{Layer, OverlayDir};
use crate::oci::architecture;
use crate::oci::digest::Digest;

/// What is kept of an image that is gone.
#[derive(Clone, Debug)]
pub struct GoneImage {
    /// Its layers, from the lowest: numbers of planned ones.
    pub stack: Vec<usize>,
    created: String,
    /// What containers of it start with.
    defaults: Map<String, Value>,
}

/// What of a container's configuration is an image's too (OCI image specification, and Docker's own).
const DEFAULTS: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Healthcheck",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "OnBuild",
];

#[derive(Serialize)]
struct ImageDocument<'a> {
    architecture: &'a str,
    os: &'a str,
    created: &'a str,
    config: &'a Map<String, Value>,
    rootfs: Value,
    history: Vec<Value>,
}

impl GoneImage {
    /// Of a container's `config.v2.json`.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub(super) fn of(config: &str, stack: Vec<usize>) -> Result<GoneImage, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Config {
            #[serde(default)]
            created: String,
            config: Map<String, Value>,
        }
        let Config { created, config } = serde_json::from_str(config)?;
        let is_default =
            |(key, value): &(String, Value)| DEFAULTS.contains(&key.as_str()) && !value.is_null();
        Ok(GoneImage {
            stack,
            created,
            defaults: config.into_iter().filter(is_default).collect(),
        })
    }

    /// Its configuration, whose digest is its id, with these layers.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn document(&self, diff_ids: &[Digest]) -> Result<Vec<u8>, serde_json::Error> {
        let created = match self.created.is_empty() {
            true => "1970-01-01T00:00:00Z",
            false => &self.created,
        };
        let comment = "made by idshift of a container's files: the image was gone";
        let line = |_| json!({"created": created, "comment": comment});
        serde_json::to_vec(&ImageDocument {
            architecture: architecture(),
            os: "linux",
            created,
            config: &self.defaults,
            rootfs: json!({"type": "layers", "diff_ids": diff_ids}),
            history: diff_ids.iter().map(line).collect(),
        })
    }
}

/// The layer whose tar was made of its files.
pub(super) fn made_layer(dir: &OverlayDir, below: Option<&Layer>, diff_id: Digest) -> Layer {
    let parent = below.map(|it| it.chain_id.clone());
    let chain_id = match &parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    };
    Layer {
        chain_id,
        parent,
        diff_id,
        dir: dir.clone(),
    }
}

/// The configuration of an image that is made, with its layers as they became.
pub(super) fn gone_document(
    image: &GoneImage,
    layers: &[Layer],
) -> Result<Vec<u8>, serde_json::Error> {
    let diff_ids = image.stack.iter().map(|n| layers[*n].diff_id.clone());
    image.document(&diff_ids.collect::<Vec<_>>())
}

/// Why a layer of a container whose image is gone cannot be made: it is there already.
pub(super) fn same_files(files: &Path) -> DockerError {
    DockerError::in_the_way(
        files,
        "the image of a container is gone, and another layer of the store is the same: with a plain daemon, `docker export \
         CONTAINER | docker import - IMAGE:TAG` keeps its files, and `docker rm CONTAINER` removes it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::manifest::ImageConfig;

    #[test]
    fn what_the_container_alone_has_is_no_part_of_it() {
        let config = r#"{"Created":"2025-01-02T03:04:05Z","Config":{"Hostname":"h","Cmd":["sh"],"Env":null,
            "Image":"app:1","Labels":{"a":"b"},"User":"7"},"Name":"/c"}"#;
        let image = GoneImage::of(config, vec![0, 1]).unwrap();
        let diff_ids = [Digest::of(b"1"), Digest::of(b"2")];
        let bytes = image.document(&diff_ids).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let expected = json!({"Cmd": ["sh"], "Labels": {"a": "b"}, "User": "7"});
        assert_eq!(value["config"], expected);
        assert_eq!(value["created"], "2025-01-02T03:04:05Z");
        assert_eq!(value["history"].as_array().unwrap().len(), 2);
        assert_eq!(ImageConfig::parse(&bytes).unwrap().diff_ids, diff_ids);
        assert!(GoneImage::of("{}", Vec::new()).is_err());
    }
}
