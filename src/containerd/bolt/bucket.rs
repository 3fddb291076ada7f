//! Keys and values of one bucket, and the buckets in it.

use super::database::Database;
use super::page::{HEADER, LeafElement, Page, u32_at, u64_at};
use super::{BoltError, PageFault};

/// Pages above each other in one bucket. bbolt fills pages by half at least: eight reach for any file.
const MAX_DEPTH: usize = 24;

/// Bytes before an inline bucket's page.
const BUCKET_HEADER: usize = 16;

/// A bucket: keys in ascending order, each with a value or a bucket.
#[derive(Clone, Debug)]
pub struct Bucket<'d> {
    database: &'d Database,
    root: Root,
}

#[derive(Clone, Debug)]
enum Root {
    /// It has pages of its own.
    Page(u64),
    /// It is in the value that it is: in this page, these bytes.
    Inline(u64, Vec<u8>),
}

/// What a key has.
#[derive(Clone, Debug)]
pub enum Item<'d, 'v> {
    /// A value.
    Value(&'v [u8]),
    /// A bucket in this one.
    Bucket(Bucket<'d>),
}

/// Where in a bucket's tree something is.
struct Position<'b> {
    page: u64,
    depth: usize,
    /// No key is less, as the page above has it.
    least: &'b [u8],
    /// Every key is less.
    end: Option<&'b [u8]>,
}

type OnPage<'f> = dyn FnMut(u64, u64) -> Result<(), BoltError> + 'f;
/// Gets a page's id, an element of it and the number of that.
type OnElement<'f, T> = dyn FnMut(u64, LeafElement<'_>, usize) -> Result<Option<T>, BoltError> + 'f;
type OnItem<'f, 'd> = dyn FnMut(&[u8], Item<'d, '_>) -> Result<(), BoltError> + 'f;

impl<'d> Bucket<'d> {
    pub(super) fn at(database: &'d Database, page: u64) -> Bucket<'d> {
        let root = Root::Page(page);
        Bucket { database, root }
    }

    /// Its first page, or the page that it is in.
    pub(super) fn page(&self) -> u64 {
        match &self.root {
            Root::Page(page) | Root::Inline(page, _) => *page,
        }
    }

    /// Calls `each` with every key, in ascending order.
    ///
    /// # Errors
    /// A page is damaged, or what `each` says.
    pub fn for_each(
        &self,
        mut each: impl FnMut(&[u8], Item<'d, '_>) -> Result<(), BoltError>,
    ) -> Result<(), BoltError> {
        self.walk(&mut |_, _| Ok(()), &mut each)
    }

    /// The value of a key; `None` where there is none, or a bucket.
    ///
    /// # Errors
    /// A page is damaged.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BoltError> {
        self.find(key, &mut |_, element, _| match element.is_bucket {
            true => Ok(None),
            false => Ok(Some(element.value.to_vec())),
        })
    }

    /// The bucket that a key has; `None` where there is none, or a value.
    ///
    /// # Errors
    /// A page is damaged.
    pub fn bucket(&self, key: &[u8]) -> Result<Option<Bucket<'d>>, BoltError> {
        self.find(key, &mut |page, element, n| match element.is_bucket {
            true => self.inner(page, n, &element).map(Some),
            false => Ok(None),
        })
    }

    /// The bucket that several keys lead to, one in the other.
    ///
    /// # Errors
    /// A page is damaged.
    pub fn bucket_at(&self, keys: &[&[u8]]) -> Result<Option<Bucket<'d>>, BoltError> {
        let mut bucket = self.clone();
        for key in keys {
            match bucket.bucket(key)? {
                Some(inner) => bucket = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(bucket))
    }

    /// The keys that have buckets, with them.
    ///
    /// # Errors
    /// A page is damaged.
    pub fn buckets(&self) -> Result<Vec<(Vec<u8>, Bucket<'d>)>, BoltError> {
        let mut all = Vec::new();
        self.for_each(|key, item| {
            if let Item::Bucket(bucket) = item {
                all.push((key.to_vec(), bucket));
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Goes through all of it. `on_page` gets each page's id and how many pages it spans.
    pub(super) fn walk(
        &self,
        on_page: &mut OnPage<'_>,
        on_item: &mut OnItem<'_, 'd>,
    ) -> Result<(), BoltError> {
        match &self.root {
            Root::Page(page) => self.walk_page(&Position::first(*page), on_page, on_item),
            Root::Inline(page, bytes) => {
                let inline = self.inline_page(*page, bytes)?;
                self.walk_leaf(&inline, &Position::first(*page), on_item)
            }
        }
    }

    fn walk_page(
        &self,
        at: &Position<'_>,
        on_page: &mut OnPage<'_>,
        on_item: &mut OnItem<'_, 'd>,
    ) -> Result<(), BoltError> {
        let fault = |fault| self.database.fault(at.page, fault);
        let bytes = self.read(at)?;
        on_page(at.page, u64::from(u32_at(&bytes, 12)) + 1)?;
        let page = self.parse(at, &bytes)?;
        if page.is_leaf {
            return self.walk_leaf(&page, at, on_item);
        }
        let mut previous: Option<&[u8]> = None;
        for n in 0..page.count {
            let element = page.branch(n).map_err(fault)?;
            at.check_key(element.key, previous)
                .ok_or_else(|| fault(PageFault::Order(n)))?;
            let next = match n + 1 < page.count {
                true => Some(page.branch(n + 1).map_err(fault)?.key),
                false => at.end,
            };
            let child = Position {
                page: element.child,
                depth: at.depth + 1,
                least: element.key,
                end: next,
            };
            self.walk_page(&child, on_page, on_item)?;
            previous = Some(element.key);
        }
        Ok(())
    }

    fn walk_leaf(
        &self,
        page: &Page<'_>,
        at: &Position<'_>,
        on_item: &mut OnItem<'_, 'd>,
    ) -> Result<(), BoltError> {
        let fault = |fault| self.database.fault(at.page, fault);
        let mut previous: Option<&[u8]> = None;
        for n in 0..page.count {
            let element = page.leaf(n).map_err(fault)?;
            at.check_key(element.key, previous)
                .ok_or_else(|| fault(PageFault::Order(n)))?;
            let item = match element.is_bucket {
                true => Item::Bucket(self.inner(at.page, n, &element)?),
                false => Item::Value(element.value),
            };
            on_item(element.key, item)?;
            previous = Some(element.key);
        }
        Ok(())
    }

    /// What `found` makes of the element with this key.
    fn find<T>(&self, key: &[u8], found: &mut OnElement<'_, T>) -> Result<Option<T>, BoltError> {
        let mut in_leaf = |page: &Page<'_>, id: u64| {
            for n in 0..page.count {
                let element = page
                    .leaf(n)
                    .map_err(|fault| self.database.fault(id, fault))?;
                if element.key == key {
                    return found(id, element, n);
                }
            }
            Ok(None)
        };
        let mut at = match &self.root {
            Root::Page(page) => Position::first(*page),
            Root::Inline(id, bytes) => return in_leaf(&self.inline_page(*id, bytes)?, *id),
        };
        loop {
            let bytes = self.read(&at)?;
            let page = self.parse(&at, &bytes)?;
            if page.is_leaf {
                return in_leaf(&page, at.page);
            }
            let child = page.child_of(key).and_then(|n| page.branch(n));
            at.page = child
                .map_err(|fault| self.database.fault(at.page, fault))?
                .child;
            at.depth += 1;
        }
    }

    fn read(&self, at: &Position<'_>) -> Result<Vec<u8>, BoltError> {
        match at.depth < MAX_DEPTH {
            true => self.database.read(at.page),
            false => Err(self.database.fault(at.page, PageFault::Depth)),
        }
    }

    fn parse<'b>(&self, at: &Position<'_>, bytes: &'b [u8]) -> Result<Page<'b>, BoltError> {
        let fault = |fault| self.database.fault(at.page, fault);
        let page = Page::parse(bytes).map_err(fault)?;
        // Only a bucket's first page may be an empty leaf.
        match page.count > 0 || (page.is_leaf && at.depth == 0) {
            true => Ok(page),
            false => Err(fault(PageFault::Empty)),
        }
    }

    /// An inline page: a leaf without buckets.
    fn inline_page<'b>(&self, id: u64, bytes: &'b [u8]) -> Result<Page<'b>, BoltError> {
        let page = Page::parse(bytes);
        let page = page.and_then(|page| match page.is_leaf {
            true => Ok(page),
            false => Err(PageFault::Type(u16::from_le_bytes([bytes[8], bytes[9]]))),
        });
        page.map_err(|fault| self.database.fault(id, fault))
    }

    /// The bucket that an element is.
    fn inner(
        &self,
        page: u64,
        n: usize,
        element: &LeafElement<'_>,
    ) -> Result<Bucket<'d>, BoltError> {
        let bad = || self.database.fault(page, PageFault::Bucket(n));
        // A bucket is only inline where no bucket is in it.
        if element.value.len() < BUCKET_HEADER || matches!(self.root, Root::Inline(..)) {
            return Err(bad());
        }
        let (root, inline) = (u64_at(element.value, 0), &element.value[BUCKET_HEADER..]);
        let root = match root {
            0 if inline.len() < HEADER => return Err(bad()),
            0 => Root::Inline(page, inline.to_vec()),
            root => Root::Page(root),
        };
        Ok(Bucket {
            database: self.database,
            root,
        })
    }
}

impl Position<'_> {
    /// A bucket's first page.
    fn first(page: u64) -> Self {
        Position {
            page,
            depth: 0,
            least: &[],
            end: None,
        }
    }

    /// Whether a key may come here, after the one before it.
    fn check_key(&self, key: &[u8], previous: Option<&[u8]>) -> Option<()> {
        let ascends = previous.is_none_or(|previous| previous < key);
        let in_range = key >= self.least && self.end.is_none_or(|end| key < end);
        (ascends && in_range).then_some(())
    }
}
