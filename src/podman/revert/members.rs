//! Pure: which members a text of Podman's may have. Members are in lower case, as Podman, a program in Go, reads them in any
//! case (`json`). A member that is not known must be empty: a later Podman may have given it a meaning.

use serde_json::{Map, Value};

use crate::docker::rootless::revert::json::{Strict, object};

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

#[cfg(test)]
mod tests {
    use super::*;

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
