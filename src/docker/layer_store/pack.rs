//! A layer tar made from a layer's files, for a layer whose blob is gone: its tar-split and its diff id.
//!
//! The tar itself is written nowhere: Docker puts it together when it is asked for (`docker save`, `docker push`). The
//! same files always give the same tar: names in byte order, no time but that of the last modification in whole seconds,
//! as Docker's own (`archive.FileInfoHeader` of moby). Sockets are left out, as there.

mod header;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::fault::LayerFault;
use super::tar_reader::{RawBytes, TarError};
use super::tar_split::{CRC, TarSplitWriter};
use crate::fs::dir::open_dir;
use crate::oci::digest::{Digest, of_hash};
use header::{Records, xattrs};

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
        .map_err(LayerFault::from)
        .and_then(|top| packer.pack_tree(top))
        .and_then(|()| Ok(packer.raw(&[0; 1024])?));
    match packed {
        Ok(()) => {
            packer.split.finish()?;
            Ok(of_hash(packer.hash))
        }
        Err(error) => Err(TarError::Bad {
            name: String::from_utf8_lossy(&packer.path).into_owned(),
            reason: error.into(),
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

impl<W: Write> Packer<W> {
    /// With no call for each level: who makes directories in a container decides how many there are.
    fn pack_tree(&mut self, top: OwnedFd) -> Result<(), LayerFault> {
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
    fn pack(&mut self, dir: &OwnedFd, name: &[u8]) -> Result<Option<OwnedFd>, LayerFault> {
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

    /// Packs what is not a directory.
    fn pack_other(
        &mut self,
        (dir, name): (&OwnedFd, &[u8]),
        kind: FileType,
        stat: &Stat,
        xattrs: Records,
    ) -> Result<(), LayerFault> {
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
            _ => Err(LayerFault::UnknownType),
        }
    }

    fn file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
        xattrs: Records,
    ) -> Result<(), LayerFault> {
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
                    io::ErrorKind::UnexpectedEof => LayerFault::BecameShorter,
                    _ => error.into(),
                })?;
            crc.update(bytes);
            self.hash.update(&bytes);
            at += most as u64;
        }
        self.split.take_name(path);
        self.split.file(path, size, Some(crc.finalize()))?;
        let padding = (512 - (size % 512) as usize) % 512;
        Ok(self.raw(&[0; 512][..padding])?)
    }

    fn empty_file(&mut self, path: &[u8], stat: &Stat) -> Result<(), LayerFault> {
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
    ) -> Result<(), LayerFault> {
        self.headers(kind, path, link, stat, size, records)?;
        match self.split.take_name(path) {
            true => Ok(self.split.file(path, 0, None)?),
            false => Ok(()),
        }
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
