//! `meta.db`: what containerd knows of its namespaces (containerd `core/metadata/buckets.go`).
//!
//! ```text
//! v1/NAMESPACE/images/NAME/{target/{digest,mediatype,size},labels,createdat,updatedat}
//! v1/NAMESPACE/content/blob/DIGEST/{labels,size}
//! v1/NAMESPACE/snapshots/SNAPSHOTTER/KEY/{name,parent}
//! v1/NAMESPACE/leases/ID, v1/NAMESPACE/containers/ID
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::StoreError;
use super::bolt::{Bucket, Database, Item};

/// Labels of an image or a blob.
pub type Labels = BTreeMap<String, String>;

/// What containerd keeps for one of its users: dockerd's is `moby`, or `moby-<uid>.<gid>` when it is remapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Images by their names.
    pub images: BTreeMap<String, Image>,
    /// The labels of each blob, by its digest.
    pub blobs: BTreeMap<String, Labels>,
    /// By snapshotter and key.
    pub snapshots: BTreeMap<String, BTreeMap<String, SnapshotName>>,
    /// Ids of containers: those that run, or that containerd was not told the end of.
    pub containers: BTreeSet<String>,
}

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Digest of its manifest or index.
    pub target: String,
    /// Labels.
    pub labels: Labels,
    /// When it was last given another target.
    pub updated_at: Option<Timestamp>,
}

/// What the snapshotter calls a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotName {
    /// Its name in the snapshotter's database: `NAMESPACE/NUMBER/KEY`.
    pub name: String,
    /// Key of the snapshot that it is on.
    pub parent: Option<String>,
}

/// All namespaces.
#[derive(Debug)]
pub struct Metadata {
    /// By their names.
    pub namespaces: BTreeMap<String, Namespace>,
    database: Database,
}

impl Metadata {
    /// Reads `meta.db`. As long as the result is there, containerd waits before it starts.
    ///
    /// # Errors
    /// It is damaged, or not what containerd writes.
    pub fn open(path: &Path) -> Result<Metadata, StoreError> {
        let (database, namespaces) = Database::read_at_rest(path, |database| {
            database.check()?;
            let mut namespaces = BTreeMap::new();
            let root = database.root().bucket(b"v1")?;
            for (name, bucket) in all_buckets(root)? {
                let name = text(path, "a namespace's name", &name)?;
                namespaces.insert(name, namespace(path, &bucket)?);
            }
            Ok::<_, StoreError>(namespaces)
        })?;
        Ok(Metadata {
            namespaces,
            database,
        })
    }

    /// Whether containerd runs.
    pub fn in_use(&self) -> bool {
        self.database.in_use()
    }
}

fn all_buckets(bucket: Option<Bucket<'_>>) -> Result<Vec<(Vec<u8>, Bucket<'_>)>, StoreError> {
    match bucket {
        Some(bucket) => Ok(bucket.buckets()?),
        None => Ok(Vec::new()),
    }
}

fn namespace(path: &Path, bucket: &Bucket<'_>) -> Result<Namespace, StoreError> {
    let mut found = Namespace::default();
    for (name, image) in all_buckets(bucket.bucket(b"images")?)? {
        let name = text(path, "an image's name", &name)?;
        let target = image.bucket(b"target")?;
        let target = target.map_or(Ok(None), |target| target.value(b"digest"))?;
        let target = target.ok_or_else(|| bad(path, format!("the image {name} has no target")))?;
        let updated_at = image.value(b"updatedat")?;
        let image = Image {
            target: text(path, "an image's target", &target)?,
            labels: labels(path, &image)?,
            updated_at: updated_at.as_deref().and_then(go_time),
        };
        found.images.insert(name, image);
    }
    for (digest, blob) in all_buckets(bucket.bucket_at(&[b"content", b"blob"])?)? {
        let digest = text(path, "a blob's digest", &digest)?;
        found.blobs.insert(digest, labels(path, &blob)?);
    }
    for (snapshotter, keys) in all_buckets(bucket.bucket(b"snapshots")?)? {
        let snapshotter = text(path, "a snapshotter's name", &snapshotter)?;
        let all = found.snapshots.entry(snapshotter).or_default();
        for (key, snapshot) in keys.buckets()? {
            let key = text(path, "a snapshot's key", &key)?;
            let name = snapshot.value(b"name")?;
            let name = name.ok_or_else(|| bad(path, format!("the snapshot {key} has no name")))?;
            let parent = snapshot.value(b"parent")?.filter(|key| !key.is_empty());
            let parent = parent.map(|key| text(path, "a snapshot's key", &key));
            let snapshot = SnapshotName {
                name: text(path, "a snapshot's name", &name)?,
                parent: parent.transpose()?,
            };
            all.insert(key, snapshot);
        }
    }
    for (id, _) in all_buckets(bucket.bucket(b"containers")?)? {
        found
            .containers
            .insert(text(path, "a container's id", &id)?);
    }
    Ok(found)
}

fn labels(path: &Path, bucket: &Bucket<'_>) -> Result<Labels, StoreError> {
    let mut all = Vec::new();
    if let Some(labels) = bucket.bucket(b"labels")? {
        labels.for_each(|key, item| {
            if let Item::Value(value) = item {
                all.push((key.to_vec(), value.to_vec()));
            }
            Ok(())
        })?;
    }
    let label = |(key, value): (Vec<u8>, Vec<u8>)| {
        Ok((text(path, "a label", &key)?, text(path, "a label", &value)?))
    };
    all.into_iter().map(label).collect()
}

fn bad(path: &Path, reason: String) -> StoreError {
    let path = path.to_path_buf();
    StoreError::Content { path, reason }
}

pub(super) fn text(path: &Path, what: &str, bytes: &[u8]) -> Result<String, StoreError> {
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|error| bad(path, format!("{what} is not text: {:?}", error.as_bytes())))
}

/// Go's `time.Time.MarshalBinary`: a version, seconds since the year 1 and nanoseconds, both big-endian, and the
/// offset of the zone, which changes nothing.
fn go_time(bytes: &[u8]) -> Option<Timestamp> {
    const YEAR_1_TO_1970: i64 = 62_135_596_800;
    let (version, rest) = bytes.split_first()?;
    let (seconds, rest) = rest.split_first_chunk()?;
    let (nanos, _) = rest.split_first_chunk()?;
    let seconds = i64::from_be_bytes(*seconds).checked_sub(YEAR_1_TO_1970)?;
    let since = SignedDuration::new(seconds, i32::from_be_bytes(*nanos));
    matches!(version, 1 | 2).then(|| Timestamp::from_duration(since).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::bolt::write::{Node, file};
    use super::*;

    #[test]
    fn a_namespace_is_read() {
        let mut root = Node::bucket();
        let image = ["v1", "moby", "images", "docker.io/library/a:1"];
        let blob = ["v1", "moby", "content", "blob", "sha256:ab"];
        let snapshot = ["v1", "moby", "snapshots", "overlayfs"];
        let put = |root: &mut Node, way: &[&str], rest: &[&str], value: &[u8]| {
            root.put(&[way, rest].concat(), value);
        };
        put(&mut root, &image, &["target", "digest"], b"sha256:ab");
        put(&mut root, &image, &["labels", "key"], b"value");
        // As Docker 26 wrote it.
        let time = b"\x01\x00\x00\x00\x0e\xe2\x9c\x80\xfd\x10\x0f\xb8,\xff\xff";
        put(&mut root, &image, &["updatedat"], time);
        put(&mut root, &blob, &["labels", "l"], b"1");
        put(&mut root, &snapshot, &["k", "name"], b"moby/1/k");
        put(&mut root, &snapshot, &["l", "name"], b"moby/2/l");
        put(&mut root, &snapshot, &["l", "parent"], b"k");
        root.put(&["v1", "moby", "containers", "c", "createdat"], "");
        root.put(&["v1", "version"], [6]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        std::fs::write(&path, file(&root, 4096)).unwrap();
        let found = Metadata::open(&path).unwrap();
        assert!(!found.in_use());
        let moby = &found.namespaces["moby"];
        let image = &moby.images["docker.io/library/a:1"];
        assert_eq!(image.target, "sha256:ab");
        assert_eq!(image.labels["key"], "value");
        let told = image.updated_at.unwrap().to_string();
        assert_eq!(told, "2026-11-28T07:59:57.269465644Z");
        assert_eq!(moby.blobs["sha256:ab"]["l"], "1");
        let snapshots = &moby.snapshots["overlayfs"];
        assert_eq!(snapshots["l"].parent.as_deref(), Some("k"));
        assert_eq!(snapshots["k"].name, "moby/1/k");
        assert!(snapshots["k"].parent.is_none() && moby.containers.contains("c"));

        root.put(
            &["v1", "moby", "snapshots", "overlayfs", "n", "parent"],
            "k",
        );
        std::fs::write(&path, file(&root, 4096)).unwrap();
        let error = Metadata::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("the snapshot n has no name"), "{error}");
    }

    #[test]
    fn a_time_that_is_none_is_none() {
        for bad in [
            &b""[..],
            b"\x01",
            b"\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            &[0xff; 15],
        ] {
            assert_eq!(go_time(bad), None, "{bad:?}");
        }
        let extreme = [&[1][..], &i64::MAX.to_be_bytes(), &[0xff; 6]].concat();
        assert_eq!(go_time(&extreme), None);
    }
}
