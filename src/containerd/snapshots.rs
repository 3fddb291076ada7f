//! `metadata.db` of a snapshotter: its snapshots and their directories (containerd `core/snapshots/storage/bolt.go`).
//!
//! ```text
//! v1/snapshots/NAME/{id,kind,parent}      a snapshot's files are in snapshots/ID/fs
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use super::StoreError;
use super::bolt::Database;
use super::metadata::text;

/// What a snapshot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// A read-only view of a snapshot.
    View,
    /// A container writes to it.
    Active,
    /// A layer: nobody writes to it any more.
    Committed,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Names its directory.
    pub id: u64,
    /// What it is for.
    pub kind: SnapshotKind,
    /// Name of the snapshot that it is on.
    pub parent: Option<String>,
}

/// The snapshots of a snapshotter by their names.
#[derive(Debug)]
pub struct Snapshots {
    /// By name: `NAMESPACE/NUMBER/KEY`.
    pub all: BTreeMap<String, Snapshot>,
    database: Database,
}

impl Snapshots {
    /// Reads `metadata.db`. As long as the result is there, containerd waits before it starts.
    ///
    /// # Errors
    /// It is damaged, or not what containerd writes.
    pub fn open(path: &Path) -> Result<Snapshots, StoreError> {
        let (database, all) = Database::read_at_rest(path, |database| {
            database.check()?;
            all_snapshots(path, database)
        })?;
        Ok(Snapshots { all, database })
    }

    /// Whether containerd runs.
    pub fn in_use(&self) -> bool {
        self.database.in_use()
    }
}

fn all_snapshots(
    path: &Path,
    database: &Database,
) -> Result<BTreeMap<String, Snapshot>, StoreError> {
    let mut all = BTreeMap::new();
    let snapshots = database.root().bucket_at(&[b"v1", b"snapshots"])?;
    for (name, bucket) in snapshots.map_or(Ok(Vec::new()), |found| found.buckets())? {
        let name = text(path, "a snapshot's name", &name)?;
        let bad = |what: &str| StoreError::Content {
            path: path.to_path_buf(),
            reason: format!("the snapshot {name} has no {what}"),
        };
        let id = bucket.value(b"id")?;
        let id = id.as_deref().and_then(uvarint).ok_or_else(|| bad("id"))?;
        let kind = match bucket.value(b"kind")?.as_deref() {
            Some([1]) => SnapshotKind::View,
            Some([2]) => SnapshotKind::Active,
            Some([3]) => SnapshotKind::Committed,
            _ => return Err(bad("kind that is known")),
        };
        let parent = bucket.value(b"parent")?.filter(|name| !name.is_empty());
        let parent = parent.map(|it| text(path, "a snapshot's name", &it));
        let parent = parent.transpose()?;
        all.insert(name, Snapshot { id, kind, parent });
    }
    Ok(all)
}

/// Go's `binary.Uvarint`, with nothing behind it.
fn uvarint(bytes: &[u8]) -> Option<u64> {
    let (last, more) = bytes.split_last()?;
    if last & 0x80 != 0 || more.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    bytes.iter().rev().try_fold(0u64, |number, byte| {
        let shifted = number.checked_mul(128)?;
        shifted.checked_add(u64::from(byte & 0x7f))
    })
}

#[cfg(test)]
mod tests {
    use super::super::bolt::write::{Node, file};
    use super::*;

    #[test]
    fn snapshots_are_read() {
        let mut root = Node::bucket();
        let mut put = |name: &str, id: &[u8], kind: u8, parent: &str| {
            root.put(&["v1", "snapshots", name, "id"], id);
            root.put(&["v1", "snapshots", name, "kind"], [kind]);
            root.put(&["v1", "snapshots", name, "parent"], parent);
        };
        put("moby/1/a", &[1], 3, "");
        put("moby/2/b", &[0xac, 0x02], 2, "moby/1/a");
        put("moby/3/c", &[2], 1, "moby/1/a");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metadata.db");
        std::fs::write(&path, file(&root, 4096)).unwrap();
        let found = Snapshots::open(&path).unwrap();
        let told: Vec<_> = found.all.values().map(|it| (it.id, it.kind)).collect();
        assert_eq!(
            told,
            [
                (1, SnapshotKind::Committed),
                (300, SnapshotKind::Active),
                (2, SnapshotKind::View)
            ]
        );
        assert_eq!(found.all["moby/2/b"].parent.as_deref(), Some("moby/1/a"));
        for (key, value) in [("id", &[0x80][..]), ("kind", &[4]), ("id", &[])] {
            let mut other = root.clone();
            other.put(&["v1", "snapshots", "moby/1/a", key], value);
            std::fs::write(&path, file(&other, 4096)).unwrap();
            let error = Snapshots::open(&path).unwrap_err().to_string();
            assert!(error.contains("the snapshot moby/1/a has no"), "{error}");
        }
    }

    #[test]
    fn numbers_are_gos() {
        for (bytes, number) in [
            (&[0][..], Some(0)),
            (&[0x7f], Some(127)),
            (&[0x80, 1], Some(128)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                Some(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                None,
            ),
            (&[1, 1], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(uvarint(bytes), number, "{bytes:?}");
        }
    }
}
