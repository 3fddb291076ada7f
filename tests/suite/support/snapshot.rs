//! What a tree is, and what it must be after a shift.

use super::PYTHON;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::{output, script};

/// Everything about every inode of a tree that the program could have changed.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// As printed. Two that are the same text need not be looked into, which takes long for large
    /// trees.
    text: Vec<u8>,
    lines: OnceCell<Lines>,
}

/// The lines of a snapshot by path.
pub type Lines = BTreeMap<Vec<u8>, Value>;

impl Snapshot {
    /// Of a tree as it is now.
    pub fn of(tree: &Path) -> Snapshot {
        let script = script("snapshot.py");
        Snapshot {
            text: output(PYTHON, [script.as_os_str(), tree.as_os_str()]).stdout,
            lines: OnceCell::new(),
        }
    }

    /// As it was printed into a file.
    pub fn read(file: &Path) -> Snapshot {
        Snapshot {
            text: std::fs::read(file).expect("a snapshot"),
            lines: OnceCell::new(),
        }
    }

    fn from_lines(lines: Lines) -> Snapshot {
        let text = lines
            .values()
            .flat_map(|line| format!("{line}\n").into_bytes());
        Snapshot {
            text: text.collect(),
            lines: lines.into(),
        }
    }

    pub fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| {
            let lines = serde_json::Deserializer::from_slice(&self.text).into_iter::<Value>();
            let lines = lines.map(|line| line.expect("a line of JSON"));
            lines.map(|line| (path_of(&line), line)).collect()
        })
    }

    /// What it must be after a shift through this map.
    pub fn shifted(&self, maps: &[&str]) -> Snapshot {
        self.expect(maps)
    }

    /// What it must be after a shift out of this map.
    pub fn shifted_back(&self, maps: &[&str]) -> Snapshot {
        let args: Vec<&str> = ["--reverse"].iter().chain(maps).copied().collect();
        self.expect(&args)
    }

    fn expect(&self, args: &[&str]) -> Snapshot {
        let mut child = Command::new(PYTHON)
            .arg(script("expect.py"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut stdin = child.stdin.take().expect("its stdin");
        let text = self.text.clone();
        // Beside the reading: neither side's pipe may fill up.
        let writing = std::thread::spawn(move || stdin.write_all(&text));
        let output = child.wait_with_output().expect("expect.py ends");
        assert!(output.status.success(), "expect.py: {}", output.status);
        writing
            .join()
            .expect("no panic")
            .expect("expect.py reads all");
        Snapshot {
            text: output.stdout,
            lines: OnceCell::new(),
        }
    }

    /// With changes made by hand.
    pub fn edited(self, edit: impl FnOnce(&mut Lines)) -> Snapshot {
        let mut lines = self.lines().clone();
        edit(&mut lines);
        Snapshot::from_lines(lines)
    }

    /// With the paths that `which` picks as they are in `other`.
    pub fn with(self, other: &Snapshot, which: impl Fn(&[u8]) -> bool) -> Snapshot {
        self.edited(|lines| {
            for (path, line) in lines {
                if which(path) {
                    line.clone_from(&other.lines()[path]);
                }
            }
        })
    }

    /// Without the paths that `which` picks.
    pub fn without(self, which: impl Fn(&[u8]) -> bool) -> Snapshot {
        self.edited(|lines| lines.retain(|path, _| !which(path)))
    }

    /// Inode numbers, each once.
    pub fn inodes(&self) -> BTreeSet<u64> {
        self.lines().values().map(ino).collect()
    }

    /// Inode numbers of those that are otherwise in `other`.
    pub fn differing_inodes(&self, other: &Snapshot) -> BTreeSet<u64> {
        let differ = |(path, line): &(&Vec<u8>, &Value)| other.lines().get(*path) != Some(*line);
        self.lines()
            .iter()
            .filter(differ)
            .map(|(_, line)| ino(line))
            .collect()
    }

    /// The line of one path.
    #[track_caller]
    pub fn at(&self, path: &str) -> &Value {
        self.lines()
            .get(path.as_bytes())
            .unwrap_or_else(|| panic!("{path} is not in the snapshot"))
    }
}

fn ino(line: &Value) -> u64 {
    line["ino"].as_u64().expect("an inode number")
}

/// The bytes of a line's path.
pub fn path_of(line: &Value) -> Vec<u8> {
    match (line["path"].as_str(), line["path"]["b64"].as_str()) {
        (Some(text), _) => text.into(),
        (_, Some(text)) => BASE64.decode(text).expect("base64"),
        _ => panic!("a line without a path: {line}"),
    }
}

/// Differences that are printed.
const SHOWN: usize = 20;

/// Compares field by field; says what differs.
#[track_caller]
pub fn assert_same(expected: &Snapshot, found: &Snapshot, when: &str) {
    if expected.text == found.text || expected.lines() == found.lines() {
        return;
    }
    let mut text = String::new();
    let mut count = 0;
    let paths: BTreeSet<_> = expected
        .lines()
        .keys()
        .chain(found.lines().keys())
        .collect();
    for path in paths {
        let differences = differences(expected.lines().get(path), found.lines().get(path));
        if differences.is_empty() {
            continue;
        }
        count += 1;
        if count <= SHOWN {
            let shown: String = path.escape_ascii().to_string().chars().take(300).collect();
            let _ = writeln!(text, "{shown}{differences}");
        }
    }
    panic!(
        "{when}: {count} of {} paths are not as expected\n{text}",
        expected.lines().len()
    );
}

fn differences(expected: Option<&Value>, found: Option<&Value>) -> String {
    let (Some(expected), Some(found)) = (expected, found) else {
        return match expected {
            Some(_) => "\n    is missing".into(),
            None => "\n    is new".into(),
        };
    };
    let mut text = String::new();
    let (a, b) = (flat(expected), flat(found));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    for key in keys {
        if a.get(key) != b.get(key) {
            let show = |value: Option<&Value>| value.map_or("none".into(), Value::to_string);
            let _ = write!(
                text,
                "\n    {key}: expected {}, found {}",
                show(a.get(key)),
                show(b.get(key))
            );
        }
    }
    text
}

/// The fields of a line, each xattr one of them.
fn flat(line: &Value) -> BTreeMap<String, Value> {
    let mut fields: BTreeMap<String, Value> = line
        .as_object()
        .expect("an object")
        .clone()
        .into_iter()
        .collect();
    if let Some(Value::Object(xattrs)) = fields.remove("xattrs") {
        fields.extend(xattrs);
    }
    fields
}
