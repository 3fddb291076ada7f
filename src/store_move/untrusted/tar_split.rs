//! Which files a tar-split names. To save or push an image, an engine of root's opens each file of a layer by the name that
//! is there, symlinks and all: a user who writes `../../../etc/shadow` would have it read what is the host's.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::fs::dir::open_dir;
use crate::fs::file_ops::{LONGEST_FILE, open_regular};
use crate::fs::stat;
use crate::ownership::FileType;

/// The first name in a tar-split, for people, that leads to anything but a regular file below the directory of its layer.
/// Where there is no tar-split, there is none.
///
/// # Errors
/// It is not what an engine writes.
pub fn first_that_leads_out(file: &Path, layer: &Path) -> io::Result<Option<String>> {
    let opened = open_regular(CWD, file.as_os_str().as_bytes());
    let text = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?.0,
    };
    let dir = match open_dir(CWD, layer) {
        // Then there is nothing to be opened.
        Err(Errno::NOENT) => return Ok(None),
        dir => dir?,
    };
    names(text, |name| match is_of_layer(&dir, name)? {
        true => Ok(None),
        false => Ok(Some(String::from_utf8_lossy(name).into_owned())),
    })
}

/// Whether nothing has this name, or a regular file in the layer: the kernel follows symlinks only as long as they stay
/// below the directory.
fn is_of_layer(dir: &OwnedFd, name: &[u8]) -> io::Result<bool> {
    let names = name.split(|&byte| byte == b'/');
    let mut names = names
        .filter(|name| ![&b""[..], b"."].contains(name))
        .peekable();
    let mut path = Vec::new();
    if names.peek().is_none() {
        return Ok(false);
    }
    for name in names {
        // An engine takes the directory before it away without looking whether that is a symlink.
        if name == b".." {
            return Ok(false);
        }
        path.extend_from_slice(name);
        path.push(b'/');
    }
    path.pop();
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let path = OsStr::from_bytes(&path);
    match rustix::fs::openat2(dir.as_fd(), path, flags, Mode::empty(), within) {
        Ok(found) => Ok(stat::stat(&found)?.file_type == FileType::File),
        // An engine finds nothing there, either.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(true),
        Err(Errno::XDEV) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Calls this with the name of each file that has content, until it gives something.
fn names<T>(
    text: File,
    mut found: impl FnMut(&[u8]) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let left = Rc::new(Cell::new(0));
    let text = Limited {
        of: MultiGzDecoder::new(BufReader::new(text)),
        left: left.clone(),
    };
    let mut entries = serde_json::Deserializer::from_reader(BufReader::new(text)).into_iter();
    loop {
        left.set(LONGEST_FILE);
        let Some(entry) = entries.next() else {
            return Ok(None);
        };
        let entry: FileEntry = entry?;
        if let Some(it) = entry.name.map(|name| found(&name)).transpose()?.flatten() {
            return Ok(Some(it));
        }
    }
}

/// An entry has more than [`LONGEST_FILE`] bytes.
#[derive(Debug, thiserror::Error)]
#[error("an entry is too long")]
struct EntryTooLong;

/// No entry is longer than this: whoever wrote it may want the memory of this host.
struct Limited<R> {
    of: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.of.read(buffer)?;
        match self.left.get().checked_sub(len as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other(EntryTooLong)),
        }
        Ok(len)
    }
}

/// An entry (`github.com/vbatts/tar-split`, `tar/storage/entry.go`): the name of a file that has content.
struct FileEntry {
    name: Option<Vec<u8>>,
}

impl<'de> Deserialize<'de> for FileEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileEntry, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = FileEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of a tar-split")
    }

    /// A program in Go takes members in any case, and the last of two.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<FileEntry, A::Error> {
        let (mut kind, mut size): (Option<u64>, Option<i64>) = (None, None);
        let (mut name, mut raw): (Option<Option<String>>, Option<Option<String>>) = (None, None);
        while let Some(key) = members.next_key::<String>()? {
            let is_first = match key.to_ascii_lowercase().as_str() {
                "type" => kind.replace(members.next_value()?).is_none(),
                "size" => size.replace(members.next_value()?).is_none(),
                "name" => name.replace(members.next_value()?).is_none(),
                "name_raw" => raw.replace(members.next_value()?).is_none(),
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    key.is_ascii()
                }
            };
            if !is_first {
                let why = format!("the member {key:?} is there twice, or not ASCII");
                return Err(A::Error::custom(why));
            }
        }
        const FILE: u64 = 1;
        if kind != Some(FILE) || size.unwrap_or(0) == 0 {
            return Ok(FileEntry { name: None });
        }
        let raw = STANDARD.decode(raw.flatten().unwrap_or_default());
        let name = match raw.map_err(A::Error::custom)? {
            raw if raw.is_empty() => name.flatten().unwrap_or_default().into_bytes(),
            raw => raw,
        };
        Ok(FileEntry { name: Some(name) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn only_files_of_the_layer_are_read() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let top = fs::canonicalize(place.path()).unwrap();
        let layer = top.join("diff");
        fs::create_dir_all(layer.join("usr/bin")).unwrap();
        fs::write(layer.join("usr/bin/sh"), "sh").unwrap();
        fs::write(top.join("outside"), "secret").unwrap();
        symlink("usr/bin", layer.join("bin")).unwrap();
        symlink("/etc", layer.join("etc")).unwrap();
        symlink("../outside", layer.join("link")).unwrap();
        nix::unistd::mkfifo(&layer.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let file = top.join("tar-split.json.gz");
        let look = |text: &str| {
            let mut out = GzEncoder::new(File::create(&file).unwrap(), Compression::fast());
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap();
            first_that_leads_out(&file, &layer)
        };
        let entry = |name: &str| format!("{{\"type\":1,\"name\":\"{name}\",\"size\":2}}\n");
        for name in [
            "./usr/bin/sh",
            "usr/bin/sh",
            "bin/sh",
            "/bin//sh",
            "gone",
            "usr/bin/sh/x",
        ] {
            assert_eq!(look(&entry(name)).unwrap(), None, "{name}");
        }
        let out = [
            "../outside",
            "bin/../../outside",
            "gone/../link",
            "link",
            "etc/passwd",
            "pipe",
            "bin",
            ".",
            "",
        ];
        for name in out {
            assert_eq!(look(&entry(name)).unwrap().as_deref(), Some(name));
        }
        for (text, leads_out) in [
            ("", false),
            (r#"{"type":2,"payload":"AAAA","position":0}"#, false),
            // Links and directories have no content.
            (r#"{"type":1,"name":"link"}"#, false),
            (r#"{"TYPE":1,"Name":"link","sizE":1}"#, true),
            (
                r#"{"type":1,"name":"x","name_raw":"bGluaw==","size":1}"#,
                true,
            ),
            (
                r#"{"type":2,"name":"gone"}{"type":1,"name":"link","size":1}"#,
                true,
            ),
        ] {
            assert_eq!(look(text).unwrap().is_some(), leads_out, "{text}");
        }
        for bad in [
            r#"{"type":1,"name":"x","Name":"link","size":1}"#,
            "{\"type\":1,\"\u{17f}ize\":1,\"name\":\"link\"}",
            r#"{"type":1,"size":1,"name_raw":"?"}"#,
            "[1]",
            "{",
        ] {
            assert!(look(bad).is_err(), "{bad}");
        }
        let long = entry(&"x".repeat(LONGEST_FILE as usize + 1));
        assert!(look(&long).is_err());
        fs::remove_file(&file).unwrap();
        assert_eq!(first_that_leads_out(&file, &layer).unwrap(), None);
    }
}
