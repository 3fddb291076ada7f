use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ownership::{Change, FileType, Flags, Mode, Ownership};

/// A tree of names as a walk meets it: each directory below an earlier one, each with entries.
type Tree = Vec<(prop::sample::Index, Vec<u8>, Vec<(Vec<u8>, u64, i64, u32)>)>;

fn names() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0x20u8..0x7f, 1 => any::<u8>()];
    proptest::collection::vec(byte, 1..12)
        .prop_map(|name| name.into_iter().filter(|b| *b != b'/' && *b != 0).collect())
        .prop_filter("a name", |name: &Vec<u8>| {
            !name.is_empty() && name != b"." && name != b".."
        })
}

fn trees() -> impl Strategy<Value = Tree> {
    let entry = (names(), any::<u64>(), -5i64..1 << 42, 0u32..5);
    let dir = (
        any::<prop::sample::Index>(),
        names(),
        proptest::collection::vec(entry, 0..6),
    );
    proptest::collection::vec(dir, 1..20)
}

fn transition(id: u32) -> Transition {
    let owner = |id| Ownership::new(id, id, Mode::default(), Default::default());
    Transition {
        file_type: FileType::File,
        change: Change {
            before: owner(id),
            after: owner(id + 100_000),
        },
        held: Flags::NONE,
    }
}

proptest! {
    #[test]
    fn what_is_pushed_is_what_is_read_back(tree in trees()) {
        let unknown = Identity { ino: 0, born: 0 };
        let mut batch = Batch::default();
        let mut dirs = vec![DirPath::root(0, unknown, 0)];
        let mut expected = Vec::new();
        for (parent, name, entries) in tree {
            let dir = parent.get(&dirs).child(&name, unknown, 0);
            for (name, ino, born, id) in entries {
                batch.push(&dir, &name, Identity { ino, born }, transition(id));
                let names: Vec<Vec<u8>> = dir.tail(dir.depth).into_iter().map(<[u8]>::to_vec).collect();
                expected.push((names, name, ino, born, id));
            }
            dirs.push(dir);
        }

        let lines = batch.lines();
        let mut read = Vec::new();
        let mut owns = HashMap::new();
        let mut names: Vec<Vec<u8>> = Vec::new();
        for text in lines.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()) {
            match Record::parse(text).unwrap() {
                Record::Own(own) => { owns.insert(own.n, own.before.uid); }
                Record::Dir(line) => {
                    names.truncate(line.keep);
                    names.extend(line.path.iter().map(|name| name.0.clone()));
                    for entry in line.entries() {
                        let Identity { ino, born } = entry.identity;
                        read.push((names.clone(), entry.name.0.clone(), ino, born, owns[&entry.own]));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(&read, &expected);
        let again: Vec<_> = batch.inodes().map(|(dir, name, _, own)| {
            let names: Vec<Vec<u8>> = dir.tail(dir.depth).into_iter().map(<[u8]>::to_vec).collect();
            (names, name.to_vec(), batch.transitions()[own as usize].change.before.uid)
        }).collect();
        let expected: Vec<_> = expected.into_iter().map(|(names, name, _, _, id)| (names, name, id)).collect();
        prop_assert_eq!(again, expected);
    }
}
