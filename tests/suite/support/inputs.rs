//! What must hold of whatever bytes come in from outside, one function for each kind of input. The
//! fuzz targets in `fuzz/` and the property tests in `tests/suite/hostile/inputs.rs` share them.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use idshift::formats::bolt::{BoltError, Bucket, Database, Item};
use idshift::formats::notation::NotationSource;
use idshift::formats::{
    self, Acl, Capability, Container, Direction, Encoder, IdMap, Journal, JournalError, Manifest,
    MapSpec, Mapped, Name, Section, SubidFile, SubidReader, map_from_subid, with_userns_remap,
};
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// What must hold of some bytes; panics where it does not.
pub type Holds = fn(&[u8]);

/// Each kind by its name.
pub const ALL: &[(&str, Holds)] = &[
    ("acl", acl),
    ("capability", capability),
    ("map", map),
    ("subuid", subuid),
    ("notation", notation),
    ("journal", journal),
    ("manifest", manifest),
    ("config", config),
    ("daemon_json", daemon_json),
    ("bolt", bolt),
];

/// `system.posix_acl_access`: read so that it can be put back byte for byte, or refused.
pub fn acl(bytes: &[u8]) {
    if let Ok(acl) = Acl::decode(bytes) {
        assert_eq!(acl.encode(), bytes);
        let text = acl.to_string();
        assert_eq!(text.parse::<Acl>().as_ref(), Ok(&acl), "{text}");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(acl) = text.parse::<Acl>()
    {
        assert_eq!(Acl::decode(&acl.encode()).as_ref(), Ok(&acl), "{text}");
    }
}

/// `security.capability`: the same.
pub fn capability(bytes: &[u8]) {
    if let Ok(capability) = Capability::decode(bytes) {
        assert_eq!(capability.encode(), bytes);
        let json = serde_json::to_string(&capability).expect("plain data");
        let back: Capability = serde_json::from_str(&json).expect("what was written");
        assert_eq!(back, capability, "{json}");
    }
}

/// `--map`, one a line: each comes back from its text, and what goes in comes out again.
pub fn map(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut specs = Vec::new();
    for line in text.lines() {
        let Ok(spec) = line.parse::<MapSpec>() else {
            continue;
        };
        assert_eq!(spec.to_string().parse::<MapSpec>().as_ref(), Ok(&spec));
        specs.push(spec);
    }
    if let Ok(map) = IdMap::from_specs(&specs) {
        there_and_back(&map);
    }
}

fn there_and_back(map: &IdMap) {
    for ranges in [&map.uids, &map.gids] {
        for range in ranges.ranges() {
            let last = range.container() + (range.size() - 1);
            for id in [range.container(), last] {
                let host = range.to_host(id).expect("it is in the range");
                if map.sides_overlap().is_none() {
                    assert_eq!(ranges.map(id, Direction::Into), Mapped::To(host));
                    assert_eq!(ranges.map(host, Direction::OutOf), Mapped::To(id));
                }
            }
        }
    }
}

/// `/etc/subuid`: whatever it holds, a user's lines make a map or an error that says why.
pub fn subuid(bytes: &[u8]) {
    if let Ok(file) = SubidFile::parse(bytes, "/etc/subuid") {
        let users: Vec<String> = file.lines().iter().map(|line| line.owner.clone()).collect();
        for user in users.iter().take(8) {
            for reader in [SubidReader::Any, SubidReader::Docker] {
                match map_from_subid(user, Some(0), &file, &file, reader) {
                    Ok(map) => there_and_back(&map),
                    Err(error) => assert!(error.to_string().contains("/etc/subuid")),
                }
            }
        }
    }
}

/// A map as another tool wrote it: whatever the text holds, it gives a map or an error that names the file.
pub fn notation(bytes: &[u8]) {
    let described = match formats::notation::describe(bytes, "/file") {
        Ok(described) => described,
        Err(error) => return assert!(error.to_string().starts_with("/file: ")),
    };
    let range = (100_000, 65_536);
    let map = match described.source {
        NotationSource::Map(map) => Some(map),
        NotationSource::RootRanges(ranges) => ranges.over(range, range).ok(),
        NotationSource::Podman(maps) => maps.of_root().ok(),
        NotationSource::Oci(maps) => maps.of_root(),
        NotationSource::Half(_) | NotationSource::HostIds | NotationSource::DaemonJson => None,
    };
    if let Some(map) = map {
        there_and_back(&map);
    }
}

/// A file that is read by path, in a directory of its own; gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(bytes: &[u8]) -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (pid, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("idshift-input-{pid}-{n}"));
        let scratch = Scratch(dir);
        DirBuilder::new()
            .mode(0o700)
            .create(&scratch.0)
            .expect("a directory");
        std::fs::write(scratch.file(), bytes).expect("a file");
        scratch
    }

    fn file(&self) -> PathBuf {
        self.0.join("file")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A journal file, or, where it begins with `{`, the lines of one. Whatever it holds, it is read to
/// its end or refused, and of what is read no name leads anywhere but down.
pub fn journal(bytes: &[u8]) {
    let framed = match bytes.first() {
        Some(b'{') => frames(bytes),
        _ => bytes.to_vec(),
    };
    let scratch = Scratch::new(&framed);
    let journal = match Journal::open(&scratch.file()) {
        Ok(journal) => journal,
        Err(JournalError::Io { source, .. }) => panic!("{source}"),
        Err(error) => return drop(error.to_string()),
    };
    for step in &journal.steps {
        for place in step.places() {
            assert!(place.root < journal.header.roots.len());
            assert!(place.path.iter().all(idshift::formats::Name::is_component));
        }
        step.describe(&journal.header.roots);
    }
    for root in &journal.header.roots {
        assert!(root.path.as_path().is_absolute());
    }
    for frame in 0..journal.frames() {
        let mut depth = 0;
        for piece in journal.read(frame).expect("it was whole") {
            if let Section::Dir(line) = piece {
                assert!(line.root < journal.header.roots.len() && line.keep <= depth);
                depth = line.keep + line.path.len();
                assert!(
                    line.path
                        .iter()
                        .all(|name| name.is_component() && name.0 != b".")
                );
                assert!(line.entries().all(|entry| entry.name.is_component()));
            }
        }
    }
}

/// The first line as frame 0, the rest as frame 1.
fn frames(lines: &[u8]) -> Vec<u8> {
    let end = lines
        .iter()
        .position(|&b| b == b'\n')
        .map_or(lines.len(), |at| at + 1);
    let (header, rest) = lines.split_at(end);
    let mut encoder = Encoder::new().expect("memory");
    let mut bytes = encoder.encode(0, header).expect("a frame");
    bytes.extend(encoder.encode(1, rest).expect("a frame"));
    bytes
}

/// A manifest: read through or refused with its line, and its paths lie below its roots.
pub fn manifest(bytes: &[u8]) {
    let scratch = Scratch::new(bytes);
    let manifest = match Manifest::open(&scratch.file()) {
        Ok(manifest) => manifest,
        Err(error) => return drop(error.to_string()),
    };
    let changes = manifest.changes().expect("it was there");
    for reviewed in changes.flatten() {
        assert!(reviewed.root < manifest.header.roots.len());
        let is_plain = |name: &Name| name.is_component() && name.0 != b".";
        assert!(reviewed.names.iter().all(is_plain));
    }
}

/// `config.v2.json` and `hostconfig.json`: what is exchanged in the text leaves it JSON, and goes
/// back to what it was.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (plain, remapped) = ("/var/lib/docker", "/var/lib/docker/1.1");
    let exchanged = |path: &str, from: &str, to: &str| {
        let rest = path.strip_prefix(from)?;
        rest.starts_with('/').then(|| format!("{to}{rest}"))
    };
    let into = |path: &str| exchanged(path, plain, remapped);
    let out_of = |path: &str| exchanged(path, remapped, plain);
    for moved in [formats::rewrite_config, formats::rewrite_hostconfig] {
        let Ok(there) = moved(text, &into) else {
            continue;
        };
        serde_json::from_str::<IgnoredAny>(&there).expect("it stays JSON");
        // A number may be larger than any type holds: then it cannot be compared value by value.
        let Ok(before) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        let after: Value = serde_json::from_str(&there).expect("it stays JSON");
        assert_same_shape(&before, &after);
        if !text.contains("1.1") && !text.contains("\\u") {
            let back = moved(&there, &out_of).expect("it stays what it was");
            let back: Value = serde_json::from_str(&back).expect("JSON");
            assert_eq!(back, before);
        }
    }
    let _ = formats::bind_mounts(text);
    let _ = formats::volume_drivers(text);
    let _ = Container::parse("id", text, text);
    if let Ok(Some(set)) = formats::set_userns_host(text) {
        let value: Value =
            serde_json::from_str(&set).unwrap_or_else(|error| panic!("{error}: {set}"));
        assert_eq!(value["UsernsMode"], "host", "{set}");
        assert_eq!(formats::set_userns_host(&set).ok(), Some(None), "{set}");
    }
}

/// Strings may differ, nothing else.
fn assert_same_shape(a: &Value, b: &Value) {
    match (a, b) {
        (Value::String(_), Value::String(_)) => {}
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same_shape(a, b));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()));
            a.values()
                .zip(b.values())
                .for_each(|(a, b)| assert_same_shape(a, b));
        }
        (a, b) => assert_eq!(a, b),
    }
}

/// `daemon.json`: one setting is set or taken out, all others stay.
pub fn daemon_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("daemon.json");
    let Ok(set) = with_userns_remap(text, Some("default"), path) else {
        return;
    };
    // As they are written: a number may be larger than any type holds.
    let settings = |text: &str| -> BTreeMap<String, String> {
        let all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).expect("JSON");
        all.into_iter()
            .map(|(key, value)| (key, value.get().to_string()))
            .collect()
    };
    let others = |text: &str| {
        let mut all = settings(text);
        all.remove("userns-remap");
        all
    };
    assert_eq!(settings(&set)["userns-remap"], "\"default\"");
    let out = with_userns_remap(&set, None, path).expect("JSON");
    assert_eq!(settings(&out), others(&set));
    if !text.trim().is_empty() {
        assert_eq!(others(text), others(&set));
    }
}

/// A database of containerd: read to its end or refused, and what was checked is read.
pub fn bolt(bytes: &[u8]) {
    let scratch = Scratch::new(bytes);
    let database = match Database::open(&scratch.file()) {
        Ok(database) => database,
        Err(BoltError::Io { source, .. }) => panic!("{source}"),
        Err(error) => return drop(error.to_string()),
    };
    let checked = database.check();
    if let Err(BoltError::Io { source, .. }) = &checked {
        panic!("{source}");
    }
    // Without the check, buckets may be in themselves.
    let read = buckets_below(&database.root(), 6);
    assert!(checked.is_err() || read.is_ok(), "{read:?}");
}

fn buckets_below(bucket: &Bucket<'_>, depth: usize) -> Result<usize, BoltError> {
    let mut inner = Vec::new();
    bucket.for_each(|key, item| {
        if let Item::Bucket(bucket) = item {
            inner.push((key.to_vec(), bucket));
        }
        Ok(())
    })?;
    let mut count = inner.len();
    for (key, found) in inner.iter().filter(|_| depth > 0).take(3) {
        assert!(bucket.bucket(key)?.is_some());
        count += buckets_below(found, depth - 1)?;
    }
    Ok(count)
}
