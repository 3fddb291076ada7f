//! What a file says of each path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use indexmap::IndexSet;
use serde_json::Value;

use super::super::contents::{encoded_path, shown};
use super::super::error::ReportError;
use super::super::source::ReportSource;
use crate::fs::escape::one_line;
use crate::journal::manifest::{self, ManifestLine};
use crate::journal::root_line::RootLine;
use crate::journal::{Journal, Transition};

/// What is said of a path, or of a member of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It changes.
    Change(Transition),
    /// It stays as it is: the kind of note, and why.
    Left(String, String),
    /// A value of an audit.
    Text(String),
}

/// One of two files.
#[derive(Debug, Default)]
pub struct Side {
    /// `a manifest`
    pub kind: &'static str,
    /// The file, as it is named.
    pub name: String,
    /// `host, 2026-01-02T03:04:05Z`
    pub origin: String,
    pub trees: Vec<Vec<u8>>,
    pub settings: BTreeMap<String, String>,
    /// Most inodes of a tree share a few states.
    states: IndexSet<State>,
    pub entries: BTreeMap<Vec<u8>, usize>,
    /// Paths whose inode has several hard links, and may be listed by another of them elsewhere: how many.
    linked: BTreeMap<Vec<u8>, u32>,
    pub steps: BTreeSet<String>,
}

impl Side {
    /// Reads a file of any kind that a report is made of.
    pub fn read(path: &Path) -> Result<Side, ReportError> {
        let mut side = match ReportSource::of(path)? {
            ReportSource::Manifest => of_manifest(path)?,
            ReportSource::Journal => of_journal(path)?,
            ReportSource::Audit(object) => of_audit(&object),
        };
        side.name = shown(path.as_os_str().as_encoded_bytes());
        Ok(side)
    }

    pub fn state(&self, key: &[u8]) -> Option<&State> {
        self.states.get_index(*self.entries.get(key)?)
    }

    /// Names each path by the way from its tree.
    pub fn name_from_tree(&mut self) {
        let [tree] = &self.trees[..] else { return };
        let below = |path: Vec<u8>| match path.strip_prefix(&tree[..]) {
            Some([]) => b".".to_vec(),
            Some(rest) => rest.strip_prefix(b"/").unwrap_or(rest).to_vec(),
            None => path,
        };
        let entries = std::mem::take(&mut self.entries).into_iter();
        self.entries = entries.map(|(path, state)| (below(path), state)).collect();
        let linked = std::mem::take(&mut self.linked);
        self.linked = linked
            .into_iter()
            .map(|(path, links)| (below(path), links))
            .collect();
        self.settings.remove("trees");
    }

    /// Entries of this side alone whose inode may be listed by another name in the other.
    fn linked_and_not_in<'s>(
        &'s self,
        other: &Side,
    ) -> impl Iterator<Item = (&'s Vec<u8>, (&'s State, u32))> {
        let alone = self.linked.iter();
        let alone = alone.filter(|(path, _)| !other.entries.contains_key(*path));
        alone.filter_map(|(path, links)| Some((path, (self.state(path)?, *links))))
    }

    fn add(&mut self, path: Vec<u8>, state: State) {
        let (index, _) = self.states.insert_full(state);
        self.entries.insert(path, index);
    }

    fn take_trees(&mut self, roots: &[RootLine]) {
        let trees = roots.iter().filter(|root| !root.steps_only);
        self.trees = trees.map(|root| root.path.0.clone()).collect();
        let names: Vec<String> = self.trees.iter().map(|tree| shown(tree)).collect();
        self.settings.insert("trees".into(), names.join(", "));
    }
}

/// Removes from both what they list by different names: an inode with several hard links is listed
/// by the one that was found first, and two walks find them in different orders. Such inodes have the
/// same state and as many links. Returns their number.
pub fn take_out_linked(a: &mut Side, b: &mut Side) -> u64 {
    let mut alike: HashMap<(&State, u32), Vec<&Vec<u8>>> = HashMap::new();
    for (path, inode) in b.linked_and_not_in(a) {
        alike.entry(inode).or_default().push(path);
    }
    let pairs = a.linked_and_not_in(b).filter_map(|(path, inode)| {
        let other = alike.get_mut(&inode)?.pop()?;
        Some((path.clone(), other.clone()))
    });
    let pairs: Vec<_> = pairs.collect();
    for (one, other) in &pairs {
        a.entries.remove(one);
        b.entries.remove(other);
    }
    pairs.len() as u64
}

fn of_manifest(path: &Path) -> Result<Side, ReportError> {
    let mut side = Side {
        kind: "a manifest",
        ..Side::default()
    };
    let (mut roots, mut is_whole) = (Vec::new(), false);
    for line in manifest::lines(path)? {
        match line?.1 {
            ManifestLine::Header(header) => {
                side.origin = format!("{}, {:.0}", one_line(&header.host), header.time);
                side.settings.insert("map".into(), header.map.to_string());
                let direction = header.direction.to_string();
                side.settings.insert("direction".into(), direction);
                let options = serde_json::to_string(&header.walk).unwrap_or_default();
                side.settings.insert("options".into(), options);
                side.take_trees(&header.roots);
                roots = header.roots;
            }
            ManifestLine::Change(change) => {
                let transition = Transition {
                    file_type: change.file_type,
                    change: crate::ownership::Change {
                        before: change.before,
                        after: change.after,
                    },
                    held: change.flags,
                };
                let path = change.path.0;
                let linked = change.links.map(|links| (path.clone(), links));
                side.linked.extend(linked);
                side.add(path, State::Change(transition));
            }
            ManifestLine::Note(note) => {
                let path = note.path.0;
                let linked = note.links.map(|links| (path.clone(), links));
                side.linked.extend(linked);
                side.add(path, State::Left(note.note, note.reason));
            }
            ManifestLine::Step(step) => _ = side.steps.insert(one_line(&step.describe(&roots))),
            ManifestLine::Summary(_) => is_whole = true,
        }
    }
    match is_whole {
        true => Ok(side),
        false => Err(ReportError::bad(
            path,
            "it has no summary, so it is incomplete",
        )),
    }
}

fn of_journal(path: &Path) -> Result<Side, ReportError> {
    let journal = Journal::open(path)?;
    let header = &journal.header;
    let mut side = Side {
        kind: "a journal",
        origin: format!("{}, {:.0}", one_line(&header.host), header.time),
        ..Side::default()
    };
    let settings = [
        ("map", header.map.to_string()),
        ("direction", header.direction.to_string()),
        ("command", one_line(header.command.name())),
        ("state", journal.state.to_string()),
    ];
    side.settings
        .extend(settings.map(|(name, value)| (name.to_string(), value)));
    side.take_trees(&header.roots);
    journal.for_each_change(|it| {
        let path = it.path().into_os_string().into_encoded_bytes();
        side.add(path, State::Change(it.transition.clone()));
        Ok::<(), ReportError>(())
    })?;
    let steps = journal.steps.iter();
    side.steps = steps
        .map(|step| one_line(&step.describe(&header.roots)))
        .collect();
    Ok(side)
}

/// Members that differ from run to run, and say nothing of the host.
const MEASURED: [&str; 3] = ["seconds", "journal_bytes", "running"];

fn of_audit(object: &serde_json::Map<String, Value>) -> Side {
    let mut side = Side {
        kind: "an audit",
        origin: "docker audit".into(),
        ..Side::default()
    };
    for (name, value) in object {
        flatten(&mut side, name, value);
    }
    side
}

/// A member of a member as `work.inodes`, one of a list as `findings[kernel]`.
fn flatten(side: &mut Side, name: &str, value: &Value) {
    if MEASURED.iter().any(|measured| name.ends_with(measured)) {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(path) = encoded_path(value) {
                return side.add(name.into(), State::Text(path));
            }
            for (member, value) in members {
                flatten(side, &format!("{name}.{member}"), value);
            }
        }
        Value::Array(all) => {
            let mut had: HashMap<String, usize> = HashMap::new();
            for (n, one) in all.iter().enumerate() {
                let key = key(one).unwrap_or_else(|| n.to_string());
                let count = had.entry(key.clone()).or_default();
                *count += 1;
                let key = match *count {
                    1 => key,
                    nth => format!("{key} #{nth}"),
                };
                flatten(side, &format!("{name}[{key}]"), one);
            }
        }
        Value::String(text) => side.add(name.into(), State::Text(one_line(text))),
        other => side.add(name.into(), State::Text(other.to_string())),
    }
}

/// What tells an item of a list from the others, on any host: whose it is and where, or else what it is of.
fn key(item: &Value) -> Option<String> {
    let text = |name: &&str| {
        let value = &item[*name];
        encoded_path(value).or_else(|| value.as_str().map(one_line))
    };
    let owner = ["container", "volume", "command"].iter().find_map(text);
    // What a container has in a place differs.
    let place = ["destination", "source", "path"].iter().find_map(text);
    let words: Vec<String> = owner.into_iter().chain(place).collect();
    match words.is_empty() {
        true => text(&"what"),
        false => Some(words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Members of an audit by the names that they are compared by.
    fn members(audit: &Value) -> Vec<(String, String)> {
        let side = of_audit(audit.as_object().unwrap());
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let text = |key: &[u8]| match side.state(key) {
            Some(State::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        let keys = side.entries.keys();
        keys.map(|key| (name(key), text(key))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs.map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    #[test]
    fn each_item_of_a_list_is_compared() {
        let audit = json!({
            "bind_mounts": [
                {"container": "web", "source": "/srv/a", "destination": "/a"},
                {"container": "web", "source": {"b64": "L3Nydi/k"}, "destination": "/x"},
            ],
            "containers": [
                {"container": "db", "why": "is privileged"},
                {"container": "db", "why": "uses the host's network"},
            ],
            "findings": [{"what": "filesystems", "found": "one"}, {"what": "filesystems", "found": "two"}],
            "volumes_elsewhere": [
                {"volume": "a", "what": "a symlink to /srv"},
                {"volume": "b", "what": "a symlink to /srv"},
            ],
        });
        let expected = [
            ("bind_mounts[web /a].container", "web"),
            ("bind_mounts[web /a].destination", "/a"),
            ("bind_mounts[web /a].source", "/srv/a"),
            ("bind_mounts[web /x].container", "web"),
            ("bind_mounts[web /x].destination", "/x"),
            ("bind_mounts[web /x].source", "/srv/\u{fffd}"),
            ("containers[db #2].container", "db"),
            ("containers[db #2].why", "uses the host's network"),
            ("containers[db].container", "db"),
            ("containers[db].why", "is privileged"),
            ("findings[filesystems #2].found", "two"),
            ("findings[filesystems #2].what", "filesystems"),
            ("findings[filesystems].found", "one"),
            ("findings[filesystems].what", "filesystems"),
            ("volumes_elsewhere[a].volume", "a"),
            ("volumes_elsewhere[a].what", "a symlink to /srv"),
            ("volumes_elsewhere[b].volume", "b"),
            ("volumes_elsewhere[b].what", "a symlink to /srv"),
        ];
        assert_eq!(members(&audit), pairs(&expected));
    }
}
