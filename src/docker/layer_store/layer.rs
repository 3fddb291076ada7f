//! The names of layers: chain ids, directories of `overlay2`, links of `overlay2/l`. Pure.

use std::fmt;

use super::digest::{Digest, HexId};

/// More layers than this are refused by Docker (`layer.maxLayerDepth` of moby).
pub const MAX_LAYERS: usize = 125;

/// The chain ids of layers, from the lowest (OCI image specification, "Layer ChainID").
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
        });
    }
    chain
}

/// A name of 26 characters in `overlay2/l`, a symlink to a layer's `diff`: short, as all of a stack go into one
/// mount option.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkName(String);

impl LinkName {
    /// Docker takes random bytes as base32; here they come from the name of the directory, so that a run that is
    /// resumed makes the same ones.
    fn of(dir_name: &str) -> LinkName {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = HexId::hash(format!("link {dir_name}").as_bytes());
        let digits = hash.as_str().as_bytes();
        let number = |at: usize| {
            let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as usize;
            (value(digits[2 * at]) * 16 + value(digits[2 * at + 1])) % 32
        };
        LinkName((0..26).map(|at| char::from(BASE32[number(at)])).collect())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A directory of `overlay2` and what lies below it in its mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayDir {
    name: String,
    link: LinkName,
    lower: Vec<LinkName>,
}

impl OverlayDir {
    /// For the layer with this cache id, on those of `parent`.
    pub fn new(cache_id: &HexId, parent: Option<&OverlayDir>) -> OverlayDir {
        OverlayDir::named(cache_id.to_string(), parent)
    }

    /// For what Docker puts into a container before it starts it: `<mount id>-init`.
    pub fn init(mount_id: &HexId, parent: Option<&OverlayDir>) -> OverlayDir {
        OverlayDir::named(format!("{mount_id}-init"), parent)
    }

    fn named(name: String, parent: Option<&OverlayDir>) -> OverlayDir {
        let lower = parent.into_iter().flat_map(|parent| {
            let link = std::iter::once(&parent.link);
            link.chain(&parent.lower).cloned()
        });
        OverlayDir {
            link: LinkName::of(&name),
            lower: lower.collect(),
            name,
        }
    }

    /// Its name in `overlay2`, which is also the cache id, mount id or init id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its link in `overlay2/l`.
    pub fn link(&self) -> &LinkName {
        &self.link
    }

    /// The content of its file `lower`; empty for the lowest layer, which has none.
    pub fn lower(&self) -> String {
        let links = self.lower.iter().map(|link| format!("l/{}", link.as_str()));
        links.collect::<Vec<_>>().join(":")
    }
}

/// A read-only layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Names it and all below it.
    pub chain_id: Digest,
    /// Of the layer below.
    pub parent: Option<Digest>,
    /// The digest of its tar, uncompressed.
    pub diff_id: Digest,
    /// Where its files are.
    pub dir: OverlayDir,
}

impl Layer {
    /// The layers of an image, from the lowest. Where images have layers in common, these are equal.
    ///
    /// # Errors
    /// Docker refuses that many.
    pub fn stack(diff_ids: &[Digest]) -> Result<Vec<Layer>, TooManyLayers> {
        if diff_ids.len() > MAX_LAYERS {
            return Err(TooManyLayers(diff_ids.len()));
        }
        let mut layers: Vec<Layer> = Vec::with_capacity(diff_ids.len());
        for (chain_id, diff_id) in chain_ids(diff_ids).into_iter().zip(diff_ids) {
            let below = layers.last();
            let cache_id = HexId::hash(format!("cache {chain_id}").as_bytes());
            layers.push(Layer {
                parent: below.map(|layer| layer.chain_id.clone()),
                diff_id: diff_id.clone(),
                dir: OverlayDir::new(&cache_id, below.map(|layer| &layer.dir)),
                chain_id,
            });
        }
        Ok(layers)
    }
}

/// An image has more layers than [`MAX_LAYERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} layers, and Docker's overlay2 takes at most {MAX_LAYERS}")]
pub struct TooManyLayers(pub usize);

/// The layers of a container: what Docker puts into it, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerLayers {
    /// Its id.
    pub container: HexId,
    /// The chain id of the image's uppermost layer; none for an image without layers.
    pub parent: Option<Digest>,
    /// `<mount id>-init`, on the image.
    pub init: Option<OverlayDir>,
    /// What it wrote.
    pub dir: OverlayDir,
}

impl ContainerLayers {
    /// On the uppermost layer of its image.
    pub fn new(container: &HexId, image: Option<&Layer>, has_init: bool) -> ContainerLayers {
        ContainerLayers {
            parent: image.map(|layer| layer.chain_id.clone()),
            ..ContainerLayers::on_dir(container, image.map(|layer| &layer.dir), has_init)
        }
    }

    /// On this directory; which layer that is has to be said later.
    pub fn on_dir(
        container: &HexId,
        image_dir: Option<&OverlayDir>,
        has_init: bool,
    ) -> ContainerLayers {
        let mount_id = HexId::hash(format!("mount {container}").as_bytes());
        let init = has_init.then(|| OverlayDir::init(&mount_id, image_dir));
        ContainerLayers {
            container: container.clone(),
            parent: None,
            dir: OverlayDir::new(&mount_id, init.as_ref().or(image_dir)),
            init,
        }
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(count: usize) -> Vec<Digest> {
        let digest = |n: usize| Digest::of(n.to_string().as_bytes());
        (0..count).map(digest).collect()
    }

    /// Made with `printf '%s %s' PARENT DIFF | sha256sum`.
    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let diffs = digests(3);
        let told: Vec<String> = chain_ids(&diffs).iter().map(Digest::to_string).collect();
        assert_eq!(
            told,
            [
                "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
                "sha256:a72e64608956cd487901320075c59449b1823370de1056601196ceb9e1c3d872",
                "sha256:324b6e4bd79d7fb008871c6b59073b6075f5fed44eb5c84c361432ad5d280b6b",
            ]
        );
    }

    #[test]
    fn a_stack_names_what_is_below_from_the_top() {
        let layers = Layer::stack(&digests(3)).unwrap();
        let [a, b, c] = &layers[..] else {
            panic!("{layers:?}")
        };
        assert_eq!(a.dir.lower(), "");
        assert_eq!(b.dir.lower(), format!("l/{}", a.dir.link()));
        assert_eq!(
            c.dir.lower(),
            format!("l/{}:l/{}", b.dir.link(), a.dir.link())
        );
        let names = [&a.dir, &b.dir, &c.dir].map(|dir| dir.name().parse::<HexId>().unwrap());
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_eq!(Layer::stack(&digests(2)).unwrap()[..], layers[..2]);

        let id = HexId::hash(b"container");
        let container = ContainerLayers::new(&id, Some(c), true);
        let init = container.init.unwrap();
        assert_eq!(init.name(), format!("{}-init", container.dir.name()));
        assert_eq!(
            container.dir.lower(),
            format!("l/{}:{}", init.link(), init.lower())
        );
        assert_eq!(ContainerLayers::new(&id, None, false).dir.lower(), "");
    }

    #[test]
    fn link_names_have_the_form_of_dockers() {
        let mut seen = std::collections::HashSet::new();
        for layer in Layer::stack(&digests(100)).unwrap() {
            let link = layer.dir.link().as_str().to_string();
            assert_eq!(link.len(), 26);
            assert!(
                link.bytes()
                    .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
            );
            assert!(seen.insert(link));
        }
    }

    #[test]
    fn more_layers_than_docker_takes_are_refused() {
        assert!(Layer::stack(&digests(MAX_LAYERS)).is_ok());
        assert_eq!(
            Layer::stack(&digests(MAX_LAYERS + 1)),
            Err(TooManyLayers(126))
        );
    }
}
