//! Pure: JSON as an engine, a program in Go, understands it. Go takes `privileged` for `Privileged`, and merges members that are
//! there twice, where other readers see the last one. Whoever is to know what an engine reads must not differ from it.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value whose members are in lower case. None has a member twice, or one that is not ASCII.
pub struct Strict(pub Value);

/// The object that a text is, with members in lower case.
///
/// # Errors
/// It is not JSON, not an object, or not to be understood in one way only.
pub fn object(text: &str) -> serde_json::Result<Map<String, Value>> {
    match serde_json::from_str(text)? {
        Strict(Value::Object(members)) => Ok(members),
        Strict(_) => Err(serde_json::Error::custom("it is not an object")),
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        let number = Number::from_f64(it).ok_or_else(|| E::custom("a number is too large"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::String(it.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if !name.is_ascii() {
                return Err(A::Error::custom(format!(
                    "the member {name:?} is not ASCII"
                )));
            }
            if all.insert(name.to_ascii_lowercase(), value).is_some() {
                return Err(A::Error::custom(format!(
                    "it has the member {name:?} twice"
                )));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_would_take_for_different_things_is_refused() {
        let read = object(r#"{"Privileged":true,"State":{"PID":1},"A":[{"B":1.5}]}"#).unwrap();
        let expected: Value =
            serde_json::from_str(r#"{"privileged":true,"state":{"pid":1},"a":[{"b":1.5}]}"#)
                .unwrap();
        assert_eq!(Value::Object(read), expected);
        for bad in [
            r#"{"Privileged":false,"privileged":true}"#,
            r#"{"State":{"Running":true},"State":{}}"#,
            r#"{"a":{"x":1,"X":1}}"#,
            "{\"Binds\u{212a}\":1}",
            "[]",
            "{} {}",
            "{",
        ] {
            assert!(object(bad).is_err(), "{bad}");
        }
    }
}
