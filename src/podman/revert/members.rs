//! Pure: which members a text of Podman's may have. Members are in lower case, as Podman, a program in Go, reads them in any
//! case (`json`). A member that is not known must be empty: a later Podman may have given it a meaning.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::store_move::untrusted::json::{Strict, object};

/// The object that a text is.
///
/// # Errors
/// It is not to be understood in one way only.
pub(super) fn of_text(text: &str) -> serde_json::Result<Map<String, Value>> {
    object(text)
}

/// The objects that are listed in a text; an empty text has none.
///
/// # Errors
/// It is not a list of objects, or not to be understood in one way only.
pub(super) fn listed(text: &str) -> serde_json::Result<Vec<Map<String, Value>>> {
    use serde::de::Error;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let Strict(all) = serde_json::from_str(text)?;
    let of_list = match all {
        Value::Array(all) => all,
        Value::Null => Vec::new(),
        _ => return Err(serde_json::Error::custom("it is not a list")),
    };
    let objects = of_list.into_iter().map(|it| match it {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("it lists what is no object")),
    });
    objects.collect()
}

/// The first member that is neither empty nor fine.
pub(super) fn first_bad<'a>(
    members: &'a Map<String, Value>,
    is_fine: &dyn Fn(&str, &Value) -> bool,
) -> Option<&'a str> {
    let mut bad = members
        .iter()
        .filter(|(name, value)| !is_empty(value) && !is_fine(name, value));
    bad.next().map(|(name, _)| name.as_str())
}

/// Names of members that are not fine, each after those above it: `spec.linux.devices`. An empty name is the value itself.
pub(super) type UnknownMembers = Vec<String>;

/// The value itself is wrong, unless it is fine.
pub(super) fn unless(is_fine: bool) -> UnknownMembers {
    match is_fine {
        true => Vec::new(),
        false => vec![String::new()],
    }
}

/// What is wrong in a member of this name.
pub(super) fn below(name: &str, wrong: UnknownMembers) -> impl Iterator<Item = String> {
    wrong.into_iter().map(move |below| match below.as_str() {
        "" => name.to_string(),
        below => format!("{name}.{below}"),
    })
}

/// What is wrong with the members of an object that are set.
pub(super) fn wrong(
    value: &Value,
    check: &dyn Fn(&str, &Value) -> UnknownMembers,
) -> UnknownMembers {
    let Value::Object(members) = value else {
        return unless(is_unset(value));
    };
    let set = members.iter().filter(|(_, value)| !is_unset(value));
    set.flat_map(|(name, value)| below(name, check(name, value)))
        .collect()
}

/// What nobody set, with objects of which nobody set a member.
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Object(all) => all.values().all(is_unset),
        other => is_empty(other),
    }
}

/// Whether this is a list of such values, or nothing.
pub(super) fn all(value: &Value, is_fine: impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(all) => all.iter().all(is_fine),
        other => is_empty(other),
    }
}

/// Whether this is a list of such texts, or nothing.
pub(super) fn all_texts(value: &Value, is_fine: impl Fn(&str) -> bool) -> bool {
    all(value, |it| it.as_str().is_some_and(&is_fine))
}

/// What a member has that nobody set.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

/// An id of containers/storage: 64 hexadecimal digits. It becomes a part of paths.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// A time as Go writes it (RFC 3339).
pub(super) fn is_time(value: &Value) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"-:.+TZ".contains(&byte);
    value.as_str().is_some_and(|text| {
        text.bytes().all(is_part) && text.contains('T') && text.parse::<Timestamp>().is_ok()
    })
}

/// An id of a user or a group.
pub(super) fn is_owner(value: &Value) -> bool {
    value.as_u64().is_some_and(|id| id < u64::from(u32::MAX))
}

/// A list of such values.
pub(super) fn is_list_of(value: &Value, is_fine: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(is_fine))
}

/// An object with such values.
pub(super) fn is_object_of(value: &Value, is_fine: impl Fn(&Value) -> bool) -> bool {
    value
        .as_object()
        .is_some_and(|all| all.values().all(is_fine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_that_go_reads() {
        for (text, expected) in [
            ("2026-11-29T11:07:54.123456789Z", true),
            ("2026-11-29T11:07:54+01:00", true),
            ("0001-01-01T00:00:00Z", true),
            ("2026-11-29 11:07:54Z", false),
            ("2026-11-29T11:07:54Z[Europe/Paris]", false),
            ("yesterday", false),
            ("", false),
        ] {
            assert_eq!(is_time(&text.into()), expected, "{text}");
        }
        assert!(!is_time(&1.into()));
        assert!(is_owner(&0.into()) && !is_owner(&u32::MAX.into()) && !is_owner(&(-1).into()));
    }

    #[test]
    fn what_is_not_known_must_be_empty() {
        let fine = |name: &str, _: &Value| name == "id";
        for (text, expected) in [
            (r#"{"ID":"x","flags":{},"a":null,"b":0,"c":""}"#, None),
            (r#"{"id":"x","Flags":{"incomplete":false}}"#, Some("flags")),
            (r#"{"id":"x","b":1}"#, Some("b")),
        ] {
            let members = of_text(text).unwrap();
            assert_eq!(first_bad(&members, &fine), expected, "{text}");
        }
        assert_eq!(listed("").unwrap().len() + listed("null").unwrap().len(), 0);
        assert_eq!(listed(r#"[{"id":1},{}]"#).unwrap().len(), 2);
        for bad in ["{}", "[1]", r#"[{"id":1,"ID":2}]"#, "["] {
            assert!(listed(bad).is_err(), "{bad}");
        }
        let id = "0".repeat(63) + "f";
        assert!(is_id(&id));
        for bad in ["", "..", &id[1..], &format!("{}/", &id[1..])] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
