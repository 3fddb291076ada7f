//! Headers of tar entries, and what they cannot say themselves.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::Stat;
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::Packer;
use crate::docker::layer_store::fault::LayerFault;

/// What an extended header cannot say in the header itself.
pub(super) type Records = Vec<(&'static str, Vec<u8>)>;

impl<W: Write> Packer<W> {
    pub(super) fn headers(
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
pub(super) fn xattrs(pin: &OwnedFd) -> Result<(Records, bool), LayerFault> {
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
                return Err(LayerFault::Partial(
                    String::from_utf8_lossy(name).into_owned(),
                ));
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
