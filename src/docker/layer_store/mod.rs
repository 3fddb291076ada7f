//! Layers of Docker's overlay2 graph driver, written without a daemon.
//!
//! - [`blob`]: a compressed layer, hashed as it is read
//! - [`digest`]: checked digests, and hashing what streams by
//! - `fault`: why one cannot be packed or unpacked
//! - [`layer`]: pure: chain ids, and the names of layers' directories and links
//! - [`store`]: `overlay2`, `layerdb`, `imagedb` and `repositories.json`
//! - [`path`]: pure: names of tar entries
//! - [`tar_reader`]: a layer's tar, entry by entry, with every byte between the contents
//! - [`tar_split`]: what Docker keeps of a layer's tar
//! - [`unpack`]: a layer's tar unpacked as `diff`
//! - [`pack`]: a layer tar of files whose blob is gone
//!
//! An image is written so:
//!
//! ```text
//! let layers = Layer::stack(&diff_ids)?;               // names only; equal where images share layers
//! let store = LayerStore::create(root)?;                // once, in a directory that the caller made
//! for each layer that is not there yet:
//!     let dir = store.add_dir(&layer.dir, true)?;      // then `diff` is renamed, copied or unpacked into `dir`
//!     let entry = store.add_layer(&layer, content_size(diff)?)?;
//!     let mut blob = Blob::new(file, &digest)?;
//!     let split = split_layer(&mut blob, diff, entry.tar_split()?)?;   // split.diff_id must be layer.diff_id
//!     blob.finish()?;                                  // and the blob what its digest says
//! store.add_image(config, &metadata)?;                 // and at the end store.add_repositories
//! ```
//!
//! Where no snapshot has the files, [`unpack_layer`](unpack::unpack_layer) makes them of the blob, into a `diff` of mode
//! 0755, and the blob is read once more for `split_layer`. Where the blob is gone, [`pack_layer`](pack::pack_layer) tells
//! the diff ids of a chain that is made of the snapshots, and writes their tar-split: to know the names it has to run
//! before [`Layer::stack`](layer::Layer::stack), into a temporary file.
//!
//! A container has [`ContainerLayers`](layer::ContainerLayers): `add_dir` for its init layer (`true`) and its own
//! (`false`), then `add_container`. Ids of files are container ids as they are in the image; the shift comes after.

pub use crate::oci::digest;
pub mod blob;
mod fault;
pub mod layer;
pub mod pack;
pub mod path;
pub mod store;
pub mod tar_reader;
pub mod tar_split;
pub mod unpack;
