//! Tars that no registry should give out: a dry run says of each what a run says, and both what Docker's way of unpacking
//! comes to.

use crate::support::PYTHON;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use crate::support::{Kind, TestFs, long, need_root, output, script};
use idshift::formats::layer_store::unpack::limits::Limits;
use idshift::formats::layer_store::unpack::{check_layer, unpack_layer};
use serde_json::Value;

/// What a tree is, but for times and where it is on the disk.
fn tree(dir: &Path) -> Vec<String> {
    let lines = output(PYTHON, [script("snapshot.py").as_path(), dir]).stdout;
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        for key in ["ino", "atime_ns", "mtime_ns", "blocks", "data"] {
            object.remove(key);
        }
        if object["type"] == "directory" {
            object.remove("size");
            object.remove("nlink");
        }
        line.to_string()
    };
    let text = String::from_utf8(lines).unwrap();
    text.lines().map(line).collect()
}

/// The error without the words that only a run that writes has.
fn verdict<T>(read: Result<T, impl ToString>) -> Result<(), String> {
    read.map(drop).map_err(|error| error.to_string())
}

fn all_agree(kind: Kind, seed: u64, count: usize) {
    let fs = TestFs::new(kind);
    let place = fs.path().join("docker");
    fs::create_dir(&place).unwrap();
    let numbers = [count.to_string(), seed.to_string()];
    let args = [script("hostile_layers.py"), place.clone()];
    let args = args.iter().map(|path| path.as_os_str());
    output(PYTHON, args.chain(numbers.iter().map(AsRef::as_ref)));
    let limits = Limits::of(fs::File::open(&place).unwrap()).unwrap();
    let (mut done, mut refused, mut differ) = (0, 0, Vec::new());
    for n in 0..count {
        let at = |suffix: &str| place.join(format!("{n}{suffix}"));
        let tar = fs::read(at(".tar")).unwrap();
        let ours = at(".ours");
        fs::create_dir(&ours).unwrap();
        let checked = check_layer(&tar[..], &limits);
        let owners = checked.as_ref().map(|it| it.tree.owners().count());
        let names = owners.unwrap_or_default();
        let checked = verdict(checked);
        let unpacked = verdict(unpack_layer(
            &tar[..],
            fs::File::open(&ours).unwrap().as_fd(),
        ));
        let told = || {
            let refused = fs::read_to_string(at(".refused")).unwrap_or_default();
            let entries = fs::read_to_string(at(".entries")).unwrap();
            format!(
                "{n} of seed {seed} on {kind:?}: checked {checked:?}, unpacked {unpacked:?}, Docker's way {refused:?}\n{entries:.3000}"
            )
        };
        if checked != unpacked || checked.is_ok() != at(".done").exists() {
            differ.push(told());
        } else if checked.is_ok() {
            let (theirs, ours) = (tree(&at("")), tree(&ours));
            assert_eq!(theirs, ours, "{}", told());
            let linked =
                |line: &&String| !line.contains("\"nlink\":1,") && !line.contains("\"directory\"");
            if !ours.iter().any(|line| linked(&line)) {
                assert_eq!(names + 1, ours.len(), "{}", told());
            }
            done += 1;
        } else {
            refused += 1;
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    println!("{kind:?}: {done} unpacked, {refused} refused");
    assert!(done > count / 10 && refused > count / 10);
}

/// Through a symlink, names go deeper than one path can say.
#[test]
fn a_layer_deeper_than_a_path_is_unpacked() {
    need_root();
    let fs = TestFs::new(Kind::Ext4);
    let program = "import sys, tarfile, io\nt = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')\n\
        def a(n, c=b'', **f):\n i = tarfile.TarInfo(n); i.size = len(c); i.mtime = 5\n for k, v in f.items(): setattr(i, k, v)\n t.addfile(i, io.BytesIO(c))\n\
        deep = '/'.join(['p' * 20] * 150)\na(deep, type=tarfile.DIRTYPE, mode=0o755)\n\
        a('s', type=tarfile.SYMTYPE, linkname=deep)\na('s/' + deep, type=tarfile.DIRTYPE, mode=0o755)\n\
        a('u', type=tarfile.SYMTYPE, linkname='s/' + deep)\na('u/file', b'content')\na('h', type=tarfile.LNKTYPE, linkname='u/file')\nt.close()";
    let tar = output(PYTHON, ["-c", program]).stdout;
    let limits = Limits::of(fs::File::open(fs.path()).unwrap()).unwrap();
    let checked = check_layer(&tar[..], &limits).unwrap();
    let diff = fs.path().join("diff");
    fs::create_dir(&diff).unwrap();
    let dir = fs::File::open(&diff).unwrap();
    let diff_id = unpack_layer(&tar[..], dir.as_fd()).unwrap();
    assert_eq!(checked.diff_id, diff_id);
    assert_eq!(fs::read(diff.join("h")).unwrap(), b"content");
    let found = output(
        "find",
        [diff.as_os_str(), "-name".as_ref(), "file".as_ref()],
    )
    .stdout;
    assert_eq!(
        found.len(),
        diff.as_os_str().len() + 300 * 21 + "/file\n".len()
    );
    let size = idshift::formats::layer_store::store::content_size(dir.as_fd()).unwrap();
    let targets = 150 * 21 - 1 + (150 * 21 - 1 + 2);
    assert_eq!(size, 7 + targets);
}

#[test]
fn checking_and_unpacking_a_hostile_layer_agree() {
    need_root();
    let (count, seeds) = if long() { (500, 8) } else { (60, 1) };
    for seed in 0..seeds {
        all_agree(Kind::Ext4, seed, count);
        all_agree(Kind::Btrfs, 100 + seed, count / 4);
        all_agree(Kind::Xfs, 200 + seed, count / 4);
    }
}
