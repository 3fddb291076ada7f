//! Makes a tree with everything a chown would lose, shifts it, shows it, rolls it back, and
//! compares it with the start, to the byte.
//!
//! `cargo run --release --example demo`, as root.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use idshift::Exit;
use idshift::formats::{Acl, Capability};
use rustix::fs::{Mode as RawMode, XattrFlags};

fn main() -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("demo: changing owners needs root: run it with sudo, or as root");
        return ExitCode::FAILURE;
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join("data");
    let journals = scratch.path().join("journals");
    println!("Making a tree of 20,000 files in {} ...\n", tree.display());
    make_tree(&tree)?;
    let start = picture(&tree)?;
    show("Before:", &tree)?;

    let tree_arg = tree.to_string_lossy().into_owned();
    let journal_dir = format!("--journal-dir={}", journals.display());
    idshift(&[
        "shift",
        "--map=b:0:100000:65536",
        "--allow-home",
        &journal_dir,
        &tree_arg,
    ])?;
    show("After:", &tree)?;
    if picture(&tree)? == start {
        return Err(io::Error::other("the shift changed nothing"));
    }
    idshift(&["verify", &journal_dir, "latest"])?;
    idshift(&["rollback", &journal_dir, "latest"])?;
    show("After the rollback:", &tree)?;
    if picture(&tree)? != start {
        return Err(io::Error::other("the tree is NOT what it was at the start"));
    }
    println!(
        "Compared {} names: owners, modes, ACLs, capabilities, other attributes, times and contents \
         are to the byte what they were at the start.",
        start.len()
    );
    Ok(())
}

/// Runs a command line as the program would.
fn idshift(args: &[&str]) -> io::Result<()> {
    println!("$ idshift {}", args.join(" "));
    let all = std::iter::once("idshift").chain(args.iter().copied());
    match idshift::run(all.map(Into::into)) {
        Exit::Done => {
            println!();
            Ok(())
        }
        exit => Err(io::Error::other(format!("it ended with {exit:?}"))),
    }
}

fn make_tree(tree: &Path) -> io::Result<()> {
    fs::create_dir(tree)?;
    let file = |name: &[u8], mode: u32, uid: u32, gid: u32| -> io::Result<PathBuf> {
        let path = tree.join(OsStr::from_bytes(name));
        fs::write(&path, name)?;
        chown(&path, Some(uid), Some(gid))?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        Ok(path)
    };
    file(b"su", 0o4755, 0, 0)?;
    file(b"wall", 0o2755, 0, 5)?;
    file(b"secret", 0o600, 999, 999)?;
    file(b" a name\nwith \x1b[31mescapes", 0o644, 1000, 1000)?;
    file(b"not utf-8 \xff\xfe", 0o644, 1000, 1000)?;
    let ping = file(b"ping", 0o755, 0, 0)?;
    let net_raw = Capability {
        effective: true,
        permitted: 1 << 13,
        inheritable: 0,
        rootid: None,
    };
    set_xattr(&ping, "security.capability", &net_raw.encode())?;
    let shared = file(b"shared", 0o640, 1000, 1000)?;
    set_xattr(
        &shared,
        "system.posix_acl_access",
        &acl("u::rw-,u:33:r--,u:1001:rw-,g::r--,g:50:r--,m::rw-,o::---"),
    )?;
    fs::hard_link(&shared, tree.join("shared too"))?;
    symlink("/etc/passwd", tree.join("link out"))?;
    lchown(tree.join("link out"), Some(1000), Some(1000))?;
    let fifo = tree.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o622))?;
    let whiteout = tree.join("whiteout");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &whiteout,
        rustix::fs::FileType::CharacterDevice,
        RawMode::empty(),
        0,
    )?;
    let inbox = tree.join("inbox");
    fs::create_dir(&inbox)?;
    fs::set_permissions(&inbox, PermissionsExt::from_mode(0o2775))?;
    set_xattr(
        &inbox,
        "system.posix_acl_default",
        &acl("u::rwx,u:33:r-x,g::r-x,m::r-x,o::---"),
    )?;
    let services = [0, 33, 999, 1000];
    for d in 0..200 {
        let dir = tree.join(format!("many/{d:03}"));
        fs::create_dir_all(&dir)?;
        for f in 0..100 {
            let path = dir.join(format!("file-{f:02}"));
            File::create(&path)?;
            let id = services[d % services.len()];
            chown(&path, Some(id), Some(id))?;
        }
    }
    Ok(())
}

fn acl(text: &str) -> Vec<u8> {
    text.parse::<Acl>()
        .map(|acl| acl.encode())
        .unwrap_or_default()
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    match rustix::fs::setxattr(path, name, value, XattrFlags::empty()) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            println!("  (this filesystem keeps no {name}; left out)");
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Shows the top of the tree as a person would look at it.
fn show(title: &str, tree: &Path) -> io::Result<()> {
    println!("{title}");
    let mut entries: Vec<_> = fs::read_dir(tree)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        let attributes = xattrs(&entry.path())?;
        let acl = attributes
            .get("system.posix_acl_access")
            .or(attributes.get("system.posix_acl_default"));
        let acl = acl
            .and_then(|bytes| Acl::decode(bytes).ok())
            .map(|acl| format!("  ACL {acl}"));
        let capability = attributes
            .get("security.capability")
            .and_then(|bytes| Capability::decode(bytes).ok());
        let capability = capability.map(|capability| match capability.rootid {
            Some(root) => format!("  capability of root {root}"),
            None => "  capability".to_string(),
        });
        println!(
            "  {:06o} {:>6}:{:<6} {:?}{}{}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            entry.file_name(),
            acl.unwrap_or_default(),
            capability.unwrap_or_default(),
        );
    }
    println!();
    Ok(())
}

type Attributes = BTreeMap<String, Vec<u8>>;

/// All that must come back: what `lstat` says but for ctime, every extended attribute, contents.
#[derive(PartialEq)]
struct Inode {
    numbers: [u64; 7],
    modified: (i64, i64),
    attributes: Attributes,
    content: Vec<u8>,
}

fn picture(tree: &Path) -> io::Result<BTreeMap<PathBuf, Inode>> {
    let mut inodes = BTreeMap::new();
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry?;
        let m = entry.metadata()?;
        let content = match (m.is_file(), m.is_symlink()) {
            (true, _) => fs::read(entry.path())?,
            (_, true) => fs::read_link(entry.path())?
                .into_os_string()
                .into_encoded_bytes(),
            _ => Vec::new(),
        };
        let inode = Inode {
            numbers: [
                m.mode().into(),
                m.uid().into(),
                m.gid().into(),
                m.nlink(),
                m.ino(),
                m.rdev(),
                m.size(),
            ],
            modified: (m.mtime(), m.mtime_nsec()),
            attributes: xattrs(entry.path())?,
            content,
        };
        inodes.insert(entry.into_path(), inode);
    }
    Ok(inodes)
}

fn xattrs(path: &Path) -> io::Result<Attributes> {
    let mut names = vec![0; 65536];
    let len = match rustix::fs::llistxattr(path, &mut names[..]) {
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        len => len?,
    };
    let mut attributes = Attributes::new();
    for name in names[..len]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(len);
        attributes.insert(String::from_utf8_lossy(name).into_owned(), value);
    }
    Ok(attributes)
}
