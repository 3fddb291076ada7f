//! Files made by hand, and what damage does to them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use super::write::{Node, file, fnv_1a, meta, page};
use super::{BoltError, Bucket, Database, Item, MetaFault, PageFault};

fn open(bytes: &[u8]) -> Result<Database, BoltError> {
    let fd = rustix::fs::memfd_create("bolt", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut memory = File::from(fd);
    memory.write_all(bytes).unwrap();
    Database::of(memory, Path::new("meta.db"))
}

fn tree(bucket: &Bucket<'_>) -> Result<Node, BoltError> {
    let mut all = BTreeMap::new();
    bucket.for_each(|key, item| {
        let node = match item {
            Item::Value(value) => Node::Value(value.to_vec()),
            Item::Bucket(bucket) => tree(&bucket)?,
        };
        all.insert(key.to_vec(), node);
        Ok(())
    })?;
    Ok(Node::Bucket(all))
}

/// As containerd's, with some hundred images, of which the labels of one need several pages.
fn images(count: usize) -> Node {
    let mut root = Node::bucket();
    for n in 0..count {
        let name = format!("docker.io/library/image:{n}");
        let way = ["v1", "moby", "images", &name];
        root.put(&[&way[..], &["createdat"]].concat(), [1; 15]);
        root.put(
            &[&way[..], &["target", "digest"]].concat(),
            format!("sha256:{n:064}"),
        );
        let label = if n == 1 { 10_000 } else { n % 300 };
        root.put(
            &[&way[..], &["labels", "l"]].concat(),
            "x".repeat(label.max(1)),
        );
    }
    root.put(&["v1", "version"], [6]);
    root
}

fn damaged(bytes: &[u8]) -> PageFault {
    let error = open(bytes).and_then(|database| database.check());
    match error {
        Err(BoltError::Page { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

fn meta_fault(bytes: &[u8]) -> MetaFault {
    match open(bytes).map(|_| ()) {
        Err(BoltError::Meta { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    for page_size in [1024, 4096, 65536] {
        let root = images(700);
        let database = open(&file(&root, page_size)).unwrap();
        database.check().unwrap();
        assert_eq!(tree(&database.root()).unwrap(), root);
        let images = database.root().bucket_at(&[b"v1", b"moby", b"images"]);
        let images = images.unwrap().unwrap();
        assert_eq!(images.buckets().unwrap().len(), 700);
        for n in [0, 1, 350, 699] {
            let name = format!("docker.io/library/image:{n}");
            let target = images.bucket_at(&[name.as_bytes(), b"target"]).unwrap();
            let digest = target.unwrap().value(b"digest").unwrap();
            assert_eq!(digest, Some(format!("sha256:{n:064}").into_bytes()));
        }
        assert!(images.bucket(b"none").unwrap().is_none());
        assert!(
            images
                .value(b"docker.io/library/image:1")
                .unwrap()
                .is_none()
        );
        assert!(images.value(b"zz").unwrap().is_none() && images.value(b"").unwrap().is_none());
    }
    let empty = open(&file(&Node::bucket(), 4096)).unwrap();
    assert_eq!(tree(&empty.root()).unwrap(), Node::bucket());
}

#[test]
fn the_newest_meta_page_that_is_whole_counts() {
    let root = images(3);
    let good = file(&root, 4096);
    // The second is newer; where it is torn, the first counts, wherever the second should be.
    for (torn, txid) in [(None, 5), (Some(4096), 4), (Some(0), 5)] {
        let mut bytes = good.clone();
        if let Some(at) = torn {
            bytes[at + 16 + 40] ^= 1;
        }
        let database = open(&bytes).unwrap();
        assert_eq!(tree(&database.root()).unwrap(), root, "{torn:?} {txid}");
    }
    let mut old = good.clone();
    old[4096 + 16..4096 + 80].copy_from_slice(&meta(4096, 999, 1000, 3));
    assert_eq!(tree(&open(&old).unwrap().root()).unwrap(), root);
    let mut new = good.clone();
    new[4096 + 16..4096 + 80].copy_from_slice(&meta(4096, 999, 1000, 6));
    assert_eq!(damaged(&new), PageFault::Truncated);
}

#[test]
fn what_is_no_bbolt_file_is_refused() {
    let good = file(&images(3), 4096);
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        for page in [0, 4096] {
            bytes[page + at..page + at + with.len()].copy_from_slice(with);
            let sum = fnv_1a(&bytes[page + 16..page + 72]);
            bytes[page + 72..page + 80].copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    };
    assert_eq!(meta_fault(b""), MetaFault::Short);
    assert_eq!(meta_fault(&good[..79]), MetaFault::Short);
    assert_eq!(meta_fault(&changed(8, &[2])), MetaFault::Type);
    assert_eq!(meta_fault(&changed(16, &[0])), MetaFault::Magic);
    assert_eq!(meta_fault(&changed(20, &[3])), MetaFault::Version(3));
    assert_eq!(meta_fault(&changed(24, &[1])), MetaFault::PageSize(4097));
    let mut torn = changed(0, &[]);
    (torn[30], torn[4096 + 30]) = (7, 7);
    assert_eq!(meta_fault(&torn), MetaFault::Checksum);
    let dir = tempfile::tempdir().unwrap();
    let is_io = |path: &Path| matches!(Database::open(path), Err(BoltError::Io { .. }));
    assert!(is_io(dir.path()) && is_io(&dir.path().join("none")) && is_io(Path::new("/dev/null")));
    let link = dir.path().join("link");
    std::fs::write(dir.path().join("file"), &good).unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    assert!(is_io(&link), "a symlink is followed");
}

/// A file with these pages from the third on, of which the first is the root.
fn of_pages(pages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = file(&Node::bucket(), 1024);
    bytes.truncate(3 * 1024);
    for (n, page) in pages.iter().enumerate() {
        bytes.extend(page);
        bytes.resize((4 + n) * 1024, 0);
    }
    let end = 3 + pages.len() as u64;
    bytes[1024 + 16..1024 + 80].copy_from_slice(&meta(1024, 3, end, 9));
    bytes
}

fn leaf_element(flags: u32, at: u32, key: u32, value: u32) -> Vec<u8> {
    [flags, at, key, value].map(u32::to_le_bytes).concat()
}

fn branch_element(at: u32, key: u32, child: u64) -> Vec<u8> {
    let head = [at, key].map(u32::to_le_bytes).concat();
    [head, child.to_le_bytes().to_vec()].concat()
}

fn leaf(id: u64, key: &[u8; 1]) -> Vec<u8> {
    let rest = [leaf_element(0, 16, 1, 0), key.to_vec()].concat();
    page(id, 2, 1, 0, &rest)
}

fn branch(id: u64, children: [(u64, u8); 2]) -> Vec<u8> {
    let [(first, a), (second, b)] = children;
    let heads = [branch_element(32, 1, first), branch_element(17, 1, second)].concat();
    page(id, 1, 2, 0, &[heads, vec![a, b]].concat())
}

#[test]
fn every_kind_of_damage_to_a_page_is_named() {
    let good = of_pages(&[
        branch(3, [(4, b'a'), (5, b'b')]),
        leaf(4, b"a"),
        leaf(5, b"b"),
    ]);
    open(&good).unwrap().check().unwrap();
    let cut = vec![(good[..good.len() - 1].to_vec(), PageFault::Truncated)];
    let cases = [damaged_heads(), damaged_elements(), damaged_trees(), cut];
    for (bytes, expected) in cases.concat() {
        assert_eq!(damaged(&bytes), expected);
        // Without the check of the whole file it ends too, in an error or not.
        let database = open(&bytes).unwrap();
        let root = database.root();
        let _ = (root.value(b"k"), root.value(b"b"), root.bucket(b"k"));
    }
}

#[test]
fn a_cycle_ends_at_the_depth() {
    // One that only `for_each` sees.
    let cycle = open(&of_pages(&[branch(3, [(3, b'a'), (3, b'b')])])).unwrap();
    let error = cycle.root().for_each(|_, _| Ok(())).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "meta.db: page 3 is damaged: it is too deep in its tree, or in a cycle"
    );
    assert!(cycle.root().value(b"a").is_err());
}

/// A file, and what is wrong with it.
type Damaged = (Vec<u8>, PageFault);

/// The root's id, type, overflow or number of elements is wrong.
fn damaged_heads() -> Vec<Damaged> {
    let one = |page: Vec<u8>| of_pages(&[page]);
    vec![
        (one(page(4, 2, 0, 0, &[])), PageFault::Id(4)),
        (one(page(3, 16, 0, 0, &[])), PageFault::Type(16)),
        (one(page(3, 3, 0, 0, &[])), PageFault::Type(3)),
        (one(page(3, 2, 0, 1, &[])), PageFault::Overflow(1)),
        (
            one(page(3, 2, 0, u32::MAX, &[])),
            PageFault::Overflow(u32::MAX),
        ),
        (one(page(3, 1, 0, 0, &[])), PageFault::Empty),
        (one(page(3, 2, 64, 0, &[])), PageFault::Element(63)),
    ]
}

/// The root has one element, which leads out of it or is no bucket.
fn damaged_elements() -> Vec<Damaged> {
    let elements = |elements: Vec<u8>| of_pages(&[page(3, 2, 1, 0, &elements)]);
    vec![
        (elements(leaf_element(0, 992, 17, 0)), PageFault::Element(0)),
        (
            elements(leaf_element(0, u32::MAX, 1, 0)),
            PageFault::Element(0),
        ),
        (
            elements(leaf_element(0, 16, u32::MAX, 1)),
            PageFault::Element(0),
        ),
        (
            elements(leaf_element(0, 16, 1, u32::MAX)),
            PageFault::Element(0),
        ),
        (elements(leaf_element(0, 0, 1, 1)), PageFault::Element(0)),
        (
            elements(leaf_element(2, 16, 1, 1)),
            PageFault::ElementFlags(0),
        ),
        (elements(leaf_element(1, 16, 1, 15)), PageFault::Bucket(0)),
        // Inline, and with half a header.
        (elements(leaf_element(1, 16, 1, 20)), PageFault::Bucket(0)),
        // Of itself.
        (
            elements([leaf_element(1, 16, 1, 16), vec![b'k', 3], vec![0; 15]].concat()),
            PageFault::Shared,
        ),
    ]
}

/// Pages are missing, in two places, empty or not in order.
fn damaged_trees() -> Vec<Damaged> {
    vec![
        (
            of_pages(&[branch(3, [(4, b'a'), (9, b'b')]), leaf(4, b"a")]),
            PageFault::NoSuchPage,
        ),
        (
            of_pages(&[branch(3, [(4, b'a'), (0, b'b')]), leaf(4, b"a")]),
            PageFault::NoSuchPage,
        ),
        (
            of_pages(&[branch(3, [(3, b'a'), (3, b'b')])]),
            PageFault::Shared,
        ),
        (
            of_pages(&[branch(3, [(4, b'a'), (4, b'b')]), leaf(4, b"a")]),
            PageFault::Shared,
        ),
        (
            of_pages(&[
                branch(3, [(4, b'b'), (5, b'a')]),
                leaf(4, b"b"),
                leaf(5, b"a"),
            ]),
            PageFault::Order(0),
        ),
        (
            of_pages(&[
                branch(3, [(4, b'a'), (5, b'b')]),
                leaf(4, b"b"),
                leaf(5, b"c"),
            ]),
            PageFault::Order(0),
        ),
        (
            of_pages(&[
                branch(3, [(4, b'a'), (5, b'b')]),
                leaf(4, b"a"),
                page(5, 2, 0, 0, &[]),
            ]),
            PageFault::Empty,
        ),
    ]
}

#[test]
fn a_writer_that_has_the_file_open_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.db");
    std::fs::write(&path, file(&images(1), 4096)).unwrap();
    let writer = File::open(&path).unwrap();
    let writer = nix::fcntl::Flock::lock(writer, nix::fcntl::FlockArg::LockExclusive).unwrap();
    assert!(Database::open(&path).unwrap().in_use());
    drop(writer);
    let reader = Database::open(&path).unwrap();
    assert!(!reader.in_use());
    assert!(!Database::open(&path).unwrap().in_use(), "readers share it");
}

/// Reads all there is, in every way.
fn read_all(bytes: &[u8]) {
    let Ok(database) = open(bytes) else {
        return;
    };
    let sound = database.check().is_ok();
    let read = tree_to_depth(&database.root(), 8);
    assert!(!sound || read.is_ok(), "checked, and not read: {read:?}");
}

/// Without the check, buckets may be in themselves.
fn tree_to_depth(bucket: &Bucket<'_>, depth: usize) -> Result<usize, BoltError> {
    let mut inner = Vec::new();
    bucket.for_each(|key, item| {
        if let Item::Bucket(bucket) = item {
            inner.push((key.to_vec(), bucket));
        }
        Ok(())
    })?;
    for (key, _) in inner.iter().take(5) {
        assert!(bucket.bucket(key)?.is_some());
    }
    let mut sum = inner.len();
    for (_, bucket) in inner.iter().filter(|_| depth > 0).take(3) {
        sum += tree_to_depth(bucket, depth - 1)?;
    }
    Ok(sum)
}

/// Bytes that are set, where it is cut off, and whether the checksums of the meta pages are put right.
type Damage = (Vec<(Index, u8)>, Option<Index>, bool);

fn damage() -> impl Strategy<Value = Damage> {
    let changes = prop::collection::vec(any::<(Index, u8)>(), 1..12);
    let cut = prop::option::weighted(0.1, any::<Index>());
    (changes, cut, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_read(
        values in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..40), prop::collection::vec(any::<u8>(), 0..400), 0..60),
        nested in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(any::<u8>(), 0..900), 0..60),
    ) {
        let of = |map: &BTreeMap<Vec<u8>, Vec<u8>>| -> BTreeMap<Vec<u8>, Node> {
            map.iter().map(|(key, value)| (key.clone(), Node::Value(value.clone()))).collect()
        };
        let mut root = of(&values);
        root.insert(b"nested".to_vec(), Node::Bucket(of(&nested)));
        let root = Node::Bucket(root);
        let database = open(&file(&root, 1024)).unwrap();
        database.check().unwrap();
        prop_assert_eq!(tree(&database.root()).unwrap(), root);
    }

    #[test]
    fn damage_neither_panics_nor_loops((changes, cut, mend) in damage()) {
        let mut bytes = file(&images(12), 1024);
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for page in [0, 1024] {
            if mend && bytes.len() >= page + 80 {
                let sum = fnv_1a(&bytes[page + 16..page + 72]);
                bytes[page + 72..page + 80].copy_from_slice(&sum.to_le_bytes());
            }
        }
        read_all(&bytes);
    }

    /// The headers and elements of pages are a small part of a file: these hit them.
    #[test]
    fn damaged_heads_neither_panic_nor_loop(changes in prop::collection::vec((3usize..40, 0usize..64, any::<u8>()), 1..8)) {
        let mut bytes = file(&images(12), 1024);
        for (page, at, byte) in changes {
            let at = page * 1024 + at;
            if at < bytes.len() {
                bytes[at] = byte;
            }
        }
        read_all(&bytes);
    }
}

/// The seeds of the fuzz target are what is written here.
#[test]
fn the_fuzz_corpus_holds_what_it_is_said_to_hold() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/bolt");
    let mut small = Node::bucket();
    small.put(
        &[
            "v1",
            "moby",
            "images",
            "docker.io/library/a:1",
            "target",
            "digest",
        ],
        "sha256:ab",
    );
    small.put(&["v1", "version"], [6]);
    for (name, bytes) in [
        ("empty", file(&Node::bucket(), 1024)),
        ("small", file(&small, 1024)),
        ("branches", file(&images(4), 1024)),
    ] {
        let path = corpus.join(name);
        assert_eq!(
            std::fs::read(&path).unwrap_or_default(),
            bytes,
            "{}",
            path.display()
        );
    }
}
