//! Writes bbolt files as containerd's are: for tests, of the reader and of all that is read with it.

use std::collections::BTreeMap;

/// What a key has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Value(Vec<u8>),
    Bucket(BTreeMap<Vec<u8>, Node>),
}

impl Node {
    pub fn bucket() -> Node {
        Node::Bucket(BTreeMap::new())
    }

    /// Puts a value where these keys lead, and makes the buckets on the way.
    pub fn put(&mut self, way: &[&str], value: impl AsRef<[u8]>) {
        let Node::Bucket(bucket) = self else {
            panic!("a value has no keys");
        };
        let (first, rest) = way.split_first().expect("a key");
        let key = first.as_bytes().to_vec();
        match rest {
            [] => drop(bucket.insert(key, Node::Value(value.as_ref().to_vec()))),
            rest => bucket
                .entry(key)
                .or_insert_with(Node::bucket)
                .put(rest, value),
        }
    }
}

pub fn fnv_1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf29ce484222325u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100000001b3);
    }
    hash
}

struct Writer {
    page_size: usize,
    /// From page 3 on.
    pages: Vec<u8>,
}

/// A file with these keys; its newest meta page is the second.
pub fn file(root: &Node, page_size: usize) -> Vec<u8> {
    let mut writer = Writer {
        page_size,
        pages: Vec::new(),
    };
    let Node::Bucket(root) = root else {
        panic!("no bucket");
    };
    let root = writer.pages_of(root);
    let high_water = writer.next_id();
    let mut file = Vec::new();
    for (id, txid) in [(0, 4), (1, 5)] {
        file.extend(page(id, 4, 0, 0, &meta(page_size, root, high_water, txid)));
        file.resize((id as usize + 1) * page_size, 0);
    }
    file.extend(page(2, 16, 0, 0, &[]));
    file.resize(3 * page_size, 0);
    file.extend(writer.pages);
    file
}

/// What follows the header of a meta page.
pub fn meta(page_size: usize, root: u64, high_water: u64, txid: u64) -> Vec<u8> {
    let mut meta = Vec::new();
    for n in [0xED0CDAEDu32, 2, page_size as u32, 0] {
        meta.extend(n.to_le_bytes());
    }
    // containerd does not write its free list.
    for n in [root, 0, u64::MAX, high_water, txid] {
        meta.extend(n.to_le_bytes());
    }
    let sum = fnv_1a(&meta);
    meta.extend(sum.to_le_bytes());
    meta
}

/// A page, not filled up.
pub fn page(id: u64, flags: u16, count: u16, overflow: u32, rest: &[u8]) -> Vec<u8> {
    let mut page = id.to_le_bytes().to_vec();
    page.extend(flags.to_le_bytes());
    page.extend(count.to_le_bytes());
    page.extend(overflow.to_le_bytes());
    page.extend(rest);
    page
}

struct Element {
    flags: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Writer {
    fn next_id(&self) -> u64 {
        3 + (self.pages.len() / self.page_size) as u64
    }

    fn add(&mut self, flags: u16, count: usize, rest: &[u8]) -> u64 {
        let id = self.next_id();
        let overflow = (16 + rest.len()).div_ceil(self.page_size) - 1;
        let page = page(id, flags, count as u16, overflow as u32, rest);
        self.pages.extend(page);
        let filled = self.pages.len().next_multiple_of(self.page_size);
        self.pages.resize(filled, 0);
        id
    }

    /// The page of the root of a bucket.
    fn pages_of(&mut self, bucket: &BTreeMap<Vec<u8>, Node>) -> u64 {
        let elements: Vec<Element> = bucket
            .iter()
            .map(|(key, node)| self.element(key, node))
            .collect();
        let mut level: Vec<(Vec<u8>, u64)> = Vec::new();
        for some in self.split(&elements, |it| 16 + it.key.len() + it.value.len()) {
            let id = self.add(2, some.len(), &leaf(some));
            let first = some.first().map_or(Vec::new(), |it| it.key.clone());
            level.push((first, id));
        }
        while level.len() > 1 {
            let mut above = Vec::new();
            for some in self.split(&level, |it| 16 + it.0.len()) {
                let id = self.add(1, some.len(), &branch(some));
                above.push((some[0].0.clone(), id));
            }
            level = above;
        }
        level[0].1
    }

    fn split<'e, T>(&self, all: &'e [T], size: impl Fn(&T) -> usize) -> Vec<&'e [T]> {
        let (mut parts, mut start, mut sum) = (Vec::new(), 0, 16);
        for (n, it) in all.iter().enumerate() {
            if n - start >= 2 && sum + size(it) > self.page_size {
                parts.push(&all[start..n]);
                (start, sum) = (n, 16);
            }
            sum += size(it);
        }
        parts.push(&all[start..]);
        parts
    }

    fn element(&mut self, key: &[u8], node: &Node) -> Element {
        let key = key.to_vec();
        match node {
            Node::Value(value) => Element {
                flags: 0,
                key,
                value: value.clone(),
            },
            Node::Bucket(bucket) => {
                let mut value = Vec::new();
                match self.inline(bucket) {
                    Some(inline) => {
                        value.extend([0; 16]);
                        value.extend(page(0, 2, bucket.len() as u16, 0, &inline));
                    }
                    None => {
                        value.extend(self.pages_of(bucket).to_le_bytes());
                        value.extend([0; 8]);
                    }
                }
                Element {
                    flags: 1,
                    key,
                    value,
                }
            }
        }
    }

    /// What follows the header of an inline page, for a small bucket without buckets.
    fn inline(&self, bucket: &BTreeMap<Vec<u8>, Node>) -> Option<Vec<u8>> {
        let of_value = |(key, node): (&Vec<u8>, &Node)| match node {
            Node::Value(value) => Some(Element {
                flags: 0,
                key: key.clone(),
                value: value.clone(),
            }),
            Node::Bucket(_) => None,
        };
        let elements: Option<Vec<Element>> = bucket.iter().map(of_value).collect();
        let bytes = leaf(&elements?);
        (16 + bytes.len() <= self.page_size / 4).then_some(bytes)
    }
}

fn leaf(elements: &[Element]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (n, it) in elements.iter().enumerate() {
        let at = (elements.len() - n) * 16 + data.len();
        for number in [
            it.flags,
            at as u32,
            it.key.len() as u32,
            it.value.len() as u32,
        ] {
            heads.extend(number.to_le_bytes());
        }
        data.extend(&it.key);
        data.extend(&it.value);
    }
    [heads, data].concat()
}

fn branch(children: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (n, (key, id)) in children.iter().enumerate() {
        let at = (children.len() - n) * 16 + data.len();
        heads.extend((at as u32).to_le_bytes());
        heads.extend((key.len() as u32).to_le_bytes());
        heads.extend(id.to_le_bytes());
        data.extend(key);
    }
    [heads, data].concat()
}
