//! What differs of one path.

use serde::Serialize;
use serde_json::{Map, Value};

use super::side::State;
use crate::fs::escape::one_line;
use crate::journal::{Name, Transition};

/// A path, or a setting, that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path, or the name of the setting.
    pub what: Name,
    /// What the first file says; nothing where it does not name it.
    pub first: Option<String>,
    /// What the second file says.
    pub second: Option<String>,
}

impl Difference {
    pub(super) fn between(
        what: &[u8],
        first: Option<&State>,
        second: Option<&State>,
    ) -> Option<Difference> {
        if first == second {
            return None;
        }
        let (first, second) = match (first, second) {
            (Some(State::Change(a)), Some(State::Change(b))) => {
                let (a, b) = fields_that_differ(a, b);
                (Some(a), Some(b))
            }
            (a, b) => (a.map(whole), b.map(whole)),
        };
        Some(Difference {
            what: Name(what.to_vec()),
            first,
            second,
        })
    }

    pub(super) fn of_texts(
        what: &str,
        first: Option<&String>,
        second: Option<&String>,
    ) -> Option<Difference> {
        (first != second).then(|| Difference {
            what: Name(what.as_bytes().to_vec()),
            first: first.cloned(),
            second: second.cloned(),
        })
    }
}

fn whole(state: &State) -> String {
    match state {
        State::Change(transition) => {
            let (before, after) = (&transition.change.before, &transition.change.after);
            format!(
                "{}:{} {} becomes {}:{}",
                before.uid, before.gid, before.mode, after.uid, after.gid
            )
        }
        State::Left(note, reason) => format!("{}: {}", one_line(note), one_line(reason)),
        State::Text(text) => text.clone(),
    }
}

/// Members of a change, those after it with `new` before their name.
fn fields(transition: &Transition) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("type".into(), value(&transition.file_type));
    let sides = [
        ("", &transition.change.before),
        ("new ", &transition.change.after),
    ];
    for (prefix, ownership) in sides {
        if let Value::Object(members) = value(ownership) {
            let named = members.into_iter();
            all.extend(named.map(|(name, value)| (format!("{prefix}{name}"), value)));
        }
    }
    all
}

/// Where what was before differs, what becomes of it does, too, and need not be said.
fn fields_that_differ(a: &Transition, b: &Transition) -> (String, String) {
    let (one, other) = (fields(a), fields(b));
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differs = |name: &&String| one.get(*name) != other.get(*name);
    let names: Vec<&String> = names.into_iter().filter(differs).collect();
    let before: Vec<&String> = names
        .iter()
        .copied()
        .filter(|name| !name.starts_with("new "))
        .collect();
    let names = if before.is_empty() { names } else { before };
    let text = |of: &Map<String, Value>| {
        let said = names.iter().map(|name| match of.get(*name) {
            Some(Value::String(text)) => format!("{name} {text}"),
            Some(value) => format!("{name} {value}"),
            None => format!("no {name}"),
        });
        said.collect::<Vec<_>>().join(", ")
    };
    match names.is_empty() {
        // Flags alone.
        true => (format!("flags {:?}", a.held), format!("flags {:?}", b.held)),
        false => (text(&one), text(&other)),
    }
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}
