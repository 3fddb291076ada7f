//! `--rate`, by the clock: it can take longer, never less.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{Idshift, Kind, MAP, TestFs};

const A_SECOND: u32 = 400;

/// 300 inodes, each with a name in both of two directories.
fn tree(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("tree");
    for dir in ["a", "b"] {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    for n in 0..300 {
        let names = ["a", "b"].map(|dir| tree.join(dir).join(n.to_string()));
        fs::write(&names[0], "").unwrap();
        fs::hard_link(&names[0], &names[1]).unwrap();
    }
    tree
}

#[test]
fn no_more_inodes_are_looked_at_than_the_rate_allows() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    let idshift = Idshift::new();
    let rate = A_SECOND.to_string();
    let took = |args: &[&str]| {
        let start = Instant::now();
        idshift.run(args.iter().chain(&["--rate", &rate])).exits(0);
        start.elapsed()
    };
    // The last group is not waited for.
    let at_least = |looks: u32| Duration::from_secs(1) * (looks - 50) / A_SECOND;
    // 600 names when they are met, and once more when all of them are known.
    let shift = took(&["shift", "--map", MAP, tree.to_str().unwrap()]);
    assert!(shift >= at_least(1200), "{shift:?}");
    let rollback = took(&["rollback", "latest"]);
    assert!(rollback >= at_least(300), "{rollback:?}");
}
