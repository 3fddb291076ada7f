//! `$VAR`, `${VAR:-default}` and the like in a value, as Compose replaces them.

use thiserror::Error;

/// Longer values are none of a path or a user.
const MOST: usize = 64 << 10;
/// Defaults in each other.
const MOST_DEPTH: usize = 16;

/// Why a value is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InterpolateError {
    /// Compose would use an empty text; idshift does not guess.
    #[error(
        "the variable {0} is not set. Set it in .env beside the file or in the environment (sudo drops it: `sudo {0}=… idshift …`), or give it a default: ${{{0}:-…}}"
    )]
    Unset(String),
    /// `${VAR:?message}`
    #[error("the variable {0} is required: {1:?}")]
    Required(String, String),
    /// A variable's own value cannot be read.
    #[error("the variable {0}: {1}")]
    Unreadable(String, #[source] VariableError),
    /// It is no reference to a variable.
    #[error("{0:?} is not a reference to a variable; for a dollar sign, write $$")]
    Syntax(String),
    /// It is too long, or too deep.
    #[error("is too long")]
    TooLong,
}

/// Why the value of a variable cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VariableError {
    /// The environment has bytes that are no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// `sudo` and the like have set it to that of root; with what helps.
    #[error("{0}")]
    Replaced(String),
    /// It is written in a way that is not understood.
    #[error("line {line} of {file} cannot be read")]
    Line {
        /// From 1.
        line: usize,
        /// As people can read it.
        file: String,
    },
    /// It has a reference that cannot be replaced.
    #[error("line {line} of {file} cannot be read: {source}")]
    Reference {
        /// From 1.
        line: usize,
        /// As people can read it.
        file: String,
        /// Why.
        source: Box<InterpolateError>,
    },
}

/// The value of a variable, or why it cannot be read.
pub type Variable = Result<String, VariableError>;

/// A variable; `None`: it is not set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<Variable> + 'a;

/// The value with its variables replaced.
///
/// # Errors
/// [`InterpolateError`]
pub fn interpolate(text: &str, lookup: &Lookup<'_>) -> Result<String, InterpolateError> {
    replaced(text, lookup, MOST_DEPTH)
}

/// Interpolates; a variable whose value is not known is an empty text, as for Compose. For what decides nothing then.
///
/// # Errors
/// [`InterpolateError`]
pub fn interpolate_or_empty(text: &str, lookup: &Lookup<'_>) -> Result<String, InterpolateError> {
    let mut empty: Vec<String> = Vec::new();
    loop {
        let known = |name: &str| match empty.iter().any(|it| it == name) {
            true => Some(Ok(String::new())),
            false => lookup(name),
        };
        match interpolate(text, &known) {
            Err(
                InterpolateError::Unset(name)
                | InterpolateError::Unreadable(name, VariableError::Replaced(_)),
            ) => empty.push(name),
            result => return result,
        }
    }
}

fn replaced(text: &str, lookup: &Lookup<'_>, depth: usize) -> Result<String, InterpolateError> {
    if depth == 0 {
        return Err(InterpolateError::TooLong);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let bad = || InterpolateError::Syntax(rest[at..].chars().take(40).collect());
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or_else(bad)?;
            out.push_str(&braced(&inner[..end], lookup, depth, &bad)?);
            rest = &inner[end + 1..];
        } else {
            let name = name_at(after);
            if name.is_empty() {
                return Err(bad());
            }
            out.push_str(&required(name, lookup)?);
            rest = &after[name.len()..];
        }
        if out.len() > MOST {
            return Err(InterpolateError::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between the braces.
fn braced(
    inner: &str,
    lookup: &Lookup<'_>,
    depth: usize,
    bad: &dyn Fn() -> InterpolateError,
) -> Result<String, InterpolateError> {
    let name = name_at(inner);
    let operator = &inner[name.len()..];
    if name.is_empty() {
        return Err(bad());
    }
    if operator.is_empty() {
        return required(name, lookup);
    }
    let (counts_empty, operator) = match operator.strip_prefix(':') {
        Some(operator) => (false, operator),
        None => (true, operator),
    };
    let found = value(name, lookup)?.filter(|value| counts_empty || !value.is_empty());
    let mut letters = operator.chars();
    let kind = letters.next();
    let word = letters.as_str();
    match (kind, found) {
        (Some('-'), Some(value)) | (Some('?'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => replaced(word, lookup, depth - 1),
        (Some('?'), None) => Err(InterpolateError::Required(name.into(), word.into())),
        (Some('+'), None) => Ok(String::new()),
        _ => Err(bad()),
    }
}

fn value(name: &str, lookup: &Lookup<'_>) -> Result<Option<String>, InterpolateError> {
    lookup(name)
        .transpose()
        .map_err(|why| InterpolateError::Unreadable(name.into(), why))
}

fn required(name: &str, lookup: &Lookup<'_>) -> Result<String, InterpolateError> {
    value(name, lookup)?.ok_or_else(|| InterpolateError::Unset(name.into()))
}

/// The name that a text begins with; mostly empty.
fn name_at(text: &str) -> &str {
    let is_part = |(n, byte): (usize, u8)| match byte {
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => true,
        b'0'..=b'9' => n > 0,
        _ => false,
    };
    let end = text
        .bytes()
        .enumerate()
        .take_while(|&it| is_part(it))
        .count();
    &text[..end]
}

/// Where the brace closes that is open.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 1;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(name: &str) -> Option<Variable> {
        match name {
            "A" => Some(Ok("a".into())),
            "EMPTY" => Some(Ok(String::new())),
            "BAD" => Some(Err(VariableError::NotUtf8)),
            _ => None,
        }
    }

    #[test]
    fn every_form_of_a_variable() {
        for (text, value) in [
            ("x", "x"),
            ("$A/b", "a/b"),
            ("${A}b$$A", "ab$A"),
            ("${EMPTY}", ""),
            ("${EMPTY-d}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NONE-d}", "d"),
            ("${NONE:-${NONE:-${A}}}/x", "a/x"),
            ("${NONE:-}", ""),
            ("${A:+y}${NONE:+n}${EMPTY:+n}${EMPTY+y}", "yy"),
            ("${A:?no}${EMPTY?no}", "a"),
            ("${NONE:-a:b}", "a:b"),
        ] {
            assert_eq!(interpolate(text, &known).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let said = |text: &str| interpolate(text, &known).unwrap_err();
        assert_eq!(said("/x/$NONE"), InterpolateError::Unset("NONE".into()));
        assert_eq!(said("${NONE:-$B}"), InterpolateError::Unset("B".into()));
        let required = InterpolateError::Required("EMPTY".into(), "say it".into());
        assert_eq!(said("${EMPTY:?say it}"), required);
        let unreadable = InterpolateError::Unreadable("BAD".into(), VariableError::NotUtf8);
        assert_eq!(said("$BAD"), unreadable);
        for bad in ["$", "a$-", "${", "${A", "${}", "${A!}", "${1}", "$1"] {
            assert!(matches!(said(bad), InterpolateError::Syntax(_)), "{bad}");
        }
        let deep = "${N:-".repeat(40) + &"}".repeat(40);
        assert_eq!(said(&deep), InterpolateError::TooLong);
    }

    proptest! {
        #[test]
        fn any_text_is_replaced_or_refused(text in "([${}:?+A-C-]|é|[a-c ])*") {
            let _ = interpolate(&text, &known);
        }

        #[test]
        fn a_text_without_dollar_signs_stays(text in "[^$]*") {
            prop_assert_eq!(interpolate(&text, &known), Ok(text));
        }
    }
}
