//! Manifests, indexes and configurations of images, as far as their layers go.
//!
//! Docker's `manifest.v2` and `manifest.list.v2` have the same members as OCI's.

use serde::Deserialize;
use thiserror::Error;

use super::digest::Digest;

/// A reference in a manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Of which kind it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    #[serde(default)]
    pub size: u64,
    /// What it runs on; of manifests in an index.
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Annotations {
    /// What BuildKit calls a manifest that is no image's.
    #[serde(rename = "vnd.docker.reference.type", default)]
    reference_type: Option<String>,
}

impl Descriptor {
    /// Whether it is an attestation about an image, and not an image.
    pub fn is_attestation(&self) -> bool {
        let kind = self
            .annotations
            .as_ref()
            .and_then(|it| it.reference_type.as_deref());
        kind == Some("attestation-manifest")
    }
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// As Go calls it: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// Of the architecture: `v8`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}

/// What an image's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One image.
    Manifest(Manifest),
    /// The manifests of an image for several platforms, and what was said of them.
    Index(Vec<Descriptor>),
}

/// An image: its configuration and its layers, from the lowest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
}

/// What of a configuration its layers and its platform are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// The digests of the layers' tars, from the lowest.
    pub diff_ids: Vec<Digest>,
    /// What it runs on.
    pub platform: Platform,
}

/// Why something is no image.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is not what it should be.
    #[error("is not what the OCI image specification says: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither of the two.
    #[error("is neither the manifest of an image nor an index of manifests")]
    Unknown,
    /// An image of another kind.
    #[error("is not the configuration of an image: its rootfs has the type {0:?}")]
    Rootfs(String),
}

impl Target {
    /// Of a manifest's or index's bytes. What it holds tells which it is: not all that write them say so.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(bytes: &[u8]) -> Result<Target, ManifestError> {
        #[derive(Deserialize)]
        struct Either {
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
            manifests: Option<Vec<Descriptor>>,
        }
        let either: Either = serde_json::from_slice(bytes)?;
        match either {
            Either {
                config: Some(config),
                layers,
                manifests: None,
            } => Ok(Target::Manifest(Manifest {
                config,
                layers: layers.unwrap_or_default(),
            })),
            Either {
                config: None,
                layers: None,
                manifests: Some(all),
            } => Ok(Target::Index(all)),
            _ => Err(ManifestError::Unknown),
        }
    }
}

impl ImageConfig {
    /// Of a configuration's bytes.
    ///
    /// # Errors
    /// It is none of an image that is made of layers.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, ManifestError> {
        #[derive(Deserialize)]
        struct Config {
            rootfs: Rootfs,
            #[serde(flatten)]
            platform: Platform,
        }
        #[derive(Deserialize)]
        struct Rootfs {
            #[serde(rename = "type", default)]
            kind: String,
            #[serde(default)]
            diff_ids: Option<Vec<Digest>>,
        }
        let config: Config = serde_json::from_slice(bytes)?;
        match &config.rootfs.kind[..] {
            "layers" => Ok(ImageConfig {
                diff_ids: config.rootfs.diff_ids.unwrap_or_default(),
                platform: config.platform,
            }),
            other => Err(ManifestError::Rootfs(other.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: &str) -> String {
        Digest::of(of.as_bytes()).to_string()
    }

    #[test]
    fn manifest_and_index_are_told_apart_by_content() {
        let (config, layer) = (digest("config"), digest("layer"));
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{config}","size":7}},"layers":[{{"digest":"{layer}","size":1}}]}}"#
        );
        let Target::Manifest(found) = Target::parse(manifest.as_bytes()).unwrap() else {
            panic!("no manifest");
        };
        assert_eq!(found.config.digest.to_string(), config);
        assert_eq!(found.layers[0].digest.to_string(), layer);
        let index = format!(
            r#"{{"manifests":[{{"digest":"{config}","size":7,"platform":{{"architecture":"arm64","os":"linux","variant":"v8"}}}},
            {{"digest":"{layer}","size":7,"annotations":{{"vnd.docker.reference.type":"attestation-manifest","other":"x"}}}}]}}"#
        );
        let Target::Index(found) = Target::parse(index.as_bytes()).unwrap() else {
            panic!("no index");
        };
        assert_eq!(
            found[0].platform.as_ref().unwrap().to_string(),
            "linux/arm64/v8"
        );
        assert_eq!(
            found
                .iter()
                .map(Descriptor::is_attestation)
                .collect::<Vec<_>>(),
            [false, true]
        );
        for bad in [
            "",
            "{}",
            "[]",
            "{\"manifests\":[{\"digest\":\"sha256:../x\"}]}",
            r#"{"layers":[]}"#,
        ] {
            assert!(Target::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_configuration_names_its_layers() {
        let layer = digest("layer");
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
        );
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.diff_ids[0].to_string(), layer);
        assert_eq!(config.platform.to_string(), "linux/amd64");
        let none = ImageConfig::parse(br#"{"rootfs":{"type":"layers","diff_ids":null}}"#).unwrap();
        assert_eq!(none.diff_ids, []);
        assert!(ImageConfig::parse(br#"{"rootfs":{"type":"windows"}}"#).is_err());
        assert!(ImageConfig::parse(b"{}").is_err());
    }
}
