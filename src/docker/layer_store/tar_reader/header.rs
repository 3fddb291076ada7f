//! The fields of one header block.

use tar::Header;

use super::fault::TarFault;
use super::kind::EntryKind;
use super::{BLOCK, Entry};

/// A header, its numbers read.
pub struct Fields {
    pub name: Vec<u8>,
    pub link_name: Vec<u8>,
    pub type_flag: u8,
    pub size: i64,
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    pub mtime: i64,
    pub device: (u32, u32),
}

impl Fields {
    /// Of this block; what is wrong with it.
    pub fn of(block: &[u8; BLOCK]) -> Result<Fields, TarFault> {
        let header = Header::from_byte_slice(block);
        let old = header.as_old();
        if number(&old.cksum) != Some(checksum(block)) {
            return Err(TarFault::Checksum);
        }
        let named = |what, field: &[u8]| number(field).ok_or(TarFault::Field(what));
        let devices = header.as_ustar().map(|it| (it.dev_major, it.dev_minor));
        let devices = devices.or(header.as_gnu().map(|it| (it.dev_major, it.dev_minor)));
        let device = |field: &[u8]| {
            let number = named("device number", field)?;
            u32::try_from(number).map_err(|_| TarFault::DeviceNumber)
        };
        Ok(Fields {
            name: name(header, block),
            link_name: text(&old.linkname).to_vec(),
            type_flag: block[156],
            size: named("size", &old.size)?,
            mode: (named("mode", &old.mode)? & 0o7777) as u32,
            uid: named("uid", &old.uid)?,
            gid: named("gid", &old.gid)?,
            mtime: named("mtime", &old.mtime)?,
            device: match devices {
                Some((major, minor)) => (device(&major)?, device(&minor)?),
                None => (0, 0),
            },
        })
    }

    /// What the entry is that has this name.
    pub fn kind(&self, name: &[u8]) -> EntryKind {
        match self.type_flag {
            // Before ustar, a directory was a file whose name ends in a slash.
            0 if name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => EntryKind::Unknown(other),
        }
    }

    /// The entry of a global header.
    pub fn global(self) -> Entry {
        Entry {
            name: self.name,
            link_name: Vec::new(),
            kind: EntryKind::Global,
            size: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

fn name(header: &Header, block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(&header.as_old().name);
    let Some(ustar) = header.as_ustar() else {
        return name.to_vec();
    };
    // star has times in the end of the prefix.
    let room = match &block[508..] == b"tar\0" {
        true => 131,
        false => ustar.prefix.len(),
    };
    match text(&ustar.prefix[..room]) {
        b"" => name.to_vec(),
        prefix => [prefix, b"/", name].concat(),
    }
}

/// The sum of all bytes, with spaces in the place of the sum itself.
fn checksum(block: &[u8; BLOCK]) -> i64 {
    let all: i64 = block.iter().map(|&byte| i64::from(byte)).sum();
    let own: i64 = block[148..156].iter().map(|&byte| i64::from(byte)).sum();
    all - own + 8 * i64::from(b' ')
}

pub fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// Octal digits among spaces and NULs, none for 0; or GNU's binary, of two's complement, behind a first bit.
pub fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let sign = if first & 0x40 != 0 { -1 } else { 0 };
        let start = (sign << 6) | i64::from(first & 0x3f);
        return rest.iter().try_fold(start, |value, &byte| {
            value.checked_mul(256).map(|value| value | i64::from(byte))
        });
    }
    let digits = text(field.trim_ascii_start()).trim_ascii();
    digits.iter().try_fold(0i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_every_dialect() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777", Some(0o77777777777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
                Some(-2),
            ),
            (b"\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"8", None),
            (b"-1", None),
            (b"12x", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
