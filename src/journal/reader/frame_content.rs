//! What one frame of a journal says, and what its lines must agree on.

use std::collections::HashSet;

use super::FrameReader;
use crate::journal::error::JournalError;
use crate::journal::line_error::LineError;
use crate::journal::record::{DirLine, Header, MarkLine, Record, check_format, split_lines};
use crate::journal::step::Step;

/// What the lines of one frame must agree on.
#[derive(Default)]
struct FrameCheck {
    owns: HashSet<u32>,
    depth: usize,
}

impl FrameCheck {
    fn own(&mut self, n: u32) {
        self.owns.insert(n);
    }

    fn dir(&mut self, line: &DirLine, roots: usize) -> Result<(), LineError> {
        if line.root >= roots {
            return Err(LineError::NoRoot {
                kind: "dir",
                root: line.root,
            });
        }
        if line.keep > self.depth {
            let (keep, depth) = (line.keep, self.depth);
            return Err(LineError::SharedNames { keep, depth });
        }
        if let Some(own) = line.owns.iter().find(|own| !self.owns.contains(own)) {
            return Err(LineError::NoChange(*own));
        }
        self.depth = line.keep + line.path.len();
        Ok(())
    }
}

/// What one frame says.
#[derive(Default)]
pub(super) struct FrameContent {
    pub header: Option<Header>,
    pub steps: Vec<Step>,
    pub marks: Vec<MarkLine>,
    pub inodes: u64,
}

impl FrameReader<'_> {
    /// What the lines of a frame say, if that makes sense.
    pub(super) fn content(&self, number: u32, lines: &[u8]) -> Result<FrameContent, JournalError> {
        let mut content = FrameContent::default();
        let mut frame = FrameCheck::default();
        let mut header = self.header.as_ref();
        for text in split_lines(lines) {
            if number == 0 && header.is_none() {
                check_format(text).map_err(|newer| JournalError::Newer {
                    path: self.path.to_path_buf(),
                    newer,
                })?;
            }
            let roots = header.map_or(0, |header| header.roots.len());
            let line = Record::parse(text).map_err(|reason| self.wrong(number, reason))?;
            match line {
                Record::Header(new) if header.is_none() => {
                    new.check().map_err(|reason| self.wrong(number, reason))?;
                    header = Some(content.header.insert(*new));
                }
                Record::Header(_) => return Err(self.damaged(number, LineError::SecondHeader)),
                Record::Own(own) => frame.own(own.n),
                Record::Dir(dir) => {
                    frame
                        .dir(&dir, roots)
                        .map_err(|reason| self.damaged(number, reason))?;
                    content.inodes += dir.names.len() as u64;
                }
                Record::Step(step) => {
                    step.check(roots)
                        .map_err(|reason| self.damaged(number, reason))?;
                    content.steps.push(*step);
                }
                Record::Mark(mark) => content.marks.push(mark),
            }
        }
        Ok(content)
    }
}
