//! Works out what becomes of all that a plain daemon has in a containerd.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::{Conversion, NAMESPACE};
use super::reader::StoreReader;
use crate::containerd::ContainerdRoot;
use crate::docker::DockerError;
use crate::docker::container::Container;

/// Plans the conversion of everything that a plain daemon has in this containerd. `root`: its docker root; `containers`:
/// each with its `config.v2.json`.
///
/// # Errors
/// Something cannot be read or converted; the error names it.
pub fn plan_conversion<'c>(
    (root, containerd): (&Path, &ContainerdRoot),
    containers: impl IntoIterator<Item = (&'c Container, &'c str)>,
) -> Result<Conversion, DockerError> {
    let mut reader = StoreReader::open(containerd, NAMESPACE)?;
    let targets = reader.read_images()?;
    let looked_at = containers
        .into_iter()
        .map(|(it, config)| reader.look_at((it, config), root));
    let looked_at = looked_at.collect::<Result<Vec<_>, _>>()?;
    let (mut planned, mut gone) = (BTreeMap::new(), Vec::new());
    for container in looked_at {
        match reader.of_known_image(&container)? {
            Some(layers) => drop(planned.insert(container.id().to_string(), layers)),
            None => gone.push(container),
        }
    }
    // When all layers are known that images have, so that no snapshot is taken for two.
    for container in gone {
        let layers = reader.of_gone_image(&container)?;
        planned.insert(container.id().to_string(), layers);
    }
    reader.note_parents(&targets);
    Ok(reader.conversion(planned))
}
