//! What is done for every inode in memory: mapping, ACLs, capabilities, journal lines.
//!
//! `cargo bench --bench codecs`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use idshift::formats::{
    Acl, Capability, Change, FileType, Flags, Mapping, Mode, Ownership, map_ownership,
};
use idshift::formats::{Batch, Transition};
use idshift::formats::{DirPath, Identity};
use idshift::formats::{Direction, IdMap, MapSpec};

fn map(specs: &[&str]) -> IdMap {
    let specs: Vec<MapSpec> = specs.iter().filter_map(|spec| spec.parse().ok()).collect();
    IdMap::from_specs(&specs).expect("a map")
}

fn plain() -> Ownership {
    Ownership::new(1000, 1000, Mode::from_st_mode(0o644), Default::default())
}

fn mapping(c: &mut Criterion) {
    let docker = map(&["b:0:100000:65536"]);
    let plain = plain();
    c.bench_function("map a plain ownership", |b| {
        b.iter(|| map_ownership(black_box(&plain), &docker, Direction::Into));
    });
    let mut full = plain.clone();
    full.xattrs = Some(Box::new(idshift::formats::OwnershipXattrs {
        acl: "u::rwx,u:5:r--,u:33:r--,g::r-x,g:7:--x,m::rwx,o::r-x"
            .parse()
            .ok(),
        default_acl: None,
        capability: None,
        ..Default::default()
    }));
    c.bench_function("map an ownership with an ACL", |b| {
        b.iter(|| map_ownership(black_box(&full), &docker, Direction::Into));
    });
}

fn attributes(c: &mut Criterion) {
    let acl: Acl = "u::rwx,u:5:r--,u:33:r--,g::r-x,g:7:--x,m::rwx,o::r-x"
        .parse()
        .expect("an ACL");
    let bytes = acl.encode();
    c.bench_function("decode an ACL", |b| {
        b.iter(|| Acl::decode(black_box(&bytes)))
    });
    let capability = Capability {
        effective: true,
        permitted: 1 << 13,
        inheritable: 0,
        rootid: None,
    };
    let bytes = capability.encode();
    c.bench_function("decode a capability", |b| {
        b.iter(|| Capability::decode(black_box(&bytes)))
    });
}

fn journal_lines(c: &mut Criterion) {
    let before = plain();
    let Mapping::Change(after) =
        map_ownership(&before, &map(&["b:0:100000:65536"]), Direction::Into)
    else {
        return;
    };
    let transition = Transition {
        file_type: FileType::File,
        change: Change { before, after },
        held: Flags::NONE,
    };
    let root = DirPath::root(0, Identity { ino: 2, born: 0 }, 1);
    let names: Vec<String> = (0..4096).map(|n| format!("file-{n:06}.dat")).collect();
    c.bench_function("4096 inodes as journal lines", |b| {
        b.iter(|| {
            let mut batch = Batch::default();
            for (n, name) in names.iter().enumerate() {
                let identity = Identity {
                    ino: 1000 + n as u64,
                    born: 1_767_225_600_000 + n as i64 / 50,
                };
                batch.push(&root, name.as_bytes(), identity, transition.clone());
            }
            batch.lines()
        });
    });
}

criterion_group!(benches, mapping, attributes, journal_lines);
criterion_main!(benches);
