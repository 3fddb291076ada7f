//! A layer tar made from a layer's files, for a layer whose blob is gone: its tar-split and its diff id.
//!
//! The tar itself is written nowhere: Docker puts it together when it is asked for (`docker save`, `docker push`). The
//! same files always give the same tar: names in byte order, no time but that of the last modification in whole seconds,
//! as Docker's own (`archive.FileInfoHeader` of moby). Sockets are left out, as there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::tar_reader::{RawBytes, TarError};
use super::tar_split::{CRC, TarSplitWriter};
use crate::fs::dir::open_dir;
use crate::oci::digest::{Digest, of_hash};

/// Writes the `tar-split.json.gz` of a tar of everything in `diff`, with overlayfs's whiteouts as the image
/// specification has them. Tells the tar's digest: the layer's diff id.
///
/// # Errors
/// Something cannot be read, changes meanwhile, or is only a part of a file (`trusted.overlay.redirect`, `metacopy`).
pub fn pack_layer(diff: BorrowedFd<'_>, out: impl Write) -> Result<Digest, TarError> {
    let mut packer = Packer {
        split: TarSplitWriter::new(out),
        hash: Sha256::new(),
        links: HashMap::new(),
        buffer: vec![0; 128 << 10],
        path: Vec::new(),
    };
    let packed = open_dir(diff, ".")
        .map_err(io::Error::from)
        .and_then(|top| packer.pack_tree(top))
        .and_then(|()| packer.raw(&[0; 1024]));
    match packed {
        Ok(()) => {
            packer.split.finish()?;
            Ok(of_hash(packer.hash))
        }
        Err(error) => Err(TarError::Bad {
            name: String::from_utf8_lossy(&packer.path).into_owned(),
            reason: error.to_string().into(),
        }),
    }
}

struct Packer<W: Write> {
    split: TarSplitWriter<W>,
    hash: Sha256,
    /// The first name of each inode that has more of them.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    /// Of what is packed now.
    path: Vec<u8>,
}

/// What an extended header cannot say in the header itself.
type Records = Vec<(&'static str, Vec<u8>)>;

impl<W: Write> Packer<W> {
    /// With no call for each level: who makes directories in a container decides how many there are.
    fn pack_tree(&mut self, top: OwnedFd) -> io::Result<()> {
        let names = sorted_names(&top)?;
        let mut ahead = vec![(top, names.into_iter(), 0)];
        while let Some((dir, names, above)) = ahead.last_mut() {
            self.path.truncate(*above);
            let Some(name) = names.next() else {
                ahead.pop();
                continue;
            };
            if *above > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            if let Some(below) = self.pack(dir, &name)? {
                let names = sorted_names(&below)?;
                ahead.push((below, names.into_iter(), self.path.len()));
            }
        }
        Ok(())
    }

    /// Packs one inode; a directory is given back for what is in it.
    fn pack(&mut self, dir: &OwnedFd, name: &[u8]) -> io::Result<Option<OwnedFd>> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            return Ok(None);
        }
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            let at = self.path.len() - name.len();
            let whiteout = [&self.path[..at], b".wh.", name].concat();
            self.empty_file(&whiteout, &stat)?;
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pin = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let (xattrs, is_opaque) = xattrs(&pin)?;
        if kind == FileType::Directory {
            let path = [&self.path[..], b"/"].concat();
            self.entry(EntryType::Directory, &path, b"", &stat, 0, xattrs)?;
            if is_opaque {
                self.empty_file(&[&path, &b".wh..wh..opq"[..]].concat(), &stat)?;
            }
            return Ok(Some(open_dir(dir.as_fd(), name)?));
        }
        self.pack_other((dir, name), kind, &stat, xattrs)?;
        Ok(None)
    }

    /// Packs what is no directory.
    fn pack_other(
        &mut self,
        (dir, name): (&OwnedFd, &[u8]),
        kind: FileType,
        stat: &Stat,
        xattrs: Records,
    ) -> io::Result<()> {
        let path = self.path.clone();
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&inode).cloned() {
                return self.entry(EntryType::Link, &path, &first, stat, 0, xattrs);
            }
            self.links.insert(inode, path.clone());
        }
        match kind {
            FileType::RegularFile => self.file(dir, name, &path, stat, xattrs),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                self.entry(
                    EntryType::Symlink,
                    &path,
                    target.as_bytes(),
                    stat,
                    0,
                    xattrs,
                )
            }
            FileType::CharacterDevice => self.entry(EntryType::Char, &path, b"", stat, 0, xattrs),
            FileType::BlockDevice => self.entry(EntryType::Block, &path, b"", stat, 0, xattrs),
            FileType::Fifo => self.entry(EntryType::Fifo, &path, b"", stat, 0, xattrs),
            _ => Err(io::Error::other("is of an unknown type")),
        }
    }

    fn file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
        xattrs: Records,
    ) -> io::Result<()> {
        let size = stat.st_size.unsigned_abs();
        if size == 0 {
            return self.entry(EntryType::Regular, path, b"", stat, 0, xattrs);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = rustix::fs::openat(dir, name, flags, Mode::empty())?.into();
        self.headers(EntryType::Regular, path, b"", stat, size, xattrs)?;
        let mut crc = CRC.digest();
        let mut at = 0;
        while at < size {
            let most = (size - at).min(self.buffer.len() as u64) as usize;
            let bytes = &mut self.buffer[..most];
            file.read_exact_at(bytes, at)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        io::Error::other("became shorter while it was read")
                    }
                    _ => error,
                })?;
            crc.update(bytes);
            self.hash.update(&bytes);
            at += most as u64;
        }
        self.split.take_name(path);
        self.split.file(path, size, Some(crc.finalize()))?;
        let padding = (512 - (size % 512) as usize) % 512;
        self.raw(&[0; 512][..padding])
    }

    fn empty_file(&mut self, path: &[u8], stat: &Stat) -> io::Result<()> {
        self.entry(EntryType::Regular, path, b"", stat, 0, Vec::new())
    }

    /// An entry without content.
    fn entry(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        stat: &Stat,
        size: u64,
        records: Records,
    ) -> io::Result<()> {
        self.headers(kind, path, link, stat, size, records)?;
        match self.split.take_name(path) {
            true => self.split.file(path, 0, None),
            false => Ok(()),
        }
    }

    fn headers(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        stat: &Stat,
        size: u64,
        mut records: Records,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(rustix::fs::major(stat.st_rdev))?;
            header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        }
        {
            let old = header.as_old_mut();
            text(&mut old.name, path, "path", &mut records);
            text(&mut old.linkname, link, "linkpath", &mut records);
        }
        let mut number = |key: &'static str, value: u64, digits: u32| match value < 8u64.pow(digits)
        {
            true => value,
            false => {
                records.push((key, value.to_string().into_bytes()));
                0
            }
        };
        header.set_uid(number("uid", stat.st_uid.into(), 7));
        header.set_gid(number("gid", stat.st_gid.into(), 7));
        header.set_size(number("size", size, 11));
        // What is before 1970 is 1970, as Docker unpacks it anyway.
        header.set_mtime(number(
            "mtime",
            u64::try_from(stat.st_mtime).unwrap_or(0),
            11,
        ));
        header.set_cksum();
        if !records.is_empty() {
            self.extended_header(records)?;
        }
        self.raw(header.as_bytes())
    }

    fn extended_header(&mut self, mut records: Records) -> io::Result<()> {
        records.sort();
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(&value);
            body.push(b'\n');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.as_old_mut().name[..14].copy_from_slice(b"PaxHeaders.0/x");
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.raw(header.as_bytes())?;
        body.resize(body.len().next_multiple_of(512), 0);
        self.raw(&body)
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.split.raw(bytes)
    }
}

fn sorted_names(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Puts a name into its field, or into a record where it is too long for that.
fn text(field: &mut [u8], name: &[u8], key: &'static str, records: &mut Records) {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    if name.len() > field.len() {
        records.push((key, name.to_vec()));
    }
}

/// The attributes that are an image's, as records; whether it is an opaque directory.
fn xattrs(pin: &OwnedFd) -> io::Result<(Records, bool)> {
    // XATTR_LIST_MAX and XATTR_SIZE_MAX (linux/limits.h): nothing is longer.
    let path = format!("/proc/thread-self/fd/{}", pin.as_raw_fd());
    let mut list = vec![0u8; 65536];
    let length = match rustix::fs::listxattr(&*path, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let (mut records, mut is_opaque) = (Records::new(), false);
    for name in list[..length].split(|&byte| byte == 0) {
        let mut value = vec![0u8; 65536];
        let mut read = || {
            let length = rustix::fs::getxattr(&*path, name, &mut value[..])?;
            value.truncate(length);
            Ok::<_, io::Error>(std::mem::take(&mut value))
        };
        match name {
            b"trusted.overlay.opaque" => is_opaque = read()? == b"y",
            b"trusted.overlay.redirect" | b"trusted.overlay.metacopy" => {
                return Err(io::Error::other(format!(
                    "has {}, so that its content is in another layer",
                    String::from_utf8_lossy(name)
                )));
            }
            b"security.capability" => records.push(("SCHILY.xattr.security.capability", read()?)),
            b"system.posix_acl_access" => {
                records.push(("SCHILY.xattr.system.posix_acl_access", read()?));
            }
            b"system.posix_acl_default" => {
                records.push(("SCHILY.xattr.system.posix_acl_default", read()?));
            }
            _ => {}
        }
    }
    Ok((records, is_opaque))
}
