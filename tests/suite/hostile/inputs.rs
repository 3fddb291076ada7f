//! Whatever comes in from outside is read right or refused: the functions of the fuzz targets, run
//! on bytes made from their corpus.

use std::fs;
use std::path::Path;

use crate::support::inputs::ALL;
use crate::support::long;
use crate::support::promise::Promise;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(kind);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    /// A piece of it again, somewhere else.
    Repeat(prop::sample::Index, prop::sample::Index, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    use prop::sample::Index;
    let edit = prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), 1usize..20).prop_map(|(at, len)| Edit::Remove(at, len)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<Index>(), "[0-9{}\\[\\]\",:./-]{1,6}")
            .prop_map(|(at, text)| Edit::Insert(at, text.into_bytes())),
        (any::<Index>(), any::<Index>(), 1usize..60)
            .prop_map(|(from, to, len)| Edit::Repeat(from, to, len)),
    ];
    prop::collection::vec(edit, 0..6)
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let len = bytes.len();
        match edit {
            Edit::Set(at, byte) if len > 0 => bytes[at.index(len)] = *byte,
            Edit::Remove(at, count) if len > 0 => {
                let start = at.index(len);
                bytes.drain(start..len.min(start + count));
            }
            Edit::Insert(at, new) => {
                let at = at.index(len + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Repeat(from, to, count) if len > 0 => {
                let start = from.index(len);
                let piece = bytes[start..len.min(start + count)].to_vec();
                let at = to.index(len + 1);
                bytes.splice(at..at, piece);
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn whatever_comes_in_is_read_right_or_refused() {
    let promise = Promise::new(
        "Input",
        "ACLs, capabilities, maps, subuid files, journals, manifests, config.v2.json and daemon.json are read right or refused",
        "the functions of the fuzz targets, on their corpus, on changes of it and on random bytes",
    );
    for (kind, holds) in ALL {
        let corpus = corpus(kind);
        assert!(!corpus.is_empty(), "{kind}");
        corpus.iter().for_each(|bytes| holds(bytes));
        let cases = if long() { 20_000 } else { 400 };
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        let from_corpus = (prop::sample::select(corpus), edits())
            .prop_map(|(bytes, edits)| edited(bytes, &edits));
        let bytes = prop_oneof![4 => from_corpus, 1 => prop::collection::vec(any::<u8>(), 0..200)];
        let result = runner.run(&bytes, |bytes| {
            holds(&bytes);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{kind}: {error}"));
        promise.held_in(cases.into());
    }
}
