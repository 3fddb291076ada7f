//! Where a manifest is written, and who can read it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use super::manifest::{check_lines, dry_run, lines, reviewed};
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, output, tree};

#[test]
fn a_name_that_ends_in_zst_compresses_it() {
    let it = reviewed("manifest.jsonl.zst");
    let text = output("zstdcat", [&it.manifest]).stdout;
    it.apply(&[]).exits(0);
    let end = it.now();
    assert_same(
        &it.start.shifted(&[MAP]),
        &end,
        "after the manifest was applied",
    );
    check_lines(&lines(&text), &it.tree, &it.start, &end);
}

#[test]
fn a_dash_puts_it_on_stdout_and_people_read_stderr() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    let args = [
        "shift",
        "--dry-run",
        "--manifest",
        "-",
        "--map",
        MAP,
        tree.to_str().unwrap(),
    ];
    let run = idshift.run(args).exits(0);
    assert_same(&start, &Snapshot::of(&tree), "after the dry run");
    check_lines(&lines(&run.stdout), &tree, &start, &start.shifted(&[MAP]));
    assert!(!run.stderr.is_empty());
}

#[test]
fn nobody_but_its_owner_reads_a_manifest() {
    let fs = TestFs::new(Kind::Tmpfs);
    let top = tree::plain_zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    for name in [
        "new.jsonl",
        "new.jsonl.zst",
        "old.jsonl",
        "old.jsonl.zst",
        "link",
    ] {
        let manifest = fs.path().join(name);
        let file = match name {
            "link" => {
                let file = fs.path().join("led to");
                std::os::unix::fs::symlink(&file, &manifest).unwrap();
                file
            }
            _ => manifest.clone(),
        };
        if !name.starts_with("new") {
            // What others could read, and what was longer.
            fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .unwrap();
        }
        dry_run(&idshift, &top, &manifest).exits(0);
        assert_eq!(mode(&file), 0o600, "{name}");
        idshift::formats::Manifest::open(&file).unwrap();
    }
    // An ACL of the directory is none of the manifest's.
    output(
        "setfacl",
        ["-d", "-m", "u:1234:rwx", fs.path().to_str().unwrap()],
    );
    let manifest = fs.path().join("acl.jsonl");
    dry_run(&idshift, &top, &manifest).exits(0);
    assert_eq!(mode(&manifest), 0o600);
    let acl = output("getfacl", ["-pe", manifest.to_str().unwrap()]).stdout;
    let acl = String::from_utf8(acl).unwrap();
    assert!(acl.contains("#effective:---"), "{acl}");
}

#[test]
fn a_manifest_is_not_written_to_another_users_file() {
    let fs = TestFs::new(Kind::Tmpfs);
    let top = tree::plain_zoo(&fs.path().join("tree"));
    let theirs = fs.path().join("theirs");
    fs::write(&theirs, "theirs").unwrap();
    chown(&theirs, Some(1234), Some(1234)).unwrap();
    let run = dry_run(&Idshift::new(), &top, &theirs).exits(4);
    let run = run
        .says(theirs.to_str().unwrap())
        .says("belongs to user 1234");
    run.says("Remove it, or name another file");
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
}

#[test]
fn a_manifest_goes_into_a_pipe_as_it_is() {
    let fs = TestFs::new(Kind::Tmpfs);
    let top = tree::plain_zoo(&fs.path().join("tree"));
    let pipe = fs.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::read(pipe).unwrap())
    };
    dry_run(&Idshift::new(), &top, &pipe).exits(0);
    let read = String::from_utf8(reader.join().unwrap()).unwrap();
    assert!(
        read.lines().last().unwrap().contains("\"summary\""),
        "{read}"
    );
    assert_eq!(fs::metadata(&pipe).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn a_missing_path_is_named_and_not_the_manifest() {
    let it = reviewed("manifest.jsonl");
    let nothing = it.fs.path().join("nothing");
    let run = it.apply(&[nothing.to_str().unwrap()]).exits(4);
    let first = run.stderr.lines().next().unwrap();
    assert!(
        first.starts_with(&format!("idshift: {}: No such file", nothing.display())),
        "{run}"
    );
}
