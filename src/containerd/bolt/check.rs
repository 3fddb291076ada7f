//! The buckets of a bbolt file, and the check of the whole of it.

use super::bucket::{Bucket, Item};
use super::database::Database;
use super::{BoltError, PageFault};

/// Buckets in buckets. containerd's are six deep.
const MAX_NESTING: usize = 16;

impl Database {
    /// The bucket that holds all others.
    pub fn root(&self) -> Bucket<'_> {
        Bucket::at(self, self.root_page())
    }

    /// Reads all of it once: afterwards only a change of the file, or of the disk, makes a page unreadable. Also
    /// finds a page that is part of two trees.
    ///
    /// # Errors
    /// The first page that is damaged.
    pub fn check(&self) -> Result<(), BoltError> {
        let mut seen = PagesSeen(Vec::new());
        self.check_bucket(&self.root(), 0, &mut seen)
    }

    fn check_bucket(
        &self,
        bucket: &Bucket<'_>,
        nesting: usize,
        seen: &mut PagesSeen,
    ) -> Result<(), BoltError> {
        if nesting > MAX_NESTING {
            return Err(self.fault(bucket.page(), PageFault::Depth));
        }
        let mut inner = Vec::new();
        bucket.walk(
            &mut |page, size| match seen.insert_all(page, size) {
                true => Ok(()),
                false => Err(self.fault(page, PageFault::Shared)),
            },
            &mut |_, item| {
                if let Item::Bucket(bucket) = item {
                    inner.push(bucket);
                }
                Ok(())
            },
        )?;
        let mut inner = inner.iter();
        inner.try_for_each(|bucket| self.check_bucket(bucket, nesting + 1, seen))
    }
}

/// A bit for each page.
struct PagesSeen(Vec<u64>);

impl PagesSeen {
    /// Some pages that follow each other, which the file has. False: one of them was there already.
    fn insert_all(&mut self, first: u64, count: u64) -> bool {
        (first..first + count).all(|page| {
            let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
            if self.0.len() <= word {
                self.0.resize(word + 1, 0);
            }
            let is_new = self.0[word] & bit == 0;
            self.0[word] |= bit;
            is_new
        })
    }
}
