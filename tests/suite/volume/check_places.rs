//! `check` of paths and filesystems that need another answer.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check::{carry_out, remedies};
use super::check_traces::probes;
use crate::support::volume::{check, directory, owned, place};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, need_root, sh};

#[test]
fn lacking_rename_noreplace_is_no_failure() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2"])
        .args(["-e", "inject=renameat2:error=EINVAL"])
        .arg(Idshift::program())
        .arg("check")
        .arg(&dir)
        .args(["--as", "5:5", "--map", MAP]);
    let told = Run::of(&mut strace).exits(0);
    assert!(told.text().contains("rename  works"), "{told}");
    assert_eq!(probes(&dir), 0);
}

#[test]
fn what_a_path_may_lead_to_is_told_apart() {
    let place = place();
    let top = place.path();
    let listener = UnixListener::bind(top.join("sock")).unwrap();
    owned(&top.join("sock"), (0, 0), 0o660);
    sh("mkfifo", [top.join("fifo")]);
    owned(&top.join("fifo"), (100_005, 0), 0o600);
    let real = directory(&top.join("a dir"), (100_005, 0), 0o755);
    symlink(&real, top.join("link")).unwrap();
    symlink(top.join("gone"), top.join("dangling")).unwrap();
    fs::write(top.join("file"), "").unwrap();
    owned(&top.join("file"), (100_005, 0), 0o600);
    for (name, code, words) in [
        ("sock", 3, "setfacl -m u:100005:rw"),
        ("fifo", 0, "read    works"),
        ("link", 0, "Docker follows symlinks too"),
        ("a dir", 0, "a dir.\n"),
        ("file", 0, "write   works"),
        ("dangling", 4, "is a symlink to"),
        ("missing", 4, "--create --owner 5:5` creates it"),
        ("file/x", 4, "Not a directory"),
    ] {
        let told = check(&top.join(name), &["--as", "5:5"]);
        assert_eq!(told.code, Some(code), "{told}");
        let said = format!("{}{}", told.text(), told.stderr);
        assert!(said.contains(words), "{words:?} in {told}");
        assert!(
            !said.contains("prepare --map b:0:100000:65536 /var/tmp/sock"),
            "{told}"
        );
    }
    // The kernel agrees about the socket.
    let connect = || {
        let script = "IO::Socket::UNIX->new(Peer => shift) or die $!";
        let mut command = Command::new("setpriv");
        command.args(["--reuid=100005", "--regid=100005", "--clear-groups"]);
        command.args([
            "--inh-caps=-all",
            "perl",
            "-MIO::Socket::UNIX",
            "-e",
            script,
        ]);
        Run::of(command.arg(top.join("sock")))
    };
    let refused = connect();
    assert!(refused.stderr.contains("Permission denied at"), "{refused}");
    let advice = remedies(&check(&top.join("sock"), &["--as", "5:5", "--json"]));
    let command = advice[0].split(',').next().unwrap();
    carry_out(&Idshift::new(), command);
    connect().exits(0);
    check(&top.join("sock"), &["--as", "5:5"]).exits(0);
    drop(listener);
    // A part of the system is not what somebody should make ready.
    let told = check(Path::new("/etc"), &["--as", "5:5", "--json"]).exits(3);
    assert!(
        remedies(&told)[0].starts_with("give the container a directory of its own"),
        "{told}"
    );
}

#[test]
fn a_remedy_quotes_any_path_for_the_shell() {
    let place = place();
    let idshift = Idshift::new();
    for name in [
        &b"a b"[..],
        b"it's",
        b"n\nl",
        b"x\xff",
        b"-rf",
        b"$(touch oops)",
        b"\x1b[2J",
        "\u{202e}".as_bytes(),
    ] {
        let dir = directory(&place.path().join(OsStr::from_bytes(name)), (0, 0), 0o755);
        let told = check(&dir, &["--as", "5:5", "--json"]).exits(3);
        let text = check(&dir, &["--as", "5:5"]).exits(3).text();
        let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(text.chars().all(harmless), "{text:?}");
        let command = &remedies(&told)[0];
        assert!(text.ends_with(&format!("  {command}\n")), "{text:?}");
        carry_out(&idshift, command);
        check(&dir, &["--as", "5:5"]).exits(0);
    }
}

#[test]
fn an_unsuitable_filesystem_is_told_with_a_remedy() {
    need_root();
    let told = |path: &Path, more: &[&str], code: i32, words: &[&str]| {
        let run = check(path, &[&["--as", "5:5"], more].concat()).exits(code);
        for word in words {
            assert!(run.text().contains(word), "{word:?} in {run}");
        }
    };
    // Not every kernel has it.
    if Kind::Vfat.is_supported() {
        let vfat = TestFs::new(Kind::Vfat);
        let words = [
            "create  fails: Permission denied",
            "mount it with -o uid=100005,gid=100005",
        ];
        told(&vfat.path(), &[], 3, &words);
    }
    let ext4 = TestFs::new(Kind::Ext4);
    let dir = directory(&ext4.path().join("dir"), (100_005, 100_005), 0o755);
    sh("chattr", ["+i".as_ref(), dir.as_os_str()]);
    told(
        &dir,
        &[],
        3,
        &["create  fails: Operation not permitted", "chattr -i"],
    );
    sh("chattr", ["-i".as_ref(), dir.as_os_str()]);
    told(&dir, &[], 0, &["delete  works"]);
    ext4.make_read_only();
    told(&dir, &["--read-only"], 0, &["list    works"]);
    told(
        &dir,
        &[],
        3,
        &["create  fails: Read-only file system", ":ro"],
    );

    let full = TestFs::new(Kind::TinyTmpfs);
    let dir = directory(&full.path().join("dir"), (100_005, 100_005), 0o755);
    let _ = fs::write(full.path().join("big"), vec![1; 1 << 20]);
    told(
        &dir,
        &[],
        3,
        &["write   fails: No space left on device", "make room"],
    );
    assert_eq!(probes(&dir), 0);

    // An image that is written once.
    let source = place();
    directory(&source.path().join("dir"), (0, 0), 0o700);
    let image = source.path().join("image.sqfs");
    sh(
        "mksquashfs",
        [
            source.path().join("dir").as_os_str(),
            image.as_os_str(),
            "-quiet".as_ref(),
        ],
    );
    let at = directory(&ext4_free(&source), (0, 0), 0o755);
    sh(
        "mount",
        [
            "-o".as_ref(),
            "loop".as_ref(),
            image.as_os_str(),
            at.as_os_str(),
        ],
    );
    let run = check(&at, &["--as", "5:5", "--read-only"]);
    sh("umount", [at.as_os_str()]);
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.text().contains("is on squashfs"), "{run}");
}

/// A mount point beside it.
fn ext4_free(place: &tempfile::TempDir) -> PathBuf {
    place.path().join("at")
}
