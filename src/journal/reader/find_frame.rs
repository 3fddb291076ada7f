//! Where frames lie in the file, and whether they are whole.

use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::FrameReader;
use crate::journal::JournalError;
use crate::journal::file::FrameLocation;
use crate::journal::frame::{self, Damaged, HEAD, NextFrame};

impl FrameReader<'_> {
    /// The locations of the next frames, as their heads say.
    pub(super) fn frames_ahead(&self) -> Vec<FrameLocation> {
        let mut places = Vec::new();
        let mut offset = self.offset;
        while offset + HEAD as u64 <= self.length {
            let mut head = [0; HEAD];
            let read = self.file.read_exact_at(&mut head, offset);
            let Some((number, len)) = read.ok().and_then(|()| frame::read_head(&head)) else {
                break;
            };
            if number as usize != self.frames.len() + places.len() {
                break;
            }
            let len = HEAD as u64 + len as u64;
            if offset + len > self.length {
                break;
            }
            places.push(FrameLocation {
                offset,
                len: len as u32,
                inodes: true,
            });
            offset += len;
        }
        places
    }

    /// Reads the frame that should begin here, and no more bytes than its head says. If it is not
    /// complete, checks whether anything follows it.
    pub(super) fn find_frame(
        &self,
        number: u32,
    ) -> Result<Result<NextFrame, Damaged>, JournalError> {
        match self.read_frame(number) {
            // What is before it can be undone. Without the header nothing can.
            Err(error) if number > 0 && is_of_disk(&error) => {
                Ok(Err(Damaged::Unreadable(error.to_string())))
            }
            Err(source) => Err(JournalError::Io {
                path: self.path.to_path_buf(),
                source,
            }),
            Ok(found) => Ok(found),
        }
    }

    fn read_frame(&self, number: u32) -> io::Result<Result<NextFrame, Damaged>> {
        // More than a frame that was cut off has behind it of allocated space.
        const BEHIND: u64 = 64 << 20;
        let rest = self.length - self.offset;
        let head = self.bytes(rest.min(HEAD as u64))?;
        let len = frame::read_head(&head).map_or(0, |(_, len)| len as u64);
        let frame_len = HEAD as u64 + len;
        if len > 0 && frame_len <= rest {
            let whole = frame::decode(number, self.offset, &self.bytes(frame_len)?);
            if let Ok(NextFrame::Whole { .. }) = whole {
                return Ok(whole);
            }
        }
        let seen = self.bytes(rest.min(frame_len + BEHIND))?;
        Ok(frame::decode(number, self.offset, &seen))
    }

    fn bytes(&self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }
}

/// Whether a read failed because of a sector that cannot be read.
fn is_of_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}
