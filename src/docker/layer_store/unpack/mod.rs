//! A layer's tar unpacked into a directory, as overlay2's `diff`.
//!
//! What comes of it is what Docker makes of the same tar (`archive.Unpack` of moby, with overlay whiteouts, in a root of
//! its own): symlinks on the way are followed as if the directory were `/` (`RESOLVE_IN_ROOT`, `openat2(2)`), names that
//! lead out of it are refused, what is there is replaced. Otherwise than Docker does it:
//!
//! - `trusted.overlay.*` of the tar are left out: they would steer the kernel, not the container.
//! - `.wh..wh.*`, which only AUFS knows, are left out but for `.wh..wh..opq`.
//! - GNU sparse files are unpacked, which Docker refuses.

mod inode;

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::digest::{Digest, HashingReader};
use super::fault::LayerFault;
use super::path::clean;
use super::tar_reader::{Entry, Kind, TarError, TarFault, TarReader};
use crate::fs::remove_tree;

/// What the name of a deleted file begins with (OCI image specification, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// Deletes everything that is below in a directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Unpacks a tar that is not compressed into `diff`, an empty directory that the caller made; nothing is written
/// elsewhere. Owners are those of the tar, container ids. Tells the digest of the tar, which must be the layer's diff id.
///
/// Memory grows with the number of directories only: their times are set at the end.
///
/// # Errors
/// The tar is none, lies, leads out of the directory, or cannot be written. What is in the directory then is of no use.
pub fn unpack_layer(tar: impl Read, diff: BorrowedFd<'_>) -> Result<Digest, TarError> {
    let mut hashing = HashingReader::new(tar);
    let mut reader = TarReader::new(&mut hashing);
    let mut unpacker = Unpacker {
        top: diff,
        times: Vec::new(),
        parent: None,
        buffer: vec![0; 128 << 10],
    };
    while let Some(entry) = reader.next(&mut ())? {
        unpacker.unpack(&entry, &mut reader)?;
    }
    reader.finish(&mut ())?;
    unpacker.set_times()?;
    drop(reader);
    Ok(hashing.drain()?)
}

/// What a tar would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// Entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Reads a tar as [`unpack_layer`] does, and makes nothing of it.
///
/// # Errors
/// The tar is none, lies, or leads out of the directory.
pub fn check_layer(tar: impl Read) -> Result<CheckedLayer, TarError> {
    let mut hashing = HashingReader::new(tar);
    let mut reader = TarReader::new(&mut hashing);
    let (mut entries, mut bytes) = (0, 0);
    while let Some(entry) = reader.next(&mut ())? {
        if entry.kind != Kind::Global {
            inside(&entry.name).map_err(|reason| reader.bad(reason))?;
        }
        entries += 1;
        bytes += entry.size;
    }
    reader.finish(&mut ())?;
    drop(reader);
    Ok(CheckedLayer {
        diff_id: hashing.drain()?,
        entries,
        bytes,
    })
}

struct Unpacker<'a> {
    top: BorrowedFd<'a>,
    /// Directories, and when each was modified.
    times: Vec<(Vec<u8>, (i64, u32))>,
    /// The directory that was worked in last.
    parent: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn unpack<R: Read>(
        &mut self,
        entry: &Entry,
        reader: &mut TarReader<R>,
    ) -> Result<(), TarError> {
        if entry.kind == Kind::Global {
            return Ok(());
        }
        let path = inside(&entry.name).map_err(|reason| reader.bad(reason))?;
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b"."[..], &path[..]),
        };
        // Docker leaves the layer's own top directory as it is.
        if name == b"." {
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(reader.bad(LayerFault::ReplacesTop)),
            };
        }
        self.enter(parent)
            .map_err(|error| reader.bad(TarFault::unpack(error)))?;
        let made = match name {
            OPAQUE => self.set_opaque(),
            name if name.starts_with(b".wh..wh.") => Ok(()),
            name if name.starts_with(WHITEOUT) => self.whiteout(&name[WHITEOUT.len()..], entry),
            name => return self.make(entry, &path, name, reader),
        };
        made.map_err(|error| reader.bad(TarFault::unpack(error)))
    }

    /// Makes the entry's inode in the directory that was entered.
    fn make<R: Read>(
        &mut self,
        entry: &Entry,
        path: &[u8],
        name: &[u8],
        reader: &mut TarReader<R>,
    ) -> Result<(), TarError> {
        let is_there = self
            .clear(name, entry.kind)
            .map_err(|error| reader.bad(TarFault::unpack(error)))?;
        let Some((_, parent)) = &self.parent else {
            return Ok(());
        };
        let made = match entry.kind {
            Kind::File => {
                let file = inode::new_file(parent, name)
                    .map_err(|error| reader.bad(TarFault::unpack(error)))?;
                inode::fill(&file, entry, reader, &mut self.buffer)?;
                Ok(())
            }
            Kind::HardLink => self.link(&entry.link_name, parent, name),
            Kind::Directory if is_there => Ok(()),
            _ => inode::make(parent, name, entry),
        };
        made.map_err(|error| reader.bad(TarFault::unpack(error)))?;
        inode::set_attributes(parent, name, entry)
            .map_err(|error| reader.bad(TarFault::unpack(error)))?;
        if entry.kind == Kind::Directory {
            self.times.push((path.to_vec(), entry.mtime));
        }
        Ok(())
    }

    /// Opens the directory at this path, and makes what is missing of it.
    fn enter(&mut self, path: &[u8]) -> io::Result<()> {
        if self.parent.as_ref().is_some_and(|(there, _)| there == path) {
            return Ok(());
        }
        let dir = match self.open(path) {
            Err(Errno::NOENT) => {
                self.make_parents(path)?;
                self.open(path)?
            }
            opened => opened?,
        };
        self.parent = Some((path.to_vec(), dir));
        Ok(())
    }

    fn open(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(self.top, path, DIR, Mode::empty(), resolve)
    }

    /// Directories that the tar does not tell of belong to root and have mode 0755.
    fn make_parents(&self, path: &[u8]) -> io::Result<()> {
        let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        let ends = ends.map(|(end, _)| end).chain([path.len()]);
        let mut above = self.open(b".")?;
        let mut start = 0;
        for end in ends {
            let dir = match self.open(&path[..end]) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&above, &path[start..end], Mode::RWXU)?;
                    let dir = rustix::fs::openat(
                        &above,
                        &path[start..end],
                        DIR | OFlags::NOFOLLOW,
                        Mode::empty(),
                    )?;
                    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
                    dir
                }
                opened => opened?,
            };
            above = dir;
            start = end + 1;
        }
        Ok(())
    }

    /// Removes what has the name, unless it is a directory that stays one; whether it stays.
    fn clear(&mut self, name: &[u8], kind: Kind) -> io::Result<bool> {
        let Some((_, parent)) = &self.parent else {
            return Ok(false);
        };
        let is_dir = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            stat => FileType::from_raw_mode(stat?.st_mode) == FileType::Directory,
        };
        match (is_dir, kind) {
            (true, Kind::Directory) => return Ok(true),
            (true, _) => remove_tree(parent.as_fd(), name)?,
            (false, _) => rustix::fs::unlinkat(parent, name, AtFlags::empty())?,
        }
        Ok(false)
    }

    fn link(&self, target: &[u8], parent: &OwnedFd, name: &[u8]) -> Result<(), LayerFault> {
        let target = inside(target)?;
        let (dir, base) = match target.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&target[..slash], &target[slash + 1..]),
            None => (&b"."[..], &target[..]),
        };
        let dir = self.open(dir)?;
        Ok(rustix::fs::linkat(
            dir,
            base,
            parent,
            name,
            AtFlags::empty(),
        )?)
    }

    fn set_opaque(&self) -> Result<(), LayerFault> {
        let Some((_, parent)) = &self.parent else {
            return Ok(());
        };
        let flags = rustix::fs::XattrFlags::empty();
        Ok(rustix::fs::fsetxattr(
            parent,
            c"trusted.overlay.opaque",
            b"y",
            flags,
        )?)
    }

    /// A deleted file: a character device 0:0. One that the layer has itself is not deleted: as with Docker, an error.
    fn whiteout(&self, name: &[u8], entry: &Entry) -> Result<(), LayerFault> {
        let Some((_, parent)) = &self.parent else {
            return Ok(());
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(LayerFault::DeletesParent);
        }
        rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)?;
        Ok(inode::chown(parent, name, entry)?)
    }

    fn set_times(&self) -> Result<(), TarError> {
        for (path, time) in &self.times {
            // A later entry may have put something else there.
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let flags = DIR | OFlags::NOFOLLOW;
            match rustix::fs::openat2(self.top, &path[..], flags, Mode::empty(), resolve) {
                Ok(dir) => {
                    rustix::fs::futimens(&dir, &inode::times(*time)).map_err(io::Error::from)?
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
        Ok(())
    }
}

/// The path below the layer's top that a name means.
fn inside(name: &[u8]) -> Result<Vec<u8>, LayerFault> {
    let path = clean(name);
    if path == b".." || path.starts_with(b"../") {
        return Err(LayerFault::LeadsOut);
    }
    let path = path.strip_prefix(b"/").unwrap_or(&path);
    match path {
        b"" => Ok(b".".to_vec()),
        path if path.contains(&0) => Err(LayerFault::Nul),
        path => Ok(path.to_vec()),
    }
}
