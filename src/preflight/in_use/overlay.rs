//! The directories that an overlay mount is made of.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::containment::{Above, FileId, Seeker, open_directory_in};
use crate::fs::mountinfo::unescape;

/// Whether a layer of the overlay lies in a tree, or a tree in a layer.
///
/// The kernel shows the layers as they were given to `mount(2)`, in the names of the process that
/// mounted it. They are looked up in the view of each of `roots`. A relative one (Docker mounts so
/// when the list of layers grows long) is tried against each directory above the mount point and
/// above the layers that are absolute: that it exists there and meets a tree is proof enough.
pub(super) fn has_layer_that_meets(
    seeker: &mut Seeker,
    above: &Above,
    options: &[u8],
    mount_point: &Path,
    roots: &[&OwnedFd],
) -> bool {
    let layers = layers(options);
    let bases: BTreeSet<&Path> = layers
        .iter()
        .map(PathBuf::as_path)
        .filter(|layer| layer.is_absolute())
        .chain([mount_point])
        .flat_map(Path::ancestors)
        .collect();
    let candidates = layers.iter().flat_map(|layer| match layer.is_absolute() {
        true => vec![layer.clone()],
        false => bases.iter().map(|base| base.join(layer)).collect(),
    });
    candidates.into_iter().any(|layer| {
        roots.iter().any(|root| {
            let meets = |dir: OwnedFd| {
                let place = FileId::of_handle(&dir)?;
                Ok(above.contains(&(place.dev, place.ino)) || seeker.holds_directory(dir)?)
            };
            open_directory_in(root, &layer)
                .and_then(meets)
                .unwrap_or(false)
        })
    })
}

/// The layers in the options of an overlay mount, as `mountinfo` shows them.
fn layers(options: &[u8]) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for option in options.split(|&byte| byte == b',') {
        let Some(equals) = option.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let value = unescape(&option[equals + 1..]);
        match &option[..equals] {
            b"upperdir" | b"workdir" | b"lowerdir" => layers.extend(split_at_colons(&value)),
            // Given one at a time, these are taken as they are.
            b"lowerdir+" | b"datadir+" => layers.push(PathBuf::from(OsString::from_vec(value))),
            _ => {}
        }
    }
    layers
}

/// Splits a list of layers. A backslash keeps the byte after it from meaning anything: that is how
/// a colon is written that belongs to a name (the kernel's `overlayfs.rst`). `upperdir` and
/// `workdir` are no lists, but a colon in one is written the same way.
fn split_at_colons(value: &[u8]) -> Vec<PathBuf> {
    let mut parts = vec![Vec::new()];
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        let last = parts.len() - 1;
        match byte {
            b':' => parts.push(Vec::new()),
            b'\\' => parts[last].extend(bytes.next()),
            _ => parts[last].push(byte),
        }
    }
    // Two colons in a row set off the layers that hold data only.
    parts.retain(|part| !part.is_empty());
    parts
        .into_iter()
        .map(|part| PathBuf::from(OsString::from_vec(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::layers;
    use std::path::PathBuf;

    fn expect(options: &str, paths: &[&str]) {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        assert_eq!(layers(options.as_bytes()), paths, "{options}");
    }

    #[test]
    fn every_kind_of_layer_is_found() {
        expect(
            "rw,lowerdir=l/A:l/B::/data,upperdir=/u,workdir=/w,index=off",
            &["l/A", "l/B", "/data", "/u", "/w"],
        );
        expect(
            "rw,lowerdir+=/a,lowerdir+=/b,datadir+=/c",
            &["/a", "/b", "/c"],
        );
        expect("rw,xino=off", &[]);
    }

    #[test]
    fn odd_names_are_read_as_they_are() {
        expect(
            r"rw,lowerdir=/a\134:b:/c\040d\054e,upperdir=/u\134:v",
            &["/a:b", "/c d,e", "/u:v"],
        );
    }
}
