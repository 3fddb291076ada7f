//! An entry, put together from its headers.

use std::io::Read;

use super::header::Fields;
use super::kind::EntryKind;
use super::pax::Pax;
use super::sparse::{self, Segment};
use super::{BLOCK, Entry, RawBytes, TarError, TarFault, TarReader, padding};

impl<R: Read> TarReader<R> {
    pub(super) fn entry(
        &mut self,
        block: &[u8; BLOCK],
        fields: Fields,
        mut pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        raw: &mut dyn RawBytes,
    ) -> Result<Entry, TarError> {
        let name = pax.take("path").unwrap_or_else(|| fields.name.clone());
        let name = long_name.unwrap_or(name);
        self.last_name = String::from_utf8_lossy(&name).into_owned();
        let link_name = pax
            .take("linkpath")
            .unwrap_or_else(|| fields.link_name.clone());
        let mut entry = Entry {
            link_name: long_link.unwrap_or(link_name),
            name,
            kind: EntryKind::Unknown(0),
            size: 0,
            mode: fields.mode,
            uid: 0,
            gid: 0,
            mtime: (fields.mtime, 0),
            device: fields.device,
            xattrs: pax.take_xattrs(),
            sparse: None,
        };
        self.apply_pax(&fields, &mut pax, &mut entry)?;
        let size = match pax.number("size").map_err(|reason| self.bad(reason))? {
            Some(size) => size,
            None => u64::try_from(fields.size).map_err(|_| self.bad(TarFault::NegativeSize))?,
        };
        let map = match fields.type_flag {
            b'S' => Some(self.old_sparse(block, raw)?),
            _ => None,
        };
        let kind = fields.kind(&entry.name);
        entry.kind = kind;
        entry.size = match kind {
            EntryKind::File => size,
            EntryKind::Unknown(_) => {
                return Err(self.bad(TarFault::Kind(kind)));
            }
            _ => 0,
        };
        if entry.size > i64::MAX as u64 - BLOCK as u64 {
            return Err(self.bad(TarFault::Size));
        }
        self.left = entry.size;
        self.padding = padding(entry.size);
        match map {
            Some(map) => entry.sparse = Some(map),
            None if kind == EntryKind::File => self.pax_sparse(&mut pax, &mut entry, raw)?,
            None => {}
        }
        if let Some((segments, real_size)) = &entry.sparse {
            sparse::check(segments, *real_size, entry.size).map_err(|reason| self.bad(reason))?;
        }
        Ok(entry)
    }

    fn apply_pax(&self, fields: &Fields, pax: &mut Pax, entry: &mut Entry) -> Result<(), TarError> {
        let mut id = |key: &str, in_header: i64| {
            let id = match pax.number(key)? {
                Some(id) => u32::try_from(id).ok(),
                None => u32::try_from(in_header).ok(),
            };
            id.filter(|&id| id != u32::MAX)
                .ok_or_else(|| TarFault::Id(key.to_string()))
        };
        entry.uid = id("uid", fields.uid).map_err(|reason| self.bad(reason))?;
        entry.gid = id("gid", fields.gid).map_err(|reason| self.bad(reason))?;
        if let Some(mtime) = pax.time("mtime").map_err(|reason| self.bad(reason))? {
            entry.mtime = mtime;
        }
        Ok(())
    }

    /// The map of a GNU sparse entry, some of which is in blocks behind its header.
    fn old_sparse(
        &mut self,
        block: &[u8; BLOCK],
        raw: &mut dyn RawBytes,
    ) -> Result<(Vec<Segment>, u64), TarError> {
        let mut map = sparse::OldMap::of(block).map_err(|reason| self.bad(reason))?;
        while map.goes_on() {
            let Some(block) = self.block(raw)? else {
                return Err(self.bad(TarFault::Ends("in its sparse map")));
            };
            map.add(&block).map_err(|reason| self.bad(reason))?;
        }
        Ok((map.segments, map.real_size))
    }

    fn pax_sparse(
        &mut self,
        pax: &mut Pax,
        entry: &mut Entry,
        raw: &mut dyn RawBytes,
    ) -> Result<(), TarError> {
        let Some(found) = sparse::PaxMap::of(pax).map_err(|reason| self.bad(reason))? else {
            return Ok(());
        };
        if let Some(name) = found.name {
            entry.name = name;
        }
        let segments = match found.segments {
            Some(segments) => segments,
            // Version 1.0: the map is the first blocks of the content.
            None => {
                let mut text = sparse::MapText::default();
                while !text.is_whole().map_err(|reason| self.bad(reason))? {
                    let mut block = [0; BLOCK];
                    let mut filled = 0;
                    while filled < BLOCK {
                        match self.read_content(&mut block[filled..])? {
                            0 => return Err(self.bad(TarFault::ContentEnds)),
                            count => filled += count,
                        }
                    }
                    raw.raw(&block)?;
                    text.add(&block);
                }
                entry.size = self.left;
                text.segments().map_err(|reason| self.bad(reason))?
            }
        };
        entry.sparse = Some((segments, found.real_size));
        Ok(())
    }
}
