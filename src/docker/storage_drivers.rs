//! The storage drivers of Docker: one table of all that differs between them.

/// A storage driver (moby `daemon/graphdriver`).
#[derive(Debug)]
pub struct StorageDriver {
    /// Its name, and that of its directory in a docker root.
    pub name: &'static str,
    /// Where its layers are.
    pub layers: Layers,
    /// Where it mounts something, below its directory.
    mounts: Mounts,
    /// containerd has a snapshotter of this name.
    pub has_snapshotter: bool,
    /// The directories above its layers belong to the container's root; else to root of the host.
    pub is_of_container_root: bool,
}

/// Where the layers of a driver are, below its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// `ID/diff`, stacked by overlayfs.
    Stacked,
    /// `DIR/ID` for this `DIR`, each with all files.
    Whole(&'static str),
    /// Not in directories, or not those of today: they cannot be shifted.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
enum Mounts {
    Nowhere,
    InLayers,
    Anywhere,
}

/// What a path below the directory of a driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverPath {
    /// Files of containers.
    Content,
    /// A directory that leads there.
    Passage,
    /// The driver's own.
    Metadata,
}

const DRIVERS: [StorageDriver; 9] = [
    driver("overlay2", Layers::Stacked, Mounts::InLayers, false),
    StorageDriver {
        is_of_container_root: true,
        ..driver("fuse-overlayfs", Layers::Stacked, Mounts::InLayers, true)
    },
    driver("vfs", Layers::Whole("dir"), Mounts::Nowhere, false),
    driver("btrfs", Layers::Whole("subvolumes"), Mounts::Nowhere, true),
    driver("zfs", Layers::Foreign, Mounts::Anywhere, true),
    driver("devicemapper", Layers::Foreign, Mounts::Anywhere, false),
    driver("aufs", Layers::Foreign, Mounts::InLayers, false),
    driver("overlay", Layers::Foreign, Mounts::InLayers, false),
    driver("windowsfilter", Layers::Foreign, Mounts::Nowhere, false),
];

const fn driver(
    name: &'static str,
    layers: Layers,
    mounts: Mounts,
    has_snapshotter: bool,
) -> StorageDriver {
    StorageDriver {
        name,
        layers,
        mounts,
        has_snapshotter,
        is_of_container_root: false,
    }
}

/// The drivers whose layers can be shifted, or those whose layers cannot.
pub fn drivers(can_be_shifted: bool) -> impl Iterator<Item = &'static StorageDriver> {
    let of = move |it: &&StorageDriver| (it.layers != Layers::Foreign) == can_be_shifted;
    DRIVERS.iter().filter(of)
}

/// The driver of this name.
pub fn find(name: &[u8]) -> Option<&'static StorageDriver> {
    DRIVERS.iter().find(|it| it.name.as_bytes() == name)
}

/// The driver that a path from a docker root leads into, and what is there.
pub fn driver_at(path: &[&[u8]]) -> Option<(&'static StorageDriver, DriverPath)> {
    let (first, below) = path.split_first()?;
    let driver = find(first)?;
    Some((driver, driver.kind_of(below)))
}

impl StorageDriver {
    fn kind_of(&self, below: &[&[u8]]) -> DriverPath {
        let is_whole =
            |name: &[u8]| matches!(self.layers, Layers::Whole(dir) if dir.as_bytes() == name);
        match (self.layers, below) {
            (Layers::Foreign, _) | (Layers::Stacked, [b"l", ..]) => DriverPath::Metadata,
            (Layers::Stacked, [_, b"diff" | b"work" | b"merged", ..]) => DriverPath::Content,
            (_, []) | (Layers::Stacked, [_]) => DriverPath::Passage,
            (Layers::Whole(_), [dir]) if is_whole(dir) => DriverPath::Passage,
            (Layers::Whole(_), [dir, _, ..]) if is_whole(dir) => DriverPath::Content,
            _ => DriverPath::Metadata,
        }
    }

    /// Whether the driver mounts something there itself, given the path below its directory.
    pub fn mounts(&self, below: &[&str]) -> bool {
        match self.mounts {
            Mounts::Nowhere => false,
            Mounts::InLayers => matches!(below, [_, "merged" | "mnt", ..]),
            Mounts::Anywhere => !below.is_empty(),
        }
    }
}
