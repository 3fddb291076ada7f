//! YAML as a tree with lines, of bounded size and depth. Files are anybody's work: an alias may stand for many nodes, and
//! those count.

mod merge_key;

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use self::merge_key::merged;
use crate::volume::binds::BindsError;

/// Files that are larger were not written by a person.
pub const MOST_BYTES: usize = 4 << 20;
/// Nodes of one file, with those that aliases stand for.
const MOST_NODES: usize = 200_000;
/// Mappings and lists in each other.
const MOST_DEPTH: usize = 64;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// From 1.
    pub line: usize,
    /// A tag of the program's own, such as `!reset`.
    pub tag: Option<String>,
    /// A text without quotes.
    pub is_plain: bool,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar, as it is written.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the text's order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key; `None` also where it is null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .find(|(name, node)| name == key && node.data != Data::Null)
            .map(|(_, node)| node)
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> impl Iterator<Item = &(String, Node)> {
        match &self.data {
            Data::Map(entries) => entries.iter(),
            _ => [].iter(),
        }
    }
}

/// The documents of a text.
///
/// # Errors
/// It is no YAML, or too much.
pub fn documents(text: &str, file: &str) -> Result<Vec<Node>, BindsError> {
    if text.len() > MOST_BYTES {
        return Err(BindsError::new(file, "is larger than 4 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        budget: MOST_NODES,
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let reason = format!("is not YAML: {}", error.info());
            BindsError::at(file, error.marker().line(), reason)
        })?;
        builder.event(event, span.start.line())?;
    }
    Ok(builder.documents)
}

/// A mapping or list that is not complete.
struct Open {
    line: usize,
    anchor: usize,
    tag: Option<String>,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        keys: HashSet<String>,
        key: Option<String>,
    },
}

struct Builder<'a> {
    file: &'a str,
    budget: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: Vec<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), BindsError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let is_null = is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let tag = own_tag(tag.as_deref());
                if let Some(tag) = tag.as_ref().filter(|_| is_null) {
                    // `!reset null` takes away what an earlier file says; a null alone says nothing.
                    return Err(self.bad(line, only_compose_resolves(tag)));
                }
                let node = Node {
                    data: match is_null {
                        true => Data::Null,
                        false => Data::Text(text.into_owned()),
                    },
                    line,
                    tag,
                    is_plain,
                };
                self.add(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(line, anchor, tag.as_deref(), OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = OpenKind::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    key: None,
                };
                self.begin(line, anchor, tag.as_deref(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(self.bad(line, "an alias stands for what it is part of"));
                };
                let (size, height) = measure(node);
                if self.open.len() + height > MOST_DEPTH {
                    return Err(self.bad(line, "is too deep"));
                }
                self.spend(size, line)?;
                let node = self.anchors[&anchor].clone();
                self.add(node, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(
        &mut self,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
        kind: OpenKind,
    ) -> Result<(), BindsError> {
        if self.open.len() >= MOST_DEPTH {
            return Err(self.bad(line, "is too deep"));
        }
        let tag = own_tag(tag);
        self.open.push(Open {
            line,
            anchor,
            tag,
            kind,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), BindsError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let Open {
            line,
            anchor,
            tag,
            kind,
        } = open;
        let data = match kind {
            OpenKind::List(items) => Data::List(items),
            OpenKind::Map { entries, .. } => {
                Data::Map(merged(entries).map_err(|why| self.bad(line, why.to_string()))?)
            }
        };
        let node = Node {
            data,
            line,
            tag,
            is_plain: false,
        };
        self.add(node, anchor)
    }

    /// A node that is complete goes into what is open.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), BindsError> {
        let line = node.line;
        self.spend(1, line)?;
        if anchor != 0 {
            self.spend(measure(&node).0, line)?;
            self.anchors.insert(anchor, node.clone());
        }
        let file = self.file;
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, keys, key } => match key.take() {
                Some(name) => entries.push((name, node)),
                None => {
                    let name = match node.data {
                        Data::Text(name) => name,
                        Data::Null => "null".into(),
                        _ => return Err(BindsError::at(file, line, "has a key that is not text")),
                    };
                    if !keys.insert(name.clone()) {
                        let reason = format!("has the key {name:?} twice");
                        return Err(BindsError::at(file, line, reason));
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }

    fn spend(&mut self, nodes: usize, line: usize) -> Result<(), BindsError> {
        match self.budget.checked_sub(nodes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(self.bad(
                line,
                "has more than 200,000 values, with those of its aliases",
            )),
        }
    }

    fn bad(&self, line: usize, reason: impl Into<String>) -> BindsError {
        BindsError::at(self.file, line, reason)
    }
}

/// Why a tag such as `!reset` is refused.
pub fn only_compose_resolves(tag: &str) -> String {
    format!("{tag:?} is resolved by `docker compose` only: install it")
}

fn own_tag(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema())
        .map(ToString::to_string)
}

/// How many nodes, and how deep they are in each other.
fn measure(node: &Node) -> (usize, usize) {
    let inner: Vec<(usize, usize)> = match &node.data {
        Data::Null | Data::Text(_) => return (1, 1),
        Data::List(items) => items.iter().map(measure).collect(),
        Data::Map(entries) => entries.iter().map(|(_, node)| measure(node)).collect(),
    };
    let size: usize = inner.iter().map(|(size, _)| size).sum();
    let height = inner.iter().map(|(_, height)| *height).max().unwrap_or(0);
    (1 + size, 1 + height)
}

#[cfg(test)]
mod tests;
